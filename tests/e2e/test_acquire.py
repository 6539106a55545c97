"""acquire: a slot without a command, held for the lines of a script."""

import os
import re
import shutil
import signal
import subprocess
import unittest
from pathlib import Path

from support import (
    CACHIFY, SANITIZED, Case, alive, children_of, environment_of, main, on_every_store, process_stat,
    wait_until,
)  # fmt: skip

KILLAT = os.environ.get("CACHIFY_KILLAT", "")

POOL = ("pool", "acquire", "-k", "jobs")
LOCK = ("lock", "acquire", "-k", "jobs")
SHELLS = [shell for shell in ("dash", "bash", "zsh") if shutil.which(shell)]


class AcquireCase(Case):
    def setUp(self):
        super().setUp()
        self.env["CACHIFY"] = CACHIFY

    def owner(self):
        """A process to hold for."""
        return self.spawn(["sleep", "600"])

    def acquire(self, *args, owner=None):
        """The id of what was acquired."""
        words = list(args) + (["--owner-pid", str(owner.pid)] if owner else [])
        done = self.cachify(*words)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"\A[0-9a-z]+\n\Z")
        return done.stdout.strip()

    def is_locked(self):
        return self.cachify("lock", "is-locked", "-k", "jobs").returncode == 0

    def size(self):
        return int(self.cachify("pool", "size", "-k", "jobs").stdout)

    def keepers(self):
        """The pids of all cachify of this test that hold for somebody or want to."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or environment_of(entry).get("TEST_CASE_DIR") != str(self.dir):
                continue
            try:
                words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"acquire" in words and alive(int(entry)):
                found.append(int(entry))
        return found

    def keeper(self):
        """The pid of the one keeper."""
        return wait_until(lambda: (self.keepers() + [0, 0])[1] == 0 and self.keepers(), "a keeper")[0]

    def wait_for_nothing(self):
        """Until nobody holds, waits or keeps."""
        wait_until(lambda: not self.keepers(), "no keeper is left")
        wait_until(lambda: not self.is_locked() and self.size() == 0, "nothing is held")

    def script(self, shell, text, **options):
        return self.run_program([shell, self.write("script", text)], **options)


@on_every_store
class Acquire(AcquireCase):
    def test_held_until_it_is_released_by_its_id(self):
        owner = self.owner()
        for noun in (LOCK, (*POOL, "-n", "2")):
            one = self.acquire(*noun, owner=owner)
            keeper = self.keeper()
            done = self.cachify(noun[0], "release", "-k", "jobs", "--id", one)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
            self.assertFalse(self.is_locked() or self.size())
            wait_until(lambda pid=keeper: not alive(pid), "the keeper ends")
            done = self.cachify(noun[0], "release", "-k", "jobs", "--id", one)
            self.assertEqual(done.returncode, 1)

    def test_terminate_ends_the_keeper_too(self):
        self.acquire(*LOCK, owner=self.owner())
        done = self.cachify("lock", "release", "-k", "jobs", "--terminate")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.wait_for_nothing()

    def test_it_ends_with_the_owner(self):
        owner = self.owner()
        self.acquire(*POOL, "-n", "1", owner=owner)
        self.assertEqual(self.cachify(*POOL, "-n", "1").returncode, 75)
        owner.kill()
        owner.wait()
        self.wait_for_nothing()

    def test_the_next_one_in_the_queue_gets_it(self):
        owner = self.owner()
        one = self.acquire(*LOCK, owner=owner)
        waiter = self.hold("lock", "run", "-k", "jobs", "-w", wait_for_start=False)
        self.wait_for_queued(waiter)
        second = self.start(*LOCK, "-w", "--owner-pid", str(owner.pid))
        self.cachify("lock", "release", "-k", "jobs", "--id", one)
        self.wait_for_holder(waiter)
        waiter.finish()
        stdout, stderr = second.communicate(timeout=30)
        self.assertEqual((second.returncode, stderr), (0, ""))
        self.assertNotEqual(stdout.strip(), one)
        self.assertTrue(self.is_locked())

    def test_refusals_have_the_codes_and_messages_of_run(self):
        owner = self.owner()
        self.acquire(*LOCK, owner=owner)
        self.acquire(*POOL, "-n", "1", owner=owner)
        for args, code, said in (
            (LOCK, 75, "jobs is already locked!"),
            ((*POOL, "-n", "1"), 75, "jobs is full (max=1)"),
            ((*POOL, "-n", "1", "-t", "100ms"), 124, "jobs: no slot became free within 100ms"),
            ((*POOL, "-n", "1", "-E", "9"), 9, "jobs is full (max=1)"),
            ((*POOL, "-n", "1", "-w", "--queue-max", "0"), 75, "--queue-max"),
            ((*POOL, "-n", "1", "-w", "--shed-at", "50%"), 75, "shed"),
            (POOL, 64, "--max is needed"),
            ((*POOL, "-n", "1", "--weight", "2"), 64, "--weight"),
            ((*POOL, "-n", "1", "--on-full", "true"), 64, "--on-full"),
            ((*POOL, "-n", "1", "--", "true"), 64, "COMMAND"),
        ):
            done = self.cachify(*args)
            self.assertEqual(done.returncode, code, args)
            self.assert_one_message(done, said)
        self.assertEqual(len(self.keepers()), 2)

    def test_readers_share_and_the_slots_of_a_pool_count(self):
        owner = self.owner()
        self.acquire(*LOCK, "--shared", owner=owner)
        self.acquire(*LOCK, "--shared", owner=owner)
        self.assertEqual(self.cachify(*LOCK).returncode, 75)
        self.acquire(*POOL, "-n", "4", "--weight", "3", owner=owner)
        self.acquire(*POOL, "-n", "4", owner=owner)
        self.assertEqual(self.size(), 4)
        owner.kill()
        self.wait_for_nothing()

    def test_an_expiry_ends_it(self):
        self.acquire(*LOCK, "--exp", "500ms", owner=self.owner())
        self.wait_for_nothing()

    def test_the_store_and_its_errors(self):
        for store, code in (("nonsense:", 64), (f"file:{self.dir}/no/such/place", 69)):
            done = self.cachify(*LOCK, "--store", store)
            self.assertEqual(done.returncode, code)
            self.assert_one_message(done)
        self.assertEqual(self.keepers(), [])

    def test_a_store_beside_the_caller(self):
        if self.store.name != "file":
            self.skipTest("of directories only")
        owner = self.owner()
        done = self.cachify(*LOCK, "--store", "file:here", "--owner-pid", str(owner.pid))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        done = self.cachify("lock", "release", "-k", "jobs", "--store", "file:here")
        self.assertEqual(done.returncode, 0)
        wait_until(lambda: not self.keepers(), "no keeper is left")


@on_every_store
class Owner(AcquireCase):
    def test_a_script_holds_over_its_lines_and_gives_back_as_it_ends(self):
        calls = (
            "id=$($CACHIFY lock acquire -k jobs) || exit 9",
            "id=$($CACHIFY lock acquire -k jobs; true)",
            "take() { $CACHIFY lock acquire -k jobs; }\nid=$(take)",
            "take() { id=$($CACHIFY lock acquire -k jobs); }\ntake",
            "id=$($CACHIFY lock acquire -k jobs | cat)",
            "id=$(true; { $CACHIFY lock acquire -k jobs | cat; })",
            "id=$(echo $(echo $($CACHIFY lock acquire -k jobs)))",
            "id=`$CACHIFY lock acquire -k jobs`",
            "$CACHIFY lock acquire -k jobs > id\nid=$(cat id)",
            "( $CACHIFY lock acquire -k jobs > id )\nid=$(cat id)",
        )
        for shell in SHELLS:
            for call in calls:
                with self.subTest(shell=shell, call=call):
                    done = self.script(shell, call + "\n[ -n \"$id\" ] || exit 8\n"
                                       "$CACHIFY lock is-locked -k jobs || exit 7\n"
                                       "$CACHIFY -v lock run -k jobs -- true; echo $?; echo $$\n")  # fmt: skip
                    self.assertEqual(done.returncode, 0, done.stderr)
                    code, pid = done.stdout.split()
                    self.assertEqual(code, "75")
                    self.assertIn(f"held by pid {pid} ", done.stderr)
                    self.assertIn(f"{shell} ", done.stderr)
                    wait_until(lambda: not self.is_locked(), "the lock ends with the script")

    def test_a_script_can_give_back_itself(self):
        for shell in SHELLS:
            done = self.script(shell, "id=$($CACHIFY pool acquire -k jobs -n 1) || exit 9\n"
                               "$CACHIFY pool release -k jobs --id $id || exit 8\n"
                               "$CACHIFY pool run -k jobs -n 1 -- echo ran\n")  # fmt: skip
            self.assertEqual((done.returncode, done.stdout), (0, "ran\n"), done.stderr)

    def test_what_the_owner_holds_can_never_be_had_below_it(self):
        for shell in SHELLS:
            done = self.script(shell, "id=$($CACHIFY lock acquire -k jobs) || exit 9\n"
                               "sh -c '$CACHIFY lock run -k jobs -w -- true'; echo $?\n"
                               "$CACHIFY lock acquire -k jobs -w; echo $?\n")  # fmt: skip
            self.assertEqual(done.stdout, "75\n75\n")
            self.assertEqual(done.stderr.count("can never be had"), 2)
            wait_until(lambda: not self.is_locked(), "the lock ends with the script")

    def test_what_ends_by_itself_can_be_waited_for(self):
        done = self.script("sh", "id=$($CACHIFY lock acquire -k jobs --exp 500ms) || exit 9\n"
                           "$CACHIFY lock run -k jobs -t 20 -- echo ran\n")  # fmt: skip
        self.assertEqual((done.returncode, done.stdout), (0, "ran\n"), done.stderr)

    def test_the_shell_of_one_command_is_the_caller(self):
        holder = self.spawn(["sh", "-c", '$CACHIFY lock acquire -k jobs; read -r _'],
                            stdin=subprocess.PIPE)  # fmt: skip
        self.assertRegex(holder.stdout.readline(), r"\A[0-9a-z]+\n")
        self.assertTrue(self.is_locked())
        holder.stdin.close()
        holder.wait(30)
        self.wait_for_nothing()

    def test_one_that_is_no_process_or_somebody_elses_is_refused(self):
        ended = self.spawn(["true"])
        wait_until(lambda: not alive(ended.pid), "it has ended")  # a zombie
        for pid in (ended.pid, 2**22 - 1, 2**31 - 1):
            done = self.cachify(*LOCK, "--owner-pid", str(pid))
            self.assertEqual(done.returncode, 64)
            self.assert_one_message(done, f"--owner-pid {pid}", "no such process")
        for pid in ("0", "-1", "x"):
            self.assertEqual(self.cachify(*LOCK, "--owner-pid", pid).returncode, 64)
        self.assertEqual((self.is_locked(), self.keepers()), (False, []))

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_somebody_elses_is_refused(self):
        if self.store.name != "file":
            self.skipTest("the same on every store")
        owner = self.owner()
        os.chmod(self.dir, 0o755)
        program = self.path("cachify")
        shutil.copy(CACHIFY, program)
        done = self.run_program([program, *LOCK, "--owner-pid", str(owner.pid)], user=65534, group=65534,
                                extra_groups=[], env={"CACHIFY_STORE": "file:/nonexistent"})  # fmt: skip
        self.assertEqual(done.returncode, 64)
        self.assert_one_message(done, "somebody else")

    def test_it_ends_while_we_wait(self):
        self.acquire(*LOCK, owner=self.owner())
        owner = self.owner()
        waiting = self.start(*LOCK, "-w", "--owner-pid", str(owner.pid))
        wait_until(lambda: len(self.keepers()) == 3, "it waits")
        owner.kill()
        owner.wait()
        stdout, stderr = waiting.communicate(timeout=30)
        self.assertEqual((waiting.returncode, stdout), (64, ""))
        self.assertRegex(stderr, r"\Acachify: the owner, pid \d+, has ended\n\Z")
        self.assertEqual(len(self.keepers()), 1)


@on_every_store
class Keeper(AcquireCase):
    def test_it_keeps_nothing_of_its_caller(self):
        owner = self.owner()
        extra = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, extra)
        done = self.cachify(*LOCK, "--owner-pid", str(owner.pid), pass_fds=[extra],
                            preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))  # fmt: skip
        # communicate() has seen the ends of both pipes.
        self.assertEqual(done.returncode, 0)
        keeper = self.keeper()
        folder = Path(f"/proc/{keeper}")
        for number in (0, 1, 2):
            self.assertEqual(os.readlink(folder / f"fd/{number}"), "/dev/null")
        others = [os.readlink(folder / "fd" / name) for name in os.listdir(folder / "fd")
                  if int(name) > 2]  # fmt: skip
        self.assertNotIn("/", others)
        self.assertEqual([other for other in others if other.startswith("pipe:")], [])
        self.assertEqual(os.readlink(folder / "cwd"), "/")
        self.assertEqual(int(process_stat(keeper)[3]), keeper)  # a session of its own
        self.assertIn(b"acquire", (folder / "cmdline").read_bytes())
        os.kill(keeper, signal.SIGTERM)  # although its caller ignored that
        self.wait_for_nothing()

    def test_it_is_small_and_sleeps(self):
        self.acquire(*LOCK, owner=self.owner())
        keeper = self.keeper()
        rollup = Path(f"/proc/{keeper}/smaps_rollup").read_text()
        # What is its own; the program's pages are the file's, and count as dirty after a build.
        own = int(re.search(r"^Anonymous: +(\d+) kB", rollup, re.M)[1])
        if not SANITIZED:
            self.assertLess(own, 512)
        # A lease that is renewed has something to do at first.
        wait_until(lambda: process_stat(keeper)[0] == "S", "the keeper sleeps")

    def test_a_signal_to_it_gives_back(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.acquire(*LOCK, owner=self.owner())
            os.kill(self.keeper(), number)
            self.wait_for_nothing()

    def test_killed_it_leaves_nothing_behind(self):
        self.acquire(*LOCK, owner=self.owner())
        os.kill(self.keeper(), signal.SIGKILL)
        if self.store.name == "file":
            self.assertEqual(self.cachify("lock", "run", "-k", "jobs", "-t", "5", "--", "true").returncode, 0)

    def test_a_signal_to_who_waits_leaves_the_queue(self):
        self.acquire(*LOCK, owner=self.owner())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            waiting = self.start(*LOCK, "-w")
            wait_until(lambda: len(self.keepers()) == 3, "it waits")
            waiting.send_signal(number)
            stdout, stderr = waiting.communicate(timeout=30)
            self.assertEqual((waiting.returncode, stdout, stderr), (-number, "", ""))
            self.assertEqual(len(self.keepers()), 1)

    def test_who_waits_is_killed_and_leaves_nobody_in_the_queue(self):
        one = self.acquire(*LOCK, owner=self.owner())
        waiting = self.start(*LOCK, "-w", preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
        wait_until(lambda: len(self.keepers()) == 3, "it waits")
        waiting.kill()
        waiting.wait()
        wait_until(lambda: len(self.keepers()) == 1, "its keeper gives up")
        self.assertEqual(self.cachify("lock", "release", "-k", "jobs", "--id", one).returncode, 0)
        self.wait_for_nothing()

    def test_an_id_that_cannot_be_printed_is_given_back(self):
        owner = self.owner()
        full = os.open("/dev/full", os.O_WRONLY)
        self.addCleanup(os.close, full)
        for stdout in (full, None):
            close = (lambda: os.close(1)) if stdout is None else None
            process = self.start(*LOCK, "--owner-pid", str(owner.pid), stdout=stdout, preexec_fn=close)
            _, stderr = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 71)
            self.assertRegex(stderr, r"\Acachify: cannot write to standard output: [^\n]*\n\Z")
            self.assertFalse(self.is_locked())
            self.assertEqual(self.keepers(), [])

    def test_a_reader_that_is_gone_ends_it_all(self):
        owner = self.owner()
        reading, writing = os.pipe()
        os.close(reading)
        process = self.start(*LOCK, "--owner-pid", str(owner.pid), stdout=writing)
        os.close(writing)
        process.wait(30)
        self.assertNotEqual(process.returncode, 0)
        self.wait_for_nothing()

    # The sanitizer's leak checker is a child with ptrace: it does not go with who is traced, and is
    # not the keeper that the tests look for.
    def no_leak_check(self):
        if SANITIZED:
            self.env["ASAN_OPTIONS"] = "detect_leaks=0"

    @unittest.skipIf(SANITIZED, "a killed process reports nothing, and the sanitizer's own start has 600 calls")
    def test_a_caller_that_is_killed_at_any_call_leaves_nothing_or_what_it_printed(self):
        owner = self.owner()
        acquire = [CACHIFY, *LOCK, "--owner-pid", str(owner.pid)]
        for when in ([], ["--exit"]):
            killed = True
            count = 0
            while killed:
                count += 1
                done = self.run_program([KILLAT, *when, str(count), *acquire])
                killed = done.stdout.endswith("killed\n")
                if not killed:
                    self.assertIn("ended 0\n", done.stdout)
                    self.assertTrue(self.is_locked())
                if done.stderr:  # the id
                    self.cachify("lock", "release", "-k", "jobs", "--id", done.stderr.strip())
                self.wait_for_nothing()
            self.assertGreater(count, 20)

    def test_a_keeper_that_is_killed_at_any_instant_is_told_or_leaves_nothing_behind(self):
        self.no_leak_check()
        owner = self.owner()
        for delay in range(40):
            # A key for each, as a lease outlives its keeper.
            acquire = ("lock", "acquire", "-k", f"k{delay}", "--owner-pid", str(owner.pid))
            process = self.start(*acquire)
            wait_until(lambda pid=process.pid: children_of(pid) or not alive(pid), "its keeper")
            keepers = [pid for pid in self.keepers() if pid != process.pid]
            try:
                process.wait(delay / 10000)
            except subprocess.TimeoutExpired:
                pass
            for keeper in keepers:
                os.kill(keeper, signal.SIGKILL)
            stdout, stderr = process.communicate(timeout=30)
            if process.returncode != 0:
                self.assertEqual(process.returncode, 70)
                self.assertRegex(stderr, r"\Acachify: [^\n]* has died; try again\n\Z")
            else:
                self.assertRegex(stdout, r"\A[0-9a-z]+\n\Z")
            if self.store.name == "file":
                wait_until(lambda: not self.cachify("lock", "list").stdout, "nothing is held")


if __name__ == "__main__":
    main()
