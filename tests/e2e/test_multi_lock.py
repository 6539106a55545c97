"""lock run with several keys: all of them or none."""

import os
import random
import signal

from support import CACHIFY, Case, alive, main, on_every_store, wait_until


def keys(text):
    """-k for each letter."""
    return [word for key in text for word in ("-k", key)]


@on_every_store
class MultiLock(Case):
    def held(self):
        """The letters that are locked."""
        return "".join(
            key for key in "abcdef"
            if self.cachify("lock", "is-locked", "-k", key).returncode == 0
        )  # fmt: skip

    def lock(self, text, *options, **more):
        return self.hold("lock", "run", *keys(text), *options, **more)

    def waiting(self, text, *options):
        holder = self.lock(text, "-w", *options, wait_for_start=False)
        self.wait_for_queued(holder)
        return holder

    def test_all_are_held_while_the_command_runs(self):
        holder = self.lock("cab")
        self.assertEqual(self.held(), "abc")
        self.assertEqual(holder.finish(5), 5)
        self.assertEqual(self.held(), "")

    def test_the_command_is_told_a_line_for_each_in_the_order_given(self):
        env = self.lock("cabac").environment
        self.assertEqual(env["CACHIFY_KEY"], "c\na\nb")
        ids, fences = env["CACHIFY_ID"].split("\n"), env["CACHIFY_FENCE"].split("\n")
        self.assertEqual((len(set(ids)), len(fences)), (3, 3))
        self.assertTrue(all(fence.isdigit() for fence in fences))
        self.assertEqual((env["CACHIFY_SLOT"], env["CACHIFY_MAX"]), ("0", "1"))
        for key, one in zip("cab", ids):
            self.assertEqual(
                self.cachify("lock", "release", "-k", key, "--id", one).returncode, 0
            )
            self.assertNotIn(key, self.held())

    def test_the_same_key_twice_is_one_lock(self):
        holder = self.lock("aa")
        self.assertEqual(holder.environment["CACHIFY_KEY"], "a")
        self.assertEqual(holder.finish(), 0)

    def test_a_refusal_gives_back_the_earlier_ones_and_names_the_key(self):
        self.lock("b")
        for options in ((), ("-E", "75"), ("-t", "200ms", "-E", "75")):
            done = self.cachify("lock", "run", *keys("cba"), *options, "--", "echo", "ran")
            self.assertEqual(done.returncode, 75)
            self.assert_one_message(done, "b")
            self.assertEqual(self.held(), "b")
        done = self.cachify("lock", "run", *keys("cba"), "-t", "200ms", "--", "echo", "ran")
        self.assertEqual(done.returncode, 124)
        self.assert_one_message(done, "b: the lock did not become free within 200ms")

    def test_the_time_out_is_for_all_of_them_together(self):
        first = self.lock("a")
        second = self.lock("b")
        waiter = self.lock("ab", "-t", "1500ms", wait_for_start=False)
        self.wait_for_queued(waiter)
        first.finish()
        wait_until(lambda: "a" in self.held(), "the first one is taken")
        self.assertEqual(waiter.process.wait(30), 124)
        self.assertEqual(self.held(), "b")
        second.finish()

    def test_while_one_is_waited_for_the_earlier_ones_are_held(self):
        blocker = self.lock("b")
        waiter = self.waiting("ab")
        self.assertEqual(self.held(), "ab")
        behind = self.waiting("a")
        blocker.finish()
        self.wait_for_holder(waiter)
        self.assertFalse(behind.running())
        waiter.finish()
        self.wait_for_holder(behind)
        self.assertEqual(behind.finish(), 0)

    def test_a_signal_while_waiting_gives_back_the_earlier_ones(self):
        self.lock("b")
        for number in (signal.SIGTERM, signal.SIGINT):
            waiter = self.waiting("ab")
            waiter.process.send_signal(number)
            self.assertEqual(waiter.process.wait(30), -number)
            self.assertEqual(self.held(), "b")
            self.assertFalse(waiter.running())

    def test_an_ancestors_lock_is_refused_whichever_it_is(self):
        for inner in ("a", "b", "ca", "cb"):
            done = self.cachify("lock", "run", *keys("ab"), "--",
                                CACHIFY, "lock", "run", "-w", *keys(inner), "--", "echo", "ran")  # fmt: skip
            self.assertEqual(done.returncode, 75)
            self.assert_one_message(done, f"{inner[-1]} is already locked!", "ancestor")
            self.assertEqual(self.held(), "")

    def test_readers_share_all_of_them(self):
        first, second = self.lock("ab", "--shared"), self.lock("bc", "--shared")
        self.assertEqual(self.cachify("lock", "run", *keys("cd"), "--", "true").returncode, 75)
        self.assertEqual((first.finish(), second.finish()), (0, 0))

    def test_one_that_is_taken_away_while_it_runs_ends_the_command(self):
        holder = self.lock("ab")
        command = holder.command_pid
        self.assertEqual(self.cachify("lock", "release", "-k", "b", "--terminate").returncode, 0)
        self.assertFalse(alive(command))
        self.assertEqual(holder.process.wait(30), 76)
        self.assertEqual(self.held(), "")

    def test_one_that_is_given_back_while_it_runs_leaves_the_others(self):
        holder = self.lock("ab")
        self.assertEqual(self.cachify("lock", "release", "-k", "a").returncode, 0)
        self.assertEqual(self.held(), "b")
        self.assertEqual(holder.finish(6), 6)
        self.assertEqual(self.held(), "")

    def test_one_that_is_taken_away_while_another_is_waited_for_ends_the_wait(self):
        self.lock("b")
        for options in (("--terminate",), ()):
            waiter = self.waiting("ab")
            self.assertEqual(self.cachify("lock", "release", "-k", "a", *options).returncode, 0)
            _, said = waiter.process.communicate(timeout=30)
            self.assertEqual(waiter.process.returncode, 76, said)
            self.assertRegex(said, r"\Acachify: a: [^\n]*\n\Z")
            self.assertFalse(waiter.running())
            self.assertEqual(self.held(), "b")

    def test_replace_ends_whoever_holds_one_of_them(self):
        holders = [self.lock(text) for text in ("a", "bc", "d")]
        new = self.lock("cda", "--replace", "running")
        self.assertEqual([holder.process.wait(30) for holder in holders], [76, 76, 76])
        self.assertEqual(new.finish(), 0)

    def test_one_that_expires_while_another_is_waited_for_ends_the_wait(self):
        first = self.lock("b")
        late = self.start("lock", "run", *keys("ab"), "-w", "--exp", ".3", "--", "echo", "ran")
        self.assertEqual(late.wait(10), 76)
        self.assertEqual(late.stdout.read(), "")
        said = late.stderr.read()
        self.assertEqual(said, "cachify: a: the lock expired before the others could be had\n")
        self.assertEqual(self.held(), "b")
        self.assertEqual(first.finish(), 0)
        # In time, the time of each counts from when it was had, and the command goes on after it.
        first = self.lock("b")
        in_time = self.waiting("ab", "--exp", "2")
        first.finish()
        self.wait_for_holder(in_time)
        wait_until(lambda: self.held() == "", "both have expired")
        self.assertEqual(in_time.finish(4), 4)

    def test_callers_in_any_order_never_block_each_other(self):
        log = self.path("log")
        order = random.Random(7)
        script = 'for k in $1; do mkdir "$0.$k" || echo "two hold $k" >> "$0"; done; ' \
                 'for k in $1; do rmdir "$0.$k"; done; echo done >> "$0"'
        processes = []
        for _ in range(24):
            some = order.sample("abcd", order.randint(1, 4))
            processes.append(self.start("lock", "run", *keys(some), "-w", "--", "sh", "-c", script,
                                        log, " ".join(some)))  # fmt: skip
        for process in processes:
            self.assertEqual(process.wait(60), 0)
        self.assertEqual(log.read_text(), "done\n" * 24)

    def test_a_killed_cachify_leaves_nothing_behind(self):
        holder = self.lock("ab", "--no-inherit", "--exp", "20")
        holder.process.kill()
        holder.process.wait(30)
        if self.store.name == "file":
            self.assertEqual(self.held(), "")

    def test_the_commands_copies_keep_all_locks_of_a_killed_cachify(self):
        if self.store.name != "file":
            self.skipTest("a lease ends without its cachify")
        holder = self.lock("ab")
        holder.process.kill()
        holder.process.wait(30)
        self.assertEqual(self.held(), "ab")
        os.kill(holder.command_pid, signal.SIGKILL)
        wait_until(lambda: self.held() == "", "the locks end with the command")

    def test_other_verbs_take_one_key(self):
        for words in (("pool", "run", "-n", "1"), ("lock", "acquire"), ("lock", "is-locked"),
                      ("lock", "release"), ("pool", "size")):  # fmt: skip
            command = ("--", "true") if words[1] == "run" else ()
            done = self.cachify(*words, *keys("ab"), *command)
            self.assertEqual(done.returncode, 64)
            self.assert_one_message(done, "--key was given several times")


if __name__ == "__main__":
    main()
