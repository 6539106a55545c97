"""What COMMAND gets and what comes back: codes, deaths, argv, descriptors, environment, signals."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys

from support import CACHIFY, PROBE, SANITIZED, Case, main, on_every_store

POOL = ("pool", "run", "-k", "jobs", "-n", "4")
LOCK = ("lock", "run", "-k", "jobs")
DEADLY = [
    number
    for number in range(1, 32)
    if number
    not in (signal.SIGCHLD, signal.SIGCONT, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN,
            signal.SIGTTOU, signal.SIGURG, signal.SIGWINCH)
]
DIES_TOO = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class ProbeCase(Case):
    def probe(self, *args, before=POOL, options=(), **popen):
        """What the probe tells when it is run as COMMAND with these arguments."""
        out = self.path("probe.json")
        command = [PROBE, "--out", str(out), *args]
        done = self.cachify(*before, *options, "--", *command, **popen)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(out.read_bytes())

    def direct(self, *args, **popen):
        """The same without cachify."""
        out = self.path("direct.json")
        done = self.run_program([PROBE, "--out", str(out), *args], **popen)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(out.read_bytes())


@on_every_store
class Codes(Case):
    def test_every_exit_code_comes_back(self):
        for code in range(256):
            done = self.cachify(*POOL, "--", "sh", "-c", f"exit {code}")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (code, "", ""))

    def test_the_lock_passes_codes_too(self):
        for code in (0, 1, 75, 124, 255):
            self.assertEqual(self.cachify(*LOCK, "--", "sh", "-c", f"exit {code}").returncode, code)

    def test_a_death_by_signal_is_128_and_its_number_and_four_end_cachify_too(self):
        for number in DEADLY:
            done = self.cachify(
                *POOL, "--", "sh", "-c", f"ulimit -c 0; kill -{number} $$; exit 99"
            )
            expected = -number if number in DIES_TOO else 128 + number
            self.assertEqual(done.returncode, expected, signal.Signals(number).name)
            self.assertEqual(done.stderr, "")

    def test_a_command_that_dies_of_quit_has_its_core_alone(self):
        status = self.run_program(
            [sys.executable, "-c",
             "import os, sys\n"
             "pid = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])\n"
             "print(os.WCOREDUMP(os.waitpid(pid, 0)[1]))",
             CACHIFY, *POOL, "--", "sh", "-c", "ulimit -c 0; kill -QUIT $$"],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20)),
        )
        self.assertEqual(status.stdout, "False\n")

    def test_what_cannot_be_found_is_127_and_what_cannot_be_executed_126(self):
        plain = self.write("plain", "#!/bin/sh\n", 0o644)
        orphan = self.write("orphan", "#!/nonexistent\n", 0o755)
        cases = [
            ("no-such-command", 127), ("/no/such/command", 127), ("", 127), (str(orphan), 127),
            (str(plain), 126), (str(self.dir), 126), (f"{plain}/x", 126),
        ]
        for command, code in cases:
            done = self.cachify(*POOL, "--", command)
            self.assertEqual(done.returncode, code, command)
            self.assert_one_message(done, f"cannot run '{command}': ")
            self.assertEqual(self.cachify("pool", "size", "-k", "jobs").stdout, "0\n")

    def test_an_environment_that_the_variables_make_too_large_is_126(self):
        stack = (1 << 20, 1 << 20)  # the kernel takes a quarter of it
        key = ("-k", "{a}{a}{a}{a}", "-a", "a=" + "k" * 128)  # four times as long for COMMAND

        def attempt(fill):
            env = {f"FILL{i}": "x" * (fill // 4) for i in range(4)}
            try:
                return self.cachify(
                    "pool", "run", *key, "-n", "4", "--", "/bin/true", env=env,
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, stack),
                )
            except OSError as error:
                self.assertEqual(error.errno, errno.E2BIG)  # too much for cachify itself
                return None

        fits, fails = 0, 1 << 18
        while fails - fits > 8:
            middle = (fits + fails) // 2
            if attempt(middle):
                fits = middle
            else:
                fails = middle
        self.assertEqual(attempt(0).returncode, 0)
        done = attempt(fits)
        self.assertEqual(done.returncode, 126)
        self.assert_one_message(done, "cannot run '/bin/true': ")

    def test_a_script_without_an_interpreter_line_is_run_by_sh(self):
        script = self.write("script", 'echo "$#:$1"; exit 4\n', 0o755)
        done = self.cachify(*POOL, "--", str(script), "a b")
        self.assertEqual((done.returncode, done.stdout), (4, "1:a b\n"))

    def test_a_background_process_does_not_keep_cachify_waiting(self):
        done = self.cachify(
            *POOL, "--", "sh", "-c", "sleep 1000 >/dev/null 2>&1 </dev/null & exit 3"
        )
        self.assertEqual(done.returncode, 3)
        self.assertEqual(self.cachify("pool", "size", "-k", "jobs").stdout, "0\n")

    def test_children_that_cachify_was_given_are_no_concern_of_its(self):
        # `exec` makes the shell's children cachify's.
        done = self.run_program(
            ["sh", "-c", 'sh -c "exit 9" & sleep 1000 & exec "$@"', "sh", CACHIFY, *POOL, "--",
             "sh", "-c", "exit 5"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self.assertEqual(done.returncode, 5)


@on_every_store
class Inheritance(ProbeCase):
    def test_argv_is_intact(self):
        args = ["", "--", "a b", "new\nline", "*", "$HOME", "'\"", "\\", "-n", "ünïcode", "--", ""]
        told = self.probe("--", *args)
        got = [item.encode("latin-1").decode() for item in told["argv"][4:]]
        self.assertEqual(got, args)

    def test_the_environment_gains_the_slots_variables_and_nothing_else(self):
        env = {"EMPTY": "", "CACHIFY_SLOT": "outer", "LD_X": "1", "odd.name": "2"}
        told = self.probe(env=env)
        ours = self.direct(env=env)
        got = dict(item.split("=", 1) for item in told["environment"])
        expected = dict(item.split("=", 1) for item in ours["environment"])
        added = {name: got.pop(name) for name in (
            "CACHIFY_KEY", "CACHIFY_MAX", "CACHIFY_SLOT", "CACHIFY_ID", "CACHIFY_FENCE",
            "CACHIFY_WAITED")}
        del expected["CACHIFY_SLOT"]
        self.assertEqual(got, expected)
        self.assertEqual(len(told["environment"]), len(got) + len(added))
        self.assertEqual((added["CACHIFY_KEY"], added["CACHIFY_MAX"], added["CACHIFY_SLOT"]),
                         ("jobs", "4", "0"))
        self.assertRegex(added["CACHIFY_WAITED"], r"\A[0-9]+\.[0-9]+\Z")
        self.assertRegex(added["CACHIFY_FENCE"], r"\A[1-9][0-9]*\Z")

    def test_working_directory_and_umask(self):
        told = self.probe(umask=0o027)
        self.assertEqual((told["cwd"], told["umask"]), (str(self.dir), 0o027))

    def test_descriptors_reach_the_command_as_they_came(self):
        file = self.write("file", "0123456789")
        fds = [os.open(file, flags) for flags in (os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND)]
        try:
            os.lseek(fds[0], 4, os.SEEK_SET)
            expected = self.direct(pass_fds=fds)["descriptors"]
            for options in ((), ("--no-inherit",)):
                told = self.probe(pass_fds=fds, options=options)["descriptors"]
                for fd in map(str, fds):
                    self.assertEqual(told.pop(fd), expected[fd])
                extra = set(told) - set(expected)
                self.assertEqual({"0", "1", "2"} - set(told), set())
                self.assertLessEqual(len(extra), 0 if options else 1, told)
                for fd in extra:  # out of the way of what a script may use
                    self.assertGreaterEqual(int(fd), 10)
        finally:
            for fd in fds:
                os.close(fd)

    def test_closed_standard_descriptors_stay_closed(self):
        for closed in ((0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)):
            def close(closed=closed):
                for fd in closed:
                    os.close(fd)

            told = self.probe(preexec_fn=close)
            open_ones = {fd for fd in map(int, told["descriptors"]) if fd < 10}
            self.assertEqual(open_ones, {0, 1, 2} - set(closed))

    def test_no_message_ends_in_a_file_when_standard_error_is_closed(self):
        holder = self.hold(*LOCK)
        done = self.cachify(*LOCK, "-v", "--", "true", preexec_fn=lambda: os.close(2))
        self.assertEqual(done.returncode, 75)
        self.assertEqual(holder.finish(), 0)
        self.assertEqual(self.cachify("lock", "is-locked", "-k", "jobs").returncode, 1)

    def test_standard_input_is_the_commands(self):
        done = self.cachify(*POOL, "--", "cat", input="one\ntwo\n")
        self.assertEqual(done.stdout, "one\ntwo\n")

    def test_few_descriptors_are_enough(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

        told = self.probe(preexec_fn=limit)
        self.assertIn("0", told["descriptors"])

        def tiny():
            resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))  # none at 10 or above

        told = self.probe(preexec_fn=tiny)
        self.assertIn("0", told["descriptors"])


@on_every_store
class GivenSignals(ProbeCase):
    def compare(self, setup, before=POOL):
        told = self.probe(preexec_fn=setup, before=before, restore_signals=False)
        expected = self.direct(preexec_fn=setup, restore_signals=False)
        for what in ("blocked", "ignored"):
            self.assertEqual(told[what], expected[what], what)
        return told

    def test_the_mask_is_the_one_that_was_given(self):
        for mask in ((), (signal.SIGTERM,), (signal.SIGCHLD, signal.SIGTTOU, signal.SIGPIPE),
                     tuple(signal.valid_signals())):
            def block(mask=mask):
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)

            self.compare(block)
            self.compare(block, LOCK)

    def test_ignored_signals_stay_ignored(self):
        def ignore(numbers):
            for number in numbers:
                signal.signal(number, signal.SIG_IGN)

        everything = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
        if SANITIZED:  # the sanitizer's own handlers
            everything -= {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE}
        for numbers in ([], [signal.SIGINT, signal.SIGQUIT], [signal.SIGHUP], [signal.SIGCHLD],
                        [signal.SIGPIPE], everything):
            told = self.compare(lambda numbers=numbers: ignore(numbers))
            self.assertLessEqual({int(n) for n in numbers}, set(told["ignored"]))

    def test_they_are_so_after_a_wait_too(self):
        def setup():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, (signal.SIGUSR1, signal.SIGRTMAX - 1))

        expected = self.direct(preexec_fn=setup, restore_signals=False)
        holder = self.hold(*LOCK)
        out = self.path("waited.json")
        waiter = self.start(*LOCK, "-t", "60", "--", PROBE, "--out", str(out), preexec_fn=setup,
                            restore_signals=False)
        self.wait_for_queued(waiter)
        holder.finish()
        self.assertEqual(waiter.wait(60), 0)
        told = json.loads(out.read_bytes())
        for what in ("blocked", "ignored"):
            self.assertEqual(told[what], expected[what], what)

    def test_the_code_is_known_when_sigchld_was_ignored(self):
        def ignore():
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)

        for code in (0, 7, 255):
            done = self.cachify(*POOL, "--", "sh", "-c", f"exit {code}", preexec_fn=ignore)
            self.assertEqual(done.returncode, code)

    def test_an_alarm_that_was_set_before_rings_while_waiting(self):
        # As with `perl -e 'alarm 1; exec ...'`: the store's own time-outs leave it alone.
        self.hold(*LOCK)
        done = self.cachify(*LOCK, "-t", "60", "--", "true",
                            preexec_fn=lambda: signal.setitimer(signal.ITIMER_REAL, 0.3))
        self.assertEqual(done.returncode, -signal.SIGALRM)

    def test_a_reader_of_messages_that_went_away_changes_nothing(self):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            done = self.cachify(*POOL, "--", "no-such-command", stderr=writing)
            self.assertEqual(done.returncode, 127)
        finally:
            os.close(writing)


if __name__ == "__main__":
    main()
