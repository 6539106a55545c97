"""Locks and pools that Python services share: cachify and a stand-in for their library
(tests/standin), each believing what the other wrote."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from redis_server import Server, missing, shared_server
from standin import PYTHON, STANDIN, no_redis_for_python
from support import CACHIFY, JOB, Case, alive, main, process_state, wait_until

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "soak"))
sys.path.insert(0, str(STANDIN))

from overlap import Run, check_pool, read_log  # noqa: E402
from py_cachify._backend._pool_state import PoolState  # noqa: E402

POOL = ("pool", "run", "-k", "jobs", "-n")
LOCK = ("lock", "run", "-k", "jobs")
OURS = re.compile(r"cac1[0-9a-f]{8}8[0-9a-f]{3}[89ab][0-9a-f]{15}")


class PyCachifyStore:
    """A server for the suite, emptied for each test."""

    name = "py-cachify"
    options = "poll=20ms"

    @staticmethod
    def unavailable():
        return missing()

    def __init__(self, _directory):
        self.server = shared_server()
        self.server("FLUSHALL")
        self.url = f"py-cachify+{self.server.unix_url}?{self.options}"
        self.environment = {"CACHIFY_STORE": self.url}

    @staticmethod
    def is_waiting(pid):
        """Polls: it sleeps, and has a connection."""
        return process_state(pid) == "S" and any(
            os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:") for fd in os.listdir(f"/proc/{pid}/fd")
        )

    def stop(self):
        pass


class PyCachifyCase(Case):
    store_class = PyCachifyStore

    @property
    def server(self):
        return self.store.server

    def raw(self, name):
        """A value as bytes; None when there is none."""
        value = self.server("GET", name)
        return None if value is None else value.encode("utf-8", "surrogateescape")

    def state(self, key="jobs"):
        """{slot id: end}"""
        value = self.raw(f"PYC-{key}-state")
        return {} if value is None else pickle.loads(value).slots

    def put_state(self, slots, key="jobs"):
        state = PoolState()
        state.slots = slots
        self.server("SET", f"PYC-{key}-state", pickle.dumps(state, 4))

    def size(self, key="jobs"):
        done = self.cachify("pool", "size", "-k", key)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return int(done.stdout)

    def wait_for_attempts(self, count):
        """Until so many more scripts were run."""

        def scripts():
            found = re.search(r"cmdstat_eval:calls=(\d+)", self.server("INFO", "commandstats"))
            return int(found[1]) if found else 0

        before = scripts()
        wait_until(lambda: scripts() >= before + count, f"{count} attempts")

    def is_locked(self):
        done = self.cachify("lock", "is-locked", "-k", "jobs")
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return done.returncode == 0

    def run_in(self, *words, command=("true",), code=0, **options):
        done = self.cachify(*words, "--", *command, **options)
        self.assertEqual(done.returncode, code, done.stderr)
        return done


class WithPython(PyCachifyCase):
    """Cases that need the library's side."""

    def setUp(self):
        reason = no_redis_for_python()
        if reason:
            self.skipTest(reason)
        super().setUp()

    def python(self, prefix="PYC-"):
        """A service: call it with an order of tests/standin/worker.py, and it gives the answer."""
        process = self.spawn(
            [PYTHON, STANDIN / "worker.py", self.server.socket, prefix],
            stdin=subprocess.PIPE,
            env={"PYTHONDONTWRITEBYTECODE": "1"},
        )

        def ask(*words):
            process.stdin.write(" ".join(map(str, words)) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline().strip()
            self.assertTrue(answer, "the service has ended")
            return answer

        ask.process = process
        return ask


class Locks(WithPython):
    def test_each_side_sees_the_others_lock(self):
        service = self.python()
        self.assertEqual(service("take", "lock", "jobs"), "taken")
        self.assertTrue(self.is_locked())
        self.assert_one_message(self.run_in(*LOCK, code=75), "jobs is already locked!")
        self.run_in(*LOCK, "-t", "0.1", code=124)
        service("give")
        self.assertFalse(self.is_locked())

        holder = self.hold(*LOCK)
        self.assertEqual(service("take", "lock", "jobs"), "full")
        self.assertEqual(service("held", "jobs"), "yes")
        self.assertEqual(holder.finish(7), 7)
        self.assertEqual(service("held", "jobs"), "no")
        self.assertEqual(service("take", "lock", "jobs"), "taken")

    def test_who_waits_gets_it_from_the_other_side(self):
        service = self.python()
        service("take", "lock", "jobs")
        waiter = self.hold(*LOCK, "-w", wait_for_start=False)
        self.wait_for_queued(waiter)
        service("give")
        self.wait_for_holder(waiter)
        self.assertGreaterEqual(float(waiter.environment["CACHIFY_WAITED"]), 0)
        self.assertEqual(waiter.finish(), 0)

    def test_a_lock_of_a_dead_service_is_had_when_its_time_is_over(self):
        service = self.python()
        service("take", "lock", "jobs", 1)
        service.process.kill()
        self.run_in(*LOCK, "-t", "20")

    def test_the_release_of_a_service_whose_lock_had_expired_is_made_good(self):
        service = self.python()
        service("take", "lock", "jobs", 1)
        url = self.store.url + "&lease=1s"
        holder = self.hold(*LOCK, "-t", "20", env={"CACHIFY_STORE": url})
        service("give")  # deletes what is not its own any more
        wait_until(self.is_locked, "the lock is held again", 5)
        self.assertEqual(holder.finish(), 0)
        self.assertIn("taken again", holder.process.stderr.read())
        self.assertFalse(self.is_locked())


class LockRules(PyCachifyCase):
    def ttl(self):
        return self.server("PTTL", "PYC-jobs")

    def test_it_lasts_30_s_from_the_last_renewal_or_what_lease_says(self):
        holder = self.hold(*LOCK)
        self.assertTrue(20_000 < self.ttl() <= 30_000, self.ttl())
        holder.finish()
        holder = self.hold(*LOCK, env={"CACHIFY_STORE": self.store.url + "&lease=90s"})
        self.assertTrue(80_000 < self.ttl() <= 90_000, self.ttl())

    def test_it_is_renewed_while_the_command_runs(self):
        holder = self.hold(*LOCK, env={"CACHIFY_STORE": self.store.url + "&lease=1s"})
        value = self.raw("PYC-jobs")
        end = time.monotonic() + 2
        while time.monotonic() < end:
            self.assertGreater(self.ttl(), 200)
            time.sleep(0.02)
        self.assertEqual(self.raw("PYC-jobs"), value)
        self.assertEqual(holder.finish(), 0)

    def test_exp_is_a_hard_end_and_the_release_leaves_the_next_one_alone(self):
        holder = self.hold(*LOCK, "--exp", "500ms")
        self.assertTrue(0 < self.ttl() <= 500)
        wait_until(lambda: not self.is_locked(), "the lock has ended", 5)
        other = self.hold(*LOCK)
        value = self.raw("PYC-jobs")
        self.assertEqual(holder.finish(3), 3)
        self.assertEqual(holder.process.stderr.read(), "")
        self.assertEqual(self.raw("PYC-jobs"), value)
        self.assertEqual(other.finish(), 0)
        self.assertFalse(self.is_locked())

    def test_python_takes_the_value_for_true(self):
        self.hold(*LOCK)
        self.assertTrue(pickle.loads(self.raw("PYC-jobs")))

    def test_what_is_false_for_python_is_not_held_but_in_the_way(self):
        self.server("SET", "PYC-jobs", pickle.dumps(0, 4))
        self.assertFalse(self.is_locked())
        self.run_in(*LOCK, code=75)

    def test_a_lock_above_is_refused_at_once(self):
        inner = [CACHIFY, *LOCK, "-w", "--", "true"]
        done = self.run_in(*LOCK, command=inner, code=75)
        self.assertIn("An ancestor", done.stderr)
        between = [CACHIFY, "lock", "run", "-k", "other", "--", *inner]
        done = self.run_in(*LOCK, command=between, code=75)
        self.assertIn("An ancestor", done.stderr)
        # One that ends by itself can be had.
        self.run_in(*LOCK, "--exp", "300ms", command=inner)

    def test_when_somebody_else_has_it_the_command_is_ended(self):
        holder = self.hold(*LOCK, env={"CACHIFY_STORE": self.store.url + "&lease=1s"})
        self.server("SET", "PYC-jobs", pickle.dumps(1, 4))
        self.assertEqual(holder.process.wait(10), 76)
        self.assertIn("the lease was lost", holder.process.stderr.read())
        self.assertEqual(self.raw("PYC-jobs"), pickle.dumps(1, 4))

    def test_a_killed_cachify_keeps_it_until_its_time_is_over(self):
        holder = self.hold(*LOCK, env={"CACHIFY_STORE": self.store.url + "&lease=1s"})
        holder.process.kill()
        holder.process.wait()
        self.assertTrue(self.is_locked())
        self.run_in(*LOCK, "-t", "20")

    def test_a_value_that_is_none_of_pythons_is_damage(self):
        self.server("SET", "PYC-jobs", "1")
        for words in (LOCK + ("--", "true"), LOCK + ("-w", "--", "true"), ("lock", "is-locked", "-k", "jobs")):
            done = self.cachify(*words)
            self.assertEqual(done.returncode, 69)
            self.assert_one_message(done, "PYC-jobs", "left as it is")
        self.assertEqual(self.raw("PYC-jobs"), b"1")
        self.server("DEL", "PYC-jobs")
        self.server("RPUSH", "PYC-jobs", "1")
        self.run_in(*LOCK, code=69)


class Pools(WithPython):
    def test_each_side_counts_the_others_slots(self):
        service = self.python()
        self.assertEqual(service("take", "pool", "jobs", 2), "taken")
        self.assertEqual(self.size(), 1)
        holder = self.hold(*POOL, "2")
        self.assertEqual(service("size", "jobs", 2), "2")
        self.assertEqual(self.size(), 2)
        self.assertEqual(service("take", "pool", "jobs", 2), "full")
        self.assert_one_message(self.run_in(*POOL, "2", code=75), "jobs is full (max=2)")
        self.run_in(*POOL, "3")
        self.assertEqual(holder.finish(), 0)
        self.assertEqual(service("take", "pool", "jobs", 2), "taken")
        service("give")
        service("give")
        self.assertEqual((self.size(), service("size", "jobs", 2)), (0, "0"))
        # As Python leaves it, to the byte.
        self.assertEqual(self.raw("PYC-jobs-state"), pickle.dumps(PoolState(), 4))

    def test_who_waits_gets_the_slot_of_a_service(self):
        service = self.python()
        service("take", "pool", "jobs", 1)
        waiter = self.hold(*POOL, "1", "-w", wait_for_start=False)
        self.wait_for_queued(waiter)
        self.assertFalse(waiter.running())
        service("give")
        self.wait_for_holder(waiter)
        self.assertEqual(waiter.finish(), 0)

    def test_a_guard_is_waited_for(self):
        service = self.python()
        service("guard", "jobs")
        waiting = self.start(*POOL, "1", "--", "true")
        self.wait_for_attempts(5)
        self.assertIsNone(waiting.poll())
        self.assertEqual(self.state(), {})
        self.assertEqual(self.size(), 0)  # who only looks needs no guard
        self.server("DEL", "PYC-jobs-lock")
        self.assertEqual(waiting.wait(10), 0, waiting.stderr.read())

    def test_a_release_waits_for_the_guard_too(self):
        service = self.python()
        holder = self.hold(*POOL, "1")
        service("guard", "jobs")
        os.kill(holder.command_pid, signal.SIGKILL)
        self.wait_for_attempts(5)
        self.assertIsNone(holder.process.poll())
        self.assertEqual(len(self.state()), 1)
        self.server("DEL", "PYC-jobs-lock")
        self.assertEqual(holder.process.wait(10), 137)
        self.assertEqual(self.state(), {})

    def test_a_dead_service_keeps_its_slot_until_its_time_is_over(self):
        service = self.python()
        service("take", "pool", "jobs", 1, 1)
        service.process.kill()
        self.run_in(*POOL, "1", code=75)
        self.run_in(*POOL, "1", "-t", "20")

    def test_another_prefix_is_another_pool(self):
        self.python("app:")("take", "pool", "jobs", 1)
        self.run_in(*POOL, "1")
        self.run_in(*POOL, "1", "--prefix", "app:", code=75)

    def test_under_load_never_more_than_the_maximum(self):
        slots, services, callers, turns = 3, 4, 4, 25
        log = self.path("log")
        script = (
            "i=0; while [ $i -lt $1 ]; do i=$((i + 1)); "
            '"$2" pool run -k jobs -n $3 -w -- "$4" "$5" shell 8 || exit; done'
        )
        shells = [
            self.spawn(["sh", "-c", script, "sh", str(turns), CACHIFY, str(slots), JOB, log])
            for _ in range(callers)
        ]
        pythons = [self.python() for _ in range(services)]
        for i, service in enumerate(pythons):
            service.process.stdin.write(f"load {log} python-{i} jobs {slots} {turns}\n")
            service.process.stdin.flush()
        most = 0
        while any(shell.poll() is None for shell in shells):
            most = max(most, self.size())
        for shell in shells:
            self.assertEqual((shell.returncode, shell.stderr.read()), (0, ""))
        for service in pythons:
            self.assertEqual(service.process.stdout.readline(), "done\n")
        runs, begun = [], {}
        for what, when, pid, label, slot, _ in read_log(log.read_text()):
            if what == "start":
                begun[pid] = (when, slot)
            else:
                start, slot = begun.pop(pid)
                runs.append(Run(label, start, when, slot=slot))
        self.assertEqual(len(runs), (services + callers) * turns)
        self.assertEqual(check_pool(runs, slots), [])
        self.assertTrue(1 <= most <= slots, most)
        self.assertEqual((self.size(), self.python()("size", "jobs", slots)), (0, "0"))


class PoolRules(PyCachifyCase):
    def test_the_command_gets_a_slot_number_and_no_fence(self):
        other = "0123456789ab4cde8123456789abcdef"
        self.put_state({other: time.time() + 100})
        first = self.hold(*POOL, "4", env={"CACHIFY_FENCE": "9"})
        second = self.hold(*POOL, "4")
        environments = [holder.environment for holder in (first, second)]
        self.assertEqual([env["CACHIFY_SLOT"] for env in environments], ["0", "1"])
        self.assertEqual([env["CACHIFY_MAX"] for env in environments], ["4", "4"])
        self.assertNotIn("CACHIFY_FENCE", environments[0])
        ids = [env["CACHIFY_ID"] for env in environments]
        self.assertEqual(list(self.state()), [other, *ids])
        for slot_id in ids:
            self.assertRegex(slot_id, OURS)
        self.assertEqual(first.finish(), 0)
        third = self.hold(*POOL, "4")
        self.assertEqual(third.environment["CACHIFY_SLOT"], "0")

    def test_it_lasts_600_s_from_the_last_renewal_or_what_lease_says(self):
        def left():
            [end] = self.state().values()
            return end - time.time()

        holder = self.hold(*POOL, "1")
        self.assertTrue(550 < left() <= 600, left())
        holder.finish()
        holder = self.hold(*POOL, "1", env={"CACHIFY_STORE": self.store.url + "&lease=1s"})
        end = time.monotonic() + 2
        while time.monotonic() < end:
            self.assertGreater(left(), 0.2)
            time.sleep(0.02)
        self.assertEqual(holder.finish(), 0)
        self.assertEqual(self.state(), {})
        self.assertEqual(self.server("TTL", "PYC-jobs-state"), -1)

    def test_slot_exp_is_a_hard_end(self):
        holder = self.hold(*POOL, "1", "--slot-exp", "500ms")
        self.run_in(*POOL, "1", "-t", "10")
        self.assertEqual(self.size(), 0)
        self.assertEqual(holder.finish(4), 4)
        self.assertEqual(self.state(), {})

    def test_the_expired_do_not_count_and_are_dropped_by_the_next(self):
        now = time.time()
        old, never = "1" * 32, "2" * 32
        self.put_state({old: now - 1, never: float("inf")})
        before = self.raw("PYC-jobs-state")
        self.assertEqual(self.size(), 1)
        self.run_in(*POOL, "1", code=75)
        self.assertEqual(self.raw("PYC-jobs-state"), before)
        holder = self.hold(*POOL, "2")
        self.assertEqual(list(self.state()), [never, holder.environment["CACHIFY_ID"]])

    def test_shedding_and_size(self):
        self.put_state({f"{i:032x}": float("inf") for i in range(3)})
        self.run_in(*POOL, "4", "--shed-at", "3", "-w", code=75)
        self.run_in(*POOL, "4", "--shed-at", "75%", code=75)
        self.run_in(*POOL, "4", "--shed-at", "76%")
        done = self.cachify("pool", "size", "-k", "jobs", "--json")
        summary = json.loads(done.stdout)
        self.assertEqual((summary["size"], summary["max"], summary["waiting"]), (3, None, None))
        self.assertEqual(self.cachify("pool", "size", "-k", "jobs", "--below", "4").returncode, 0)
        self.assertEqual(self.cachify("pool", "size", "-k", "jobs", "--below", "3").returncode, 75)
        self.assertEqual(self.cachify("pool", "size", "-k", "jobs", "--below", "50%").returncode, 64)

    def test_a_large_pool_is_written_as_python_would(self):
        slots = {f"{i:032x}": 1e10 + i for i in range(2000)}
        self.put_state(slots)
        self.assertEqual(self.size(), 2000)
        holder = self.hold(*POOL, "3000")
        state = PoolState()
        state.slots = self.state()
        self.assertEqual(len(state.slots), 2001)
        self.assertEqual(self.raw("PYC-jobs-state"), pickle.dumps(state, 4))
        holder.finish()
        state.slots = slots
        self.assertEqual(self.raw("PYC-jobs-state"), pickle.dumps(state, 4))

    def test_a_damaged_state_is_69_and_stays_as_it_is(self):
        state = PoolState()
        state.slots = {"1" * 32: 1e10}
        good = pickle.dumps(state, 4)
        for bad in (b"", b"garbage", good[:-1], good + b".", good.replace(b"PoolState", b"PoolStale"),
                    good.replace(b"1" * 32, b"z" * 32), pickle.dumps({"slots": {}}), b"x" * 2_000_000):
            with self.subTest(bad=bad[:200]):
                self.server("SET", "PYC-jobs-state", bad)
                for words in ((*POOL, "1", "--", "echo", "ran"), (*POOL, "1", "-w", "--", "echo", "ran"),
                              ("pool", "size", "-k", "jobs")):
                    done = self.cachify(*words)
                    self.assertEqual(done.returncode, 69, done)
                    self.assert_one_message(done, "jobs" if len(bad) < 1000 else "too long")
                self.assertEqual(self.raw("PYC-jobs-state"), bad)

    def test_a_state_that_is_damaged_meanwhile_changes_nothing_about_the_commands_code(self):
        holder = self.hold(*POOL, "1")
        self.server("SET", "PYC-jobs-state", "garbage")
        self.assertEqual(holder.finish(5), 5)
        self.assertIn("damaged", holder.process.stderr.read())
        self.assertEqual(self.raw("PYC-jobs-state"), b"garbage")

    def test_a_guard_that_stays_is_69_after_as_long_as_python_waits(self):
        self.server("SET", "PYC-jobs-lock", pickle.dumps(1, 4))
        begun = time.monotonic()
        done = self.run_in(*POOL, "1", command=("echo", "ran"), code=69)
        self.assertTrue(4.9 < time.monotonic() - begun < 9)
        self.assert_one_message(done, "PYC-jobs-lock")
        self.assertIsNone(self.raw("PYC-jobs-state"))
        for patience in ("1s", "1500ms"):
            done = self.run_in(*POOL, "1", "-t", patience, code=69)
            self.assert_one_message(done, "PYC-jobs-lock")
        self.assertEqual(self.raw("PYC-jobs-lock"), pickle.dumps(1, 4))

    def test_a_slot_that_was_deleted_is_taken_again_for_the_running_command(self):
        holder = self.hold(*POOL, "1", env={"CACHIFY_STORE": self.store.url + "&lease=1s"})
        self.server("DEL", "PYC-jobs-state")
        wait_until(lambda: self.size() == 1, "the slot is there again", 5)
        self.assertEqual(list(self.state()), [holder.environment["CACHIFY_ID"]])
        self.assertEqual(holder.finish(), 0)
        self.assertIn("taken again", holder.process.stderr.read())
        self.assertEqual(self.state(), {})

    def test_who_was_stopped_for_too_long_and_finds_no_place_says_so(self):
        holder = self.hold(*POOL, "1", env={"CACHIFY_STORE": self.store.url + "&lease=1s"})
        holder.process.send_signal(signal.SIGSTOP)
        other = self.hold(*POOL, "1", "-t", "20")
        holder.process.send_signal(signal.SIGCONT)
        self.assertIn("the lease was lost", holder.process.stderr.readline())
        self.assertEqual(holder.finish(6), 6)
        self.assertEqual(list(self.state()), [other.environment["CACHIFY_ID"]])

    def test_callers_of_one_pool_do_not_overwrite_each_other(self):
        callers = [self.hold(*POOL, "12", "-w", wait_for_start=False) for _ in range(12)]
        for caller in callers:
            self.wait_for_holder(caller)
        self.assertEqual(self.size(), 12)
        self.assertEqual({c.environment["CACHIFY_SLOT"] for c in callers}, {str(i) for i in range(12)})
        for caller in callers:
            self.assertEqual(caller.finish(), 0)
        self.assertEqual(self.state(), {})

    def test_a_signal_ends_the_waiting_and_leaves_nothing(self):
        self.put_state({"1" * 32: float("inf")})
        before = self.raw("PYC-jobs-state")
        waiter = self.start(*POOL, "1", "-w", "--", "true")
        self.wait_for_queued(waiter)
        waiter.send_signal(signal.SIGTERM)
        self.assertEqual(waiter.wait(10), -signal.SIGTERM)
        self.assertEqual(self.raw("PYC-jobs-state"), before)

    def test_waiting_says_for_what(self):
        self.put_state({"1" * 32: float("inf")})
        done = self.run_in("-v", *POOL, "1", "-t", "0.1", code=124)
        self.assertIn("waiting for jobs (max=1), in use: 1", done.stderr)
        self.assertIn("keeps no order", done.stderr)


class Refusals(PyCachifyCase):
    def test_what_the_layout_cannot_do_is_64_and_nothing_starts(self):
        for words in (
            (*LOCK, "--shared"),
            (*POOL, "4", "--weight", "2"),
            (*POOL, "4", "--priority", "1"),
            (*POOL, "4", "-w", "--queue-max", "3"),
            (*LOCK, "--replace", "running"),
            ("resource", "run", "-k", "jobs", "--from", "a,b"),
            ("pool", "run", "-k", "jobs"),
        ):
            with self.subTest(words=words):
                done = self.run_in(*words, command=("echo", "ran"), code=64)
                self.assert_one_message(done, "py-cachify+redis+unix://")
        for words in (
            ("pool", "status", "-k", "jobs"),
            ("lock", "status", "-k", "jobs", "--json"),
            ("pool", "list"),
            ("lock", "list"),
            ("pool", "resize", "-k", "jobs", "-n", "3"),
            ("pool", "resize", "-k", "jobs", "--unset"),
            ("pool", "close", "-k", "jobs"),
            ("pool", "close", "-k", "jobs", "--cancel-waiting"),
            ("pool", "open", "-k", "jobs"),
            ("pool", "wait", "-k", "jobs", "--until", "empty"),
            ("pool", "wait", "-k", "jobs", "--until", "empty", "-t", "0"),
            ("lock", "release", "-k", "jobs", "--terminate"),
        ):
            with self.subTest(words=words):
                done = self.cachify(*words)
                self.assertEqual(done.returncode, 64)
                self.assert_one_message(done, "py-cachify+redis+unix://")
        self.assertEqual(self.server("KEYS", "*"), [])

    def test_the_url_is_checked(self):
        for url in ("py-cachify+redis+cluster://h", "py-cachify+redis://h?wait-replicas=1",
                    "py-cachify+redis://h?poll=never", "py-cachify+file:", "redis://h?poll=1s"):
            with self.subTest(url=url):
                self.run_in("--store", url, *LOCK, code=64)


class OwnServer(PyCachifyStore):
    """One that can be broken."""

    def __init__(self, _directory):
        self.server = Server(tcp=False)
        self.url = f"py-cachify+{self.server.unix_url}?poll=20ms&lease=2s"
        self.environment = {"CACHIFY_STORE": self.url}

    def stop(self):
        if self.server.process.poll() is None:
            self.server.resume()
        self.server.stop()


class Steering(PyCachifyCase):
    def test_a_lock_is_given_back_in_its_holders_place(self):
        self.assertEqual(self.cachify("lock", "release", "-k", "jobs").returncode, 1)
        holder = self.hold(*LOCK)
        self.assertEqual(self.cachify("lock", "release", "-k", "jobs", "--id", "x").returncode, 1)
        held = holder.environment["CACHIFY_ID"]
        self.assertEqual(self.cachify("lock", "release", "-k", "jobs", "--id", held).returncode, 0)
        self.assertFalse(self.is_locked())
        self.assertEqual(holder.finish(5), 5)
        self.server("SET", "PYC-jobs", pickle.dumps(1, 4))
        self.assertEqual(self.cachify("lock", "release", "-k", "jobs").returncode, 0)
        self.assertFalse(self.is_locked())

    def test_a_slot_is_acquired_and_released_by_hand(self):
        done = self.cachify("pool", "acquire", "-k", "jobs", "-n", "1", "--owner-pid", str(os.getpid()))
        self.assertEqual(done.returncode, 0, done.stderr)
        held = done.stdout.strip()
        self.assertEqual(list(self.state()), [held])
        self.run_in(*POOL, "1", code=75)
        self.assertEqual(self.cachify("pool", "release", "-k", "jobs", "--id", held).returncode, 0)
        self.assertEqual(self.size(), 0)

    def test_several_locks_are_had_together_and_renewed_while_the_next_is_waited_for(self):
        env = {"CACHIFY_STORE": self.store.url + "&lease=1s"}
        self.server("SET", "PYC-b", pickle.dumps(1, 4))
        both = self.hold("lock", "run", "-k", "b", "-k", "a", "-w", env=env, wait_for_start=False)
        wait_until(lambda: self.raw("PYC-a"), "the first one is held")
        value, end = self.raw("PYC-a"), time.monotonic() + 1.5
        while time.monotonic() < end:
            self.assertEqual(self.raw("PYC-a"), value)
            time.sleep(0.02)
        self.server("DEL", "PYC-b")
        self.wait_for_holder(both)
        self.assertNotIn("CACHIFY_FENCE", both.environment)
        self.assertEqual(both.finish(), 0)
        self.assertEqual(self.server("KEYS", "*"), [])

    def test_items_share_the_slots_of_a_service(self):
        self.put_state({"1" * 32: float("inf")})
        items = "".join(f"{i}\n" for i in range(30))
        done = self.cachify("pool", "map", "--key", "jobs", "-n", "3", "--", "echo", "item", input=items)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(sorted(done.stdout.splitlines()), sorted(f"item {i}" for i in range(30)))
        self.assertEqual(list(self.state()), ["1" * 32])

    def test_doctor_looks_at_the_server_and_leaves_nothing(self):
        done = self.cachify("doctor")
        self.assertIn("may do all that is needed", done.stdout)
        self.assertIn("prefix PYC-", done.stdout)
        self.assertEqual(self.server("KEYS", "*"), [])
        self.server("ACL", "SETUSER", "weak", "on", ">x", "~PYC-*", "+@all", "-pexpire")
        self.addCleanup(self.server, "ACL", "DELUSER", "weak")
        url = self.store.url.replace("://", "://weak:x@")
        done = self.cachify("--store", url, "doctor")
        self.assertIn("'weak' may not do all", done.stdout)


class Outages(PyCachifyCase):
    store_class = OwnServer

    def test_nobody_listens(self):
        self.server.kill()
        for words in ((*LOCK, "--", "true"), (*POOL, "1", "--", "true"), ("pool", "size", "-k", "jobs")):
            done = self.cachify(*words)
            self.assertEqual(done.returncode, 69)
            self.assert_one_message(done, "cannot be used")

    def test_what_a_stopped_server_does_later_is_undone(self):
        self.server("PING")
        self.server.pause()
        for words in (LOCK, (*POOL, "1")):
            done = self.run_in(*words, command=("echo", "ran"), code=69)
            self.assert_one_message(done, "no answer in time")
        self.server.resume()
        wait_until(lambda: not self.is_locked() and self.size() == 0, "nothing is held", 1.5)

    def test_who_waits_sits_an_outage_out(self):
        self.put_state({"1" * 32: time.time() + 100})
        waiter = self.hold(*POOL, "1", "-t", "60", wait_for_start=False)
        self.wait_for_queued(waiter)
        self.server.restart()  # without its data
        self.wait_for_holder(waiter)
        self.assertEqual(waiter.finish(), 0)

    def test_holders_take_again_what_the_server_lost(self):
        lock, slot = self.hold(*LOCK), self.hold(*POOL, "1")
        self.server.restart()
        wait_until(lambda: self.is_locked() and self.size() == 1, "both are held again", 10)
        self.assertEqual((lock.finish(), slot.finish()), (0, 0))
        self.assertFalse(self.is_locked())
        self.assertEqual(self.size(), 0)

    def test_the_rights_of_the_manual_are_enough(self):
        manual = (Path(__file__).resolve().parents[2] / "man/cachify-stores.7").read_text(encoding="ascii")
        [rule] = re.findall(r"^ACL SETUSER (.*PYC-.*\n.*)$", manual, re.M)
        self.server("ACL", "SETUSER", *rule.replace("PASSWORD", "secret").split())
        url = self.store.url.replace("://", "://cachify:secret@")
        env = {"CACHIFY_STORE": url}
        for words in (LOCK, (*POOL, "2")):
            holder = self.hold(*words, env=env)
            value = self.server("GET", "PYC-jobs"), self.server("GET", "PYC-jobs-state")
            self.wait_for_attempts(1)  # the renewal
            self.assertNotEqual(value, (None, None))
            self.assertEqual(holder.finish(), 0)
            self.assertEqual(holder.process.stderr.read(), "")
        self.assertEqual(self.cachify("lock", "is-locked", "-k", "jobs", env=env).returncode, 1)
        self.assertEqual(self.cachify("pool", "size", "-k", "jobs", env=env).stdout, "0\n")
        self.run_in("--prefix", "other:", *LOCK, code=69, env=env)

    def test_a_lease_that_cannot_be_renewed_is_lost_in_time(self):
        begun = time.monotonic()
        holder = self.hold(*LOCK)
        command = holder.command_pid
        self.server.kill()
        wait_until(lambda: not alive(command), "the command has ended", 10)
        self.assertLess(time.monotonic() - begun, 2)  # when others could have the lock
        self.assertEqual(holder.process.wait(10), 76)


if __name__ == "__main__":
    main()
