"""--replace: the newest one wins."""

import signal

from support import Case, alive, main, on_every_store, wait_until

POOL = ("pool", "run", "-k", "jobs")
LOCK = ("lock", "run", "-k", "jobs")


@on_every_store
class Replace(Case):
    def ended(self, holder, timeout=30):
        _, stderr = holder.process.communicate(timeout=timeout)
        return holder.process.returncode, stderr

    def stubborn(self, *options):
        """A holder whose command ignores TERM, and the pid of that."""
        ready = self.path("ready")
        process = self.start(*options, "--", "sh", "-c",
                             'trap "" TERM; echo $$ > "$0.new"; mv "$0.new" "$0"; '
                             'while :; do sleep 60 & wait; done', ready)  # fmt: skip
        wait_until(ready.exists, "the command ignores TERM")
        return process, int(ready.read_text())

    def test_the_running_one_is_ended_and_only_then_the_newer_one_starts(self):
        old = self.hold(*LOCK)
        command = old.command_pid
        done = self.cachify(*LOCK, "--replace", "running", "--", "sh", "-c",
                            f"kill -0 {command} 2>/dev/null && echo both; echo ran")  # fmt: skip
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "ran\n", ""))
        code, said = self.ended(old)
        self.assertEqual(code, 76)
        self.assertIn("taken away", said)

    def test_v_says_whom_it_ends(self):
        old = self.hold(*LOCK)
        done = self.cachify("-v", *LOCK, "--replace", "running", "--", "true")
        self.assertEqual(done.returncode, 0)
        self.assert_one_message(done, "ending who holds jobs", f"pid {old.process.pid} ")

    def test_where_it_is_free_it_just_runs(self):
        for mode in ("running", "waiting", "both"):
            for noun in (LOCK, (*POOL, "-n", "1")):
                done = self.cachify(*noun, "--replace", mode, "--", "echo", "ran")
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "ran\n", ""))

    def test_kill_comes_after_this_callers_time(self):
        old, command = self.stubborn(*LOCK, "--kill-after", "60")
        new = self.cachify(*LOCK, "--replace", "running", "--kill-after", "300ms", "--", "echo", "ran")
        self.assertEqual((new.returncode, new.stdout), (0, "ran\n"), new.stderr)
        self.assertFalse(alive(command))
        self.assertEqual(old.wait(30), 76)

    def test_a_time_out_bounds_the_wait_for_its_end(self):
        old, command = self.stubborn(*LOCK)
        new = self.cachify(*LOCK, "--replace", "running", "--kill-after", "60", "-t", "500ms", "--",
                           "echo", "ran")  # fmt: skip
        self.assertEqual((new.returncode, new.stdout), (124, ""), new.stderr)
        self.assertTrue(alive(command))
        self.assertIsNone(old.poll())

    def test_who_does_not_wait_replaces_nobody(self):
        old = self.hold(*LOCK)
        new = self.cachify(*LOCK, "--replace", "both", "-t", "0", "--", "echo", "ran")
        self.assertEqual((new.returncode, new.stdout), (75, ""), new.stderr)
        self.assertEqual(old.finish(4), 4)

    def test_waiting_ones_are_dismissed_and_the_running_one_ends_by_itself(self):
        old = self.hold(*LOCK)
        waiters = [self.hold(*LOCK, "-w", wait_for_start=False) for _ in range(2)]
        self.wait_for_queued(*waiters)
        new = self.hold(*LOCK, "--replace", "waiting", wait_for_start=False)
        for waiter in waiters:
            self.assertEqual(self.ended(waiter), (75, "cachify: jobs: dismissed from the queue\n"))
            self.assertFalse(waiter.running())
        self.wait_for_queued(new)
        self.assertFalse(new.running())
        self.assertEqual(old.finish(3), 3)
        self.wait_for_holder(new)
        self.assertEqual(new.finish(), 0)

    def test_both(self):
        old = self.hold(*LOCK)
        waiter = self.hold(*LOCK, "-w", wait_for_start=False)
        self.wait_for_queued(waiter)
        new = self.hold(*LOCK, "--replace", "both")
        self.assertEqual(self.ended(old)[0], 76)
        self.assertEqual(self.ended(waiter)[0], 75)
        self.assertEqual(new.finish(), 0)

    def test_the_running_one_ends_though_others_wait_before_the_newest(self):
        old = self.hold(*LOCK)
        waiter = self.hold(*LOCK, "-w", wait_for_start=False)
        self.wait_for_queued(waiter)
        new = self.hold(*LOCK, "--replace", "running", wait_for_start=False)
        self.assertEqual(self.ended(old)[0], 76)
        self.wait_for_holder(new)
        self.assertEqual(self.ended(waiter)[0], 76)  # then it was the one that ran
        self.assertEqual(new.finish(), 0)

    def test_of_a_pool_the_oldest_goes(self):
        holders = [self.hold(*POOL, "-n", "3") for _ in range(3)]
        new = self.hold(*POOL, "-n", "3", "--replace", "running")
        self.assertEqual(self.ended(holders[0])[0], 76)
        self.assertEqual([holder.process.poll() for holder in holders[1:]], [None, None])
        newer = self.hold(*POOL, "-n", "3", "--weight", "2", "--replace", "running")
        self.assertEqual(self.ended(holders[1])[0], 76)
        self.assertEqual(self.ended(holders[2])[0], 76)
        self.assertEqual((new.finish(), newer.finish()), (0, 0))

    def test_a_reader_fits_beside_readers_and_ends_a_writer(self):
        reader = self.hold(*LOCK, "--shared")
        beside = self.hold(*LOCK, "--shared", "--replace", "running")
        self.assertIsNone(reader.process.poll())
        writer = self.hold(*LOCK, "--replace", "running")
        self.assertEqual([self.ended(one)[0] for one in (reader, beside)], [76, 76])
        last = self.hold(*LOCK, "--shared", "--replace", "running")
        self.assertEqual(self.ended(writer)[0], 76)
        self.assertEqual(last.finish(), 0)

    def test_one_after_the_other_only_the_newest_is_left(self):
        newest = self.hold(*LOCK)
        for _ in range(5):
            older, newest = newest, self.hold(*LOCK, "--replace", "both")
            self.assertEqual(self.ended(older)[0], 76)
        self.assertEqual(newest.finish(), 0)

    def test_a_signal_while_waiting_for_the_end(self):
        self.stubborn(*LOCK)
        new = self.hold(*LOCK, "--replace", "running", "--kill-after", "60", wait_for_start=False)
        self.wait_for_queued(new)
        new.process.send_signal(signal.SIGINT)
        self.assertEqual(new.process.wait(30), -signal.SIGINT)
        self.assertFalse(new.running())

    def test_it_can_replace_one_without_a_command_and_be_acquired_itself(self):
        owner = self.spawn(["sleep", "60"])
        for noun in (("lock",), ("pool", "-n", "1")):
            acquire = (noun[0], "acquire", "-k", "jobs", *noun[1:], "--owner-pid", str(owner.pid))
            run = (noun[0], "run", "-k", "jobs", *noun[1:])
            self.assertEqual(self.cachify(*acquire).returncode, 0)
            self.assertEqual(self.cachify(*run, "--", "true").returncode, 75)
            old = self.hold(*run, "--replace", "running")
            self.assertEqual(self.cachify(*acquire, "--replace", "running").returncode, 0)
            self.assertEqual(self.ended(old)[0], 76)

    def test_wrong_use(self):
        for wrong in (("--replace", "all"), ("--replace", ""), ("--replace",)):
            done = self.cachify(*LOCK, *wrong, "--", "true")
            self.assertEqual(done.returncode, 64)
            self.assert_one_message(done, "--replace")


if __name__ == "__main__":
    main()
