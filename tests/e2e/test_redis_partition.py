"""A network that fails: a namespace of its own, whose loopback is taken down and up again."""

import os
import shutil
import signal
import subprocess
import time

from redis_server import Server, missing, waiting_pids
from support import CACHIFY, Case, FileStore, main, process_state, wait_until

POOL = ("pool", "run", "-k", "jobs", "-n")
LOCK = ("lock", "run", "-k", "jobs")
PORT = 6379


def why_not():
    for program in ("ip", "unshare", "nsenter"):
        if not shutil.which(program):
            return f"{program} is not installed"
    tried = subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        return "network namespaces need root"
    return missing()


class Partition(Case):
    store_class = FileStore

    def setUp(self):
        reason = why_not()
        if reason:
            self.skipTest(reason)
        super().setUp()
        keeper = self.spawn(["unshare", "-n", "sleep", "600"])
        own = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{keeper.pid}/ns/net") != own, "the namespace is made")
        self.inside = ["nsenter", "-t", str(keeper.pid), "-n"]
        self.network("up")
        self.server = Server(port=PORT, before=self.inside)
        self.addCleanup(self.server.stop)
        self.env["CACHIFY_STORE"] = f"redis://127.0.0.1:{PORT}?lease=4s&connect-timeout=1s"

    def network(self, state):
        subprocess.run([*self.inside, "ip", "link", "set", "lo", state], check=True)

    def start(self, *args, env=None, **options):
        return self.spawn([*self.inside, CACHIFY, *args], env=env, **options)

    def cachify(self, *args, **options):
        return self.run_program([*self.inside, CACHIFY, *args], **options)

    def wait_for_waiter(self):
        wait_until(lambda: waiting_pids(self.server), "the waiter is queued")

    def holders(self):
        return self.server("ZCARD", "cachify:lock:{jobs}:h")

    def test_a_holder_outlives_a_partition_that_is_shorter_than_its_lease(self):
        holder = self.hold(*LOCK)
        self.network("down")
        time.sleep(1.5)
        self.network("up")
        end = time.monotonic() + 4
        while time.monotonic() < end:
            self.assertEqual(self.holders(), 1)
            time.sleep(0.1)
        self.assertEqual(holder.finish(3), 3)
        self.assertEqual(holder.process.stderr.read(), "")
        wait_until(lambda: self.holders() == 0, "it was given back")

    def test_the_command_has_ended_before_another_can_have_the_lock(self):
        holder = self.hold(*LOCK)
        command = holder.command_pid
        # A waiter at the other side of the partition: it is not cut off.
        waiter = self.hold(*LOCK, "--wait", wait_for_start=False,
                           env={"CACHIFY_STORE": self.server.unix_url})
        self.wait_for_waiter()
        self.network("down")
        wait_until(waiter.running, "the waiter has it", 10)
        self.assertIn(process_state(command), (None, "Z"))
        self.assertEqual(holder.process.wait(5), 76)
        self.assertEqual(waiter.finish(0), 0)

    def test_a_waiter_is_served_after_a_partition(self):
        holder = self.hold(*LOCK, env={"CACHIFY_STORE": self.server.unix_url})
        waiter = self.hold(*LOCK, "--wait", wait_for_start=False)
        self.wait_for_waiter()
        self.network("down")
        time.sleep(0.5)
        self.assertEqual(holder.finish(0), 0)  # the push goes nowhere
        time.sleep(1)
        self.network("up")
        self.wait_for_holder(waiter, 60)
        self.assertEqual(waiter.finish(4), 4)

    def test_a_waiter_that_is_cut_off_does_not_stop_those_behind(self):
        unix = {"CACHIFY_STORE": self.server.unix_url}
        holder = self.hold(*LOCK, env=unix)
        away = self.hold(*LOCK, "--wait", wait_for_start=False)
        self.wait_for_waiter()
        behind = self.hold(*LOCK, "--wait", wait_for_start=False, env=unix)
        wait_until(lambda: len(waiting_pids(self.server)) == 2, "both wait")
        self.network("down")
        self.assertEqual(holder.finish(0), 0)
        self.wait_for_holder(behind, 15)
        self.assertFalse(away.running())
        self.assertEqual(behind.finish(0), 0)

    def test_a_newcomer_and_a_signal_during_a_partition(self):
        self.assertEqual(self.cachify(*LOCK, "--", "true").returncode, 0)
        holder = self.hold(*LOCK, "--on-lost", "warn")
        self.network("down")
        started = time.monotonic()
        done = self.cachify(*POOL, "1", "--", "echo", "ran")
        self.assertEqual(done.returncode, 69)
        self.assert_one_message(done)
        self.assertLess(time.monotonic() - started, 4)
        time.sleep(1.5)  # the renewal is under way
        sent = time.monotonic()
        holder.process.send_signal(signal.SIGTERM)
        self.assertEqual(holder.process.wait(10), -signal.SIGTERM)
        self.assertLess(time.monotonic() - sent, 5)


if __name__ == "__main__":
    main()
