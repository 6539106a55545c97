"""resize, close, open, wait and release, against real holders and waiters."""

import signal
import time

from support import Case, alive, is_waiting, main, on_every_store, wait_until

POOL = ("pool", "run", "-k", "jobs")
LOCK = ("lock", "run", "-k", "jobs")


class SteerCase(Case):
    def ask(self, *args, code=0, **options):
        """A call that is to end with this code, printing nothing on standard output."""
        done = self.cachify(*args, **options)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        return done

    def size(self):
        return int(self.cachify("pool", "size", "-k", "jobs").stdout)

    def waiting(self, *options):
        """One that queues for the pool, as a Holder."""
        holder = self.hold(*POOL, "-w", *options, wait_for_start=False)
        self.wait_for_queued(holder)
        return holder

    def ended(self, holder, timeout=30):
        """The code of a holder's cachify and what it said."""
        _, stderr = holder.process.communicate(timeout=timeout)
        return holder.process.returncode, stderr


@on_every_store
class Resize(SteerCase):
    def test_a_stored_cap_counts_for_everyone_and_makes_max_needless(self):
        self.ask("pool", "resize", "-k", "jobs", "--max", "1")
        first = self.hold(*POOL, "-n", "4")
        self.assertEqual(first.environment["CACHIFY_MAX"], "1")
        for options in ((), ("-n", "9")):
            done = self.cachify(*POOL, *options, "--", "true")
            self.assertEqual(done.returncode, 75)
            self.assert_one_message(done, "jobs is full (max=1)")
        first.finish()
        self.assertEqual(self.cachify(*POOL, "--", "true").returncode, 0)

    def test_the_stored_cap_says_which_weight_is_possible(self):
        self.ask("pool", "resize", "-k", "jobs", "--max", "2")
        for options in (("-n", "1"), ()):
            done = self.cachify(*POOL, *options, "--weight", "2", "--", "sh", "-c", "echo $CACHIFY_MAX")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "2\n", ""))
        for options in (("-n", "3"), ("-n", "3", "-w"), ("-n", "3", "-E", "5"), ()):
            done = self.cachify(*POOL, *options, "--weight", "3", "--", "true")
            self.assertEqual(done.returncode, 64)
            self.assert_one_message(done, "--weight 3 is more than the slots of 'jobs' (max=2)")
        self.ask("pool", "resize", "-k", "jobs", "--unset")
        done = self.cachify("pool", "acquire", "-k", "jobs", "-n", "1", "--weight", "2")
        self.assertEqual(done.returncode, 64)
        self.assert_one_message(done, "--weight 2 is more than the slots of 'jobs' (max=1)")

    def test_a_larger_cap_starts_who_waits_at_once(self):
        self.ask("pool", "resize", "-k", "jobs", "--max", "1")
        first = self.hold(*POOL)
        second, third, fourth = (self.waiting() for _ in range(3))
        self.ask("pool", "resize", "-k", "jobs", "--max", "3")
        self.wait_for_holder(second)
        self.wait_for_holder(third)
        self.wait_for_queued(fourth)
        self.assertFalse(fourth.running())
        for holder in (first, second, third):
            self.assertEqual(holder.finish(), 0)
        self.wait_for_holder(fourth)
        self.assertEqual(fourth.finish(), 0)

    def test_a_smaller_one_ends_nobody(self):
        holders = [self.hold(*POOL, "-n", "3") for _ in range(3)]
        self.ask("pool", "resize", "-k", "jobs", "--max", "1")
        waiter = self.waiting()
        self.assertEqual(self.size(), 3)
        for holder in holders[:2]:
            self.assertEqual(holder.finish(), 0)
            self.wait_for_queued(waiter)
        self.assertEqual(holders[2].finish(), 0)
        self.wait_for_holder(waiter)
        self.assertEqual(waiter.finish(), 0)

    def test_unset_lets_each_callers_own_cap_count_again(self):
        self.ask("pool", "resize", "-k", "jobs", "--max", "1")
        first = self.hold(*POOL, "-n", "2")
        self.ask("pool", "resize", "-k", "jobs", "--unset")
        second = self.hold(*POOL, "-n", "2")
        self.assert_one_message(self.cachify(*POOL, "--", "true"), "--max")
        self.assertEqual((first.finish(), second.finish()), (0, 0))

    def test_it_says_something_with_v_only_and_needs_one_of_both(self):
        said = self.ask("-v", "pool", "resize", "-k", "jobs", "--max", "7").stderr
        self.assertRegex(said, r"\Acachify: [^\n]*7[^\n]*\n\Z")
        self.assertEqual(self.ask("pool", "resize", "-k", "jobs", "--max", "2").stderr, "")
        for wrong in ((), ("--max", "2", "--unset"), ("--max", "0"), ("--max", "x")):
            self.assert_one_message(self.ask("pool", "resize", "-k", "jobs", *wrong, code=64))
        self.assert_one_message(self.ask("pool", "resize", "--max", "2", code=64), "key")


@on_every_store
class CloseAndOpen(SteerCase):
    def test_newcomers_are_refused_also_those_that_would_wait(self):
        self.ask("pool", "close", "-k", "jobs")
        for options in ((), ("-w",), ("-t", "20")):
            done = self.cachify(*POOL, "-n", "2", *options, "--", "echo", "ran")
            self.assertEqual(done.returncode, 75)
            self.assert_one_message(done, "jobs is closed")
        done = self.cachify("pool", "acquire", "-k", "jobs", "-n", "2", "-w")
        self.assertEqual(done.returncode, 75)
        self.assertEqual(self.cachify(*LOCK, "--", "true").returncode, 0)
        # Wrong use is that, whatever the state of the pool.
        self.assertEqual(self.cachify(*POOL, "--", "true").returncode, 64)
        self.ask("pool", "open", "-k", "jobs")
        self.ask("pool", "open", "-k", "jobs")
        self.assertEqual(self.cachify(*POOL, "-n", "2", "--", "true").returncode, 0)

    def test_who_waits_is_still_served(self):
        first = self.hold(*POOL, "-n", "1")
        second = self.waiting("-n", "1")
        self.ask("pool", "close", "-k", "jobs")
        self.assertEqual(first.finish(), 0)
        self.wait_for_holder(second)
        self.assertEqual(second.finish(), 0)

    def test_cancel_waiting_dismisses_them(self):
        first = self.hold(*POOL, "-n", "1")
        waiters = [self.waiting("-n", "1"), self.waiting("-n", "1", "-E", "9")]
        self.ask("pool", "close", "-k", "jobs", "--cancel-waiting")
        self.assertEqual(self.ended(waiters[0]), (75, "cachify: jobs: dismissed from the queue\n"))
        self.assertEqual(self.ended(waiters[1])[0], 9)
        self.assertFalse(waiters[0].running() or waiters[1].running())
        self.assertEqual(first.finish(5), 5)

    def test_terminate_ends_the_commands_and_returns_when_they_have_ended(self):
        holders = [self.hold(*POOL, "-n", "2") for _ in range(2)]
        commands = [holder.command_pid for holder in holders]
        self.ask("pool", "close", "-k", "jobs", "--terminate")
        self.assertFalse(any(alive(pid) for pid in commands))
        self.assertEqual(self.size(), 0)
        for holder in holders:
            code, said = self.ended(holder)
            self.assertEqual(code, 76)
            self.assertIn("taken away", said)
        self.assertEqual(self.cachify(*POOL, "-n", "2", "--", "true").returncode, 75)

    def test_a_pool_that_nobody_uses_can_be_closed_whole(self):
        self.ask("pool", "close", "-k", "jobs", "--terminate", "--cancel-waiting")


@on_every_store
class Wait(SteerCase):
    def wait_for(self, until, *options):
        return self.start("pool", "wait", "-k", "jobs", "--until", until, *options)

    def check(self, until, code):
        done = self.cachify("pool", "wait", "-k", "jobs", "--until", until, "-t", "0")
        self.assertEqual(done.returncode, code, (until, done.stderr))
        if code == 0:
            self.assertRegex(done.stdout, r"\A0\.[0-9]{3}\n\Z")
        else:
            self.assert_one_message(done, "jobs", f"not {until}")

    def test_a_look_at_once(self):
        for until in ("free", "empty", "idle"):
            self.check(until, 0)
        first = self.hold(*POOL, "-n", "2")
        self.check("free", 0)
        self.check("empty", 124)
        self.check("idle", 124)
        second = self.hold(*POOL, "-n", "2")
        self.check("free", 124)
        waiter = self.waiting("-n", "2")
        first.finish()
        self.wait_for_holder(waiter)
        second.finish()
        self.check("free", 0)
        self.ask("pool", "close", "-k", "jobs")
        self.check("free", 124)
        waiter.finish()
        self.check("free", 124)
        self.check("empty", 0)
        self.check("idle", 0)

    def test_nobody_is_let_in_past_a_waiter(self):
        self.hold(*POOL, "-n", "2")
        self.waiting("-n", "2", "--weight", "2")
        self.check("free", 124)

    def test_the_stored_cap_decides(self):
        self.hold(*POOL, "-n", "2")
        self.ask("pool", "resize", "-k", "jobs", "--max", "1")
        self.check("free", 124)
        self.ask("pool", "resize", "-k", "jobs", "--max", "2")
        self.check("free", 0)

    def test_it_sleeps_until_it_is_so_and_tells_how_long(self):
        holder = self.hold(*POOL, "-n", "1")
        started = time.monotonic()
        waiters = [self.wait_for(until) for until in ("free", "empty", "idle")]
        for waiter in waiters:
            self.assertIsNone(waiter.poll())
        holder.finish()
        for waiter in waiters:
            stdout, stderr = waiter.communicate(timeout=30)
            self.assertEqual((waiter.returncode, stderr), (0, ""))
            self.assertRegex(stdout, r"\A[0-9]+\.[0-9]{3}\n\Z")
            self.assertLessEqual(float(stdout), time.monotonic() - started)

    def test_a_killed_holder_makes_it_so_too(self):
        holder = self.hold(*POOL, "-n", "1", "--slot-exp", "1")
        waiter = self.wait_for("empty")
        self.assertEqual(waiter.wait(30), 0)
        self.assertTrue(alive(holder.command_pid))

    def test_it_gives_up_in_time(self):
        self.hold(*POOL, "-n", "1")
        started = time.monotonic()
        done = self.cachify("pool", "wait", "-k", "jobs", "--until", "free", "-t", "300ms")
        self.assertEqual(done.returncode, 124)
        self.assert_one_message(done, "jobs: not free within 300ms")
        self.assertGreaterEqual(time.monotonic() - started, 0.3)
        done = self.cachify(
            "pool", "wait", "-k", "jobs", "--until", "empty", env={"CACHIFY_TIMEOUT": "200ms"}
        )
        self.assertEqual(done.returncode, 124)

    def test_a_signal_ends_it(self):
        self.hold(*POOL, "-n", "1")
        for number in (signal.SIGTERM, signal.SIGINT):
            waiter = self.wait_for("free", "-t", "none")
            wait_until(lambda pid=waiter.pid: is_waiting(pid), "it waits")
            waiter.send_signal(number)
            self.assertEqual(waiter.wait(30), -number)
            self.assertEqual(waiter.stderr.read(), "")

    def test_wrong_use(self):
        for wrong in ((), ("--until", "full"), ("--until", "free", "-t", "x")):
            self.assert_one_message(self.ask("pool", "wait", "-k", "jobs", *wrong, code=64))


@on_every_store
class Release(SteerCase):
    def test_somebody_elses_slot_and_the_command_goes_on(self):
        holder = self.hold(*POOL, "-n", "1")
        other = self.waiting("-n", "1")
        self.ask("pool", "release", "-k", "jobs", "--id", holder.environment["CACHIFY_ID"])
        self.wait_for_holder(other)
        self.assertTrue(alive(holder.command_pid))
        self.assertEqual(holder.finish(7), 7)
        self.assertEqual(self.size(), 1)
        self.assertEqual(other.finish(), 0)

    def test_all_of_them(self):
        holders = [self.hold(*POOL, "-n", "3") for _ in range(3)]
        said = self.ask("-v", "pool", "release", "-k", "jobs", "--all").stderr
        self.assertIn("3 slots", said)
        self.assertEqual(self.size(), 0)
        for code, holder in enumerate(holders):
            self.assertEqual(holder.finish(code), code)

    def test_nothing_there_is_1_and_says_so(self):
        for noun, options in (("pool", ("--all",)), ("pool", ("--id", "12ab")),
                              ("lock", ()), ("lock", ("--id", "12ab"))):  # fmt: skip
            for terminate in ((), ("--terminate",)):
                done = self.ask(noun, "release", "-k", "jobs", *options, *terminate, code=1)
                self.assert_one_message(done, "jobs")
                done = self.ask("-q", noun, "release", "-k", "jobs", *options, *terminate, code=1)
                self.assertEqual(done.stderr, "")
        holder = self.hold(*POOL, "-n", "1")
        self.assert_one_message(
            self.ask("pool", "release", "-k", "jobs", "--id", "nobody's", code=1), "nobody's"
        )
        self.assertEqual(self.size(), 1)
        self.assertEqual(holder.finish(), 0)

    def test_terminate_ends_the_command_first(self):
        holder, other = self.hold(*POOL, "-n", "2"), self.hold(*POOL, "-n", "2")
        command = holder.command_pid
        self.ask("pool", "release", "-k", "jobs", "--terminate", "--id",
                 holder.environment["CACHIFY_ID"])  # fmt: skip
        self.assertFalse(alive(command))
        code, said = self.ended(holder)
        self.assertEqual((code, said.count("\n")), (76, 1))
        self.assertIn("taken away", said)
        self.assertEqual(self.size(), 1)
        self.assertEqual(other.finish(), 0)

    def test_a_command_that_ignores_term_is_killed_after_its_own_time(self):
        ready = self.path("ready")
        holder = self.start(*POOL, "-n", "1", "--kill-after", "300ms", "--", "sh", "-c",
                            'trap "" TERM; echo > "$0"; sleep 60 & wait; sleep 60', ready)  # fmt: skip
        wait_until(ready.exists, "the command ignores TERM")
        self.ask("pool", "release", "-k", "jobs", "--all", "--terminate")
        self.assertEqual(holder.wait(30), 76)

    def test_a_signal_ends_the_wait_for_the_end(self):
        ready = self.path("ready")
        holder = self.start(*POOL, "-n", "1", "--kill-after", "60", "--", "sh", "-c",
                            'trap "" TERM; echo > "$0"; sleep 60 & wait; sleep 60', ready)  # fmt: skip
        wait_until(ready.exists, "the command ignores TERM")
        release = self.start("pool", "release", "-k", "jobs", "--all", "--terminate")
        wait_until(lambda: is_waiting(release.pid), "release waits")
        release.terminate()
        self.assertEqual(release.wait(30), -signal.SIGTERM)
        self.assertIsNone(holder.poll())

    def test_a_lock_whoever_holds_it(self):
        writer = self.hold(*LOCK)
        self.ask("lock", "release", "-k", "jobs", "--id", writer.environment["CACHIFY_ID"])
        readers = [self.hold(*LOCK, "--shared") for _ in range(2)]
        self.ask("lock", "release", "-k", "jobs")
        last = self.hold(*LOCK)
        self.ask("lock", "release", "-k", "jobs", "--terminate")
        self.assertEqual(self.ended(last)[0], 76)
        for holder in (writer, *readers):
            self.assertEqual(holder.finish(3), 3)

    def test_wrong_use(self):
        for wrong in ((), ("--all", "--id", "x"), ("--id", "")):
            self.assert_one_message(self.ask("pool", "release", "-k", "jobs", *wrong, code=64))
        self.ask("lock", "release", "-k", "jobs", "--all", code=64)


if __name__ == "__main__":
    main()
