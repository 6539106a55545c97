"""Calls below a command that holds the lock: what can never be had is told at once, on every store."""

from support import CACHIFY, Case, main, on_every_store, wait_until


@on_every_store
class Nested(Case):
    def held_above(self, done):
        self.assertEqual(done.returncode, 75, done.stderr)
        self.assert_one_message(done, "jobs is already locked! An ancestor")

    def below(self, outer, inner, how='"$@"; exit $?', **options):
        """`lock run OUTER`, and below it `lock run INNER -- echo ran`, by the shell text HOW."""
        command = [CACHIFY, "lock", "run", "-k", "jobs", *inner, "--", "echo", "ran"]
        return self.cachify("lock", "run", "-k", "jobs", *outer, "--", "sh", "-c", how, "sh",
                            *command, timeout=20, **options)  # fmt: skip

    def test_it_is_told_through_whatever_starts_the_call(self):
        keep = " ".join(f"{name}='{value}'" for name, value in self.store.environment.items())
        pool = f"{CACHIFY} pool run -k jobs -n 1 --"
        for how in (
            'setsid -w "$@"', 'nohup "$@"', f'env -i {keep} setsid -w "$@"', f'{pool} "$@"',
            f'{CACHIFY} lock run -k other -- "$@"; exit $?', ': $("$@") && exit 75 || exit $?',
            '"$@" & wait $!', ': | "$@" 9<&- 10<&- 11<&-',
        ):  # fmt: skip
            with self.subTest(how=how):
                done = self.below([], ["-w"], how)
                self.held_above(done)
        self.held_above(self.below([], ["-s", "-w"]))
        self.held_above(self.below(["-s"], ["-w"]))
        self.held_above(self.below([], ["--replace", "both"]))
        self.held_above(self.below([], ["-k", "another", "-t", "10"]))

    def test_readers_share_it_with_their_ancestors(self):
        self.assertEqual(self.below(["-s"], ["-s", "-w"]).stdout, "ran\n")

    def test_a_reader_below_a_reader_does_not_wait_for_a_writer_that_waits_for_its_ancestor(self):
        for inner in (["-s", "-w"], ["-s"], ["-s", "-w", "--queue-max", "9"]):
            go = self.path("go")
            outer = self.start(
                "lock", "run", "-s", "-k", "jobs", "--", "sh", "-c",
                'until [ -e "$0" ]; do sleep .01; done; "$@"; exit $?', go,
                CACHIFY, "lock", "run", "-k", "jobs", *inner, "--", "echo", "ran",
            )  # fmt: skip
            locked = ("lock", "is-locked", "-k", "jobs")
            wait_until(lambda: self.cachify(*locked).returncode == 0, "the ancestor holds it")
            writer = self.hold("lock", "run", "-k", "jobs", "-w", wait_for_start=False)
            self.wait_for_queued(writer)
            go.touch()
            self.assertEqual(outer.wait(10), 75)
            self.assertIn("An ancestor", outer.stderr.read())
            self.wait_for_holder(writer)
            self.assertEqual(writer.finish(), 0)
            go.unlink()

    def test_a_dead_writer_keeps_no_reader_below_a_reader_out(self):
        go = self.path("go")
        outer = self.start(
            "lock", "run", "-s", "-k", "jobs", "--", "sh", "-c",
            'until [ -e "$0" ]; do sleep .01; done; "$@"; exit $?', go,
            CACHIFY, "lock", "run", "-k", "jobs", "-s", "-w", "--", "echo", "ran",
        )  # fmt: skip
        locked = ("lock", "is-locked", "-k", "jobs")
        wait_until(lambda: self.cachify(*locked).returncode == 0, "the ancestor holds it")
        writers = [self.start("lock", "run", "-k", "jobs", "-w", "--", "true") for _ in range(2)]
        self.wait_for_queued(*writers)
        for writer in writers:
            writer.kill()
            writer.wait()
        go.touch()
        self.assertEqual(outer.communicate(timeout=10), ("ran\n", ""))

    def test_a_daemon_of_the_command_may_wait_for_its_end(self):
        go, err = self.path("go"), self.path("err")
        script = '("$@" 2>"$0" &); while [ ! -e "$0.go" ]; do sleep .01; done'
        daemon = [CACHIFY, "lock", "run", "-k", "jobs", "-w", "--", "touch", go]
        outer = self.start("lock", "run", "-k", "jobs", "--", "sh", "-c", script, err, "setsid",
                           *daemon)  # fmt: skip

        def waiting():
            return ", 1 waiting" in self.cachify("lock", "status", "-k", "jobs").stdout

        wait_until(waiting, "the daemon is queued")
        self.path("err.go").touch()
        self.assertEqual(outer.wait(10), 0)
        wait_until(go.exists, "the daemon got it")
        self.assertEqual(err.read_text(), "")


if __name__ == "__main__":
    main()
