"""Signals and job control at a terminal: a pseudo terminal with a session of its own, the keys that
people type, and real shells."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import termios
import time

from support import CACHIFY, PROBE, Case, alive, main, process_stat, process_state, wait_until

POOL = ("pool", "run", "-k", "jobs", "-n", "1")

# Writes each signal it gets to a file, and ends with 5 when it reads a line `end`. With `tty`, it
# reads that from the terminal, else from a FIFO. TSTP is left alone.
COUNTER = """
import os, select, signal, sys
wake, waker = os.pipe()
os.set_blocking(waker, False)
signal.set_wakeup_fd(waker)
for name in sys.argv[3:]:
    signal.signal(signal.Signals[name], lambda *_: None)
source = os.open(sys.argv[2], os.O_RDWR)
out = open(sys.argv[1], "a", buffering=1)
print("ready", os.getpid(), file=out)
while True:
    ready, _, _ = select.select([source, wake], [], [])
    if wake in ready:
        for number in os.read(wake, 100):
            print(signal.Signals(number).name, file=out)
    if source in ready:
        os.read(source, 100)
        sys.exit(5)
"""


class Terminal:
    """A program in a session of its own, whose controlling terminal we hold the other end of."""

    def __init__(self, case, argv):
        self.output = b""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(case.dir)
            for number in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            os.execvpe(argv[0], [os.fspath(arg) for arg in argv], case.environ({"TERM": "dumb"}))
        self.code = None
        case.addCleanup(self.close)

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self):
        """Takes what has been written to the terminal; False at its end."""
        while select.select([self.master], [], [], 0)[0]:
            try:
                piece = os.read(self.master, 4096)
            except OSError:
                return False
            if not piece:
                return False
            self.output += piece
        return True

    def expect(self, pattern, timeout=30):
        """Waits until the output matches, and drops what stands before the end of the match."""
        def found():
            self.read()
            return re.search(pattern.encode(), self.output)

        try:
            match = wait_until(found, f"{pattern!r} on the terminal", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.output!r}") from None
        self.output = self.output[match.end():]
        return match

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def foreground(self):
        return int(process_stat(self.pid)[5])

    def wait(self, timeout=30):
        """The status as subprocess tells it: -n for a death by signal n."""
        def ended():
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            return pid

        if self.code is None:
            wait_until(ended, "the session's leader has ended", timeout)
        return self.code

    def close(self):
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)


class TerminalCase(Case):
    SIGNALS = ("INT", "QUIT", "HUP", "TERM", "WINCH", "CONT", "USR1")

    def setUp(self):
        super().setUp()
        self.log = self.path("signals.log")
        self.fifo = self.path("control")
        os.mkfifo(self.fifo)

    def counter(self, source=None, signals=SIGNALS):
        """argv of a COMMAND that counts signals."""
        return ["python3", "-c", COUNTER, str(self.log), str(source or self.fifo),
                *("SIG" + name for name in signals)]

    def counter_pid(self):
        wait_until(lambda: self.log.exists() and self.log.read_text().startswith("ready"),
                   "the command is ready")
        return int(self.log.read_text().split()[1])

    def got(self):
        return self.log.read_text().splitlines()[1:]

    def end_counter(self):
        with open(self.fifo, "w", encoding="ascii") as fifo:
            fifo.write("end\n")

    def wait_got(self, *names):
        wait_until(lambda: len(self.got()) >= len(names), f"{names} arrived")
        self.assertEqual(tuple(self.got()), names)

    def quoted(self, argv):
        script = self.write("command.sh", "exec " + " ".join(
            "'" + arg.replace("'", "'\\''") + "'" for arg in argv) + "\n")
        return f"sh {script}"


class WithoutAShell(TerminalCase):
    """cachify leads the session, as with `ssh -t HOST cachify ...`."""

    def test_interrupt_key_reaches_the_command_once(self):
        for options in ((), ("-g",)):
            with self.subTest(options=options):
                self.log.unlink(missing_ok=True)
                terminal = Terminal(self, [CACHIFY, *POOL, *options, "--", *self.counter()])
                self.counter_pid()
                terminal.type("\x03")
                self.wait_got("SIGINT")
                terminal.type("\x1c")
                self.wait_got("SIGINT", "SIGQUIT")
                self.end_counter()
                self.assertEqual(terminal.wait(), 5)
                self.assertEqual(self.got(), ["SIGINT", "SIGQUIT"])

    def test_a_resize_reaches_the_command_once(self):
        for options in ((), ("-g",)):
            with self.subTest(options=options):
                self.log.unlink(missing_ok=True)
                terminal = Terminal(self, [CACHIFY, *POOL, *options, "--", *self.counter()])
                self.counter_pid()
                terminal.resize(40, 100)
                self.wait_got("SIGWINCH")
                terminal.resize(41, 100)
                self.wait_got("SIGWINCH", "SIGWINCH")
                self.end_counter()
                self.assertEqual(terminal.wait(), 5)
                self.assertEqual(self.got(), ["SIGWINCH"] * 2)

    def test_a_hang_up_that_only_the_leader_gets_is_passed_on(self):
        terminal = Terminal(self, [CACHIFY, *POOL, "--", *self.counter()])
        pid = self.counter_pid()
        master, terminal.master = terminal.master, os.open("/dev/null", os.O_RDONLY)
        os.close(master)
        wait_until(lambda: "SIGHUP" in self.got(), "HUP arrived")
        self.assertEqual(self.got().count("SIGHUP"), 1)
        self.end_counter()
        self.assertEqual(terminal.wait(), 5)
        self.assertFalse(alive(pid))

    def test_the_interrupt_key_ends_a_command_and_cachify_of_int(self):
        for options in ((), ("-g",)):
            terminal = Terminal(self, [CACHIFY, *POOL, *options, "--", "sh", "-c",
                                       "echo ready; while :; do sleep 0.02; done"])
            terminal.expect("ready")
            terminal.type("\x03")
            self.assertEqual(terminal.wait(), -signal.SIGINT)

    def test_stop_key_without_a_shell_stops_nothing(self):
        for options in ((), ("-g",)):
            with self.subTest(options=options):
                self.log.unlink(missing_ok=True)
                terminal = Terminal(self, [CACHIFY, *POOL, *options, "--",
                                           *self.counter(signals=("INT",))])
                self.counter_pid()
                terminal.type("\x1a")
                terminal.type("\x03")
                wait_until(lambda: "SIGINT" in self.got(), "the command goes on")
                self.end_counter()
                self.assertEqual(terminal.wait(), 5)

    def test_a_group_of_its_own_is_the_foreground_one(self):
        told = self.probe_at_terminal("-g")
        self.assertEqual(told["pgrp"], told["pid"])
        self.assertEqual(told["foreground"], told["pid"])
        told = self.probe_at_terminal()
        self.assertEqual(told["pgrp"], told["ppid"])
        self.assertEqual(told["foreground"], told["ppid"])

    def probe_at_terminal(self, *options):
        out = self.path("probe.json")
        terminal = Terminal(self, [CACHIFY, *POOL, *options, "--", PROBE, "--out", out])
        self.assertEqual(terminal.wait(), 0, terminal.output)
        return json.loads(out.read_bytes())

    def test_the_terminal_is_taken_back_after_the_end(self):
        for ending in ("exit 3", "kill -KILL $$"):
            # The shell leads the session without job control: nobody but cachify takes it back.
            terminal = Terminal(self, ["sh", "-c", f"{CACHIFY} {' '.join(POOL)} -g -- sh -c "
                                       f"'{ending}'; echo code=$?; read line; echo got=$line"])
            terminal.expect(r"code=(3|137)")
            self.assertEqual(terminal.foreground(), terminal.pid)
            terminal.type("hello\n")
            terminal.expect("got=hello")
            self.assertEqual(terminal.wait(), 0)

    def test_a_command_that_cannot_be_executed_leaves_the_terminal_alone(self):
        terminal = Terminal(self, ["sh", "-c", f"{CACHIFY} {' '.join(POOL)} -g -- no-such-command; "
                                   "echo code=$?; read line; echo got=$line"])
        terminal.expect("code=127")
        terminal.type("hello\n")
        terminal.expect("got=hello")

    def test_who_waits_for_long_is_told_once(self):
        holder = self.hold(*POOL)
        terminal = Terminal(self, [CACHIFY, *POOL, "-w", "--", "sh", "-c", "echo running"])
        terminal.expect(r"cachify: waiting for jobs \(max=1\), place 1 in the queue; held by pid "
                        rf"{holder.process.pid} \(\w+\) for \w+: sh -c ")
        holder.finish()
        terminal.expect("running")
        self.assertEqual(terminal.wait(), 0)
        self.assertNotIn(b"waiting for", terminal.output)

    def test_with_q_nothing_is_told(self):
        holder = self.hold(*POOL)
        terminal = Terminal(self, [CACHIFY, "-q", *POOL, "-t", "1.5", "--", "true"])
        self.assertEqual(terminal.wait(), 124)
        self.assertEqual(terminal.output, b"")
        holder.finish()

    def test_the_interrupt_key_ends_the_wait(self):
        self.hold(*POOL)
        terminal = Terminal(self, [CACHIFY, *POOL, "-w", "--", "true"])
        terminal.expect("waiting for jobs")
        terminal.type("\x03")
        self.assertEqual(terminal.wait(), -signal.SIGINT)


class InAShell(TerminalCase):
    """Job control as people use it."""

    SHELL = ("bash", "--norc", "--noprofile", "-i")

    def setUp(self):
        super().setUp()
        if not shutil.which(self.SHELL[0]):
            self.skipTest(f"no {self.SHELL[0]}")
        self.env["PS1"] = "PROMPT> "
        self.terminal = Terminal(self, self.SHELL)
        self.terminal.expect("PROMPT> ")

    def say(self, line):
        self.terminal.type(line + "\n")

    def run_counter(self, *options, source=None, background=False, signals=TerminalCase.SIGNALS):
        """Starts it as a job of the shell; the pids of cachify and of the command."""
        command = self.quoted([CACHIFY, *POOL, *options, "--", *self.counter(source, signals)])
        self.say(command + (" &" if background else ""))
        pid = self.counter_pid()
        return int(process_stat(pid)[1]), pid

    def wait_state(self, pid, states, what):
        wait_until(lambda: process_state(pid) in states, f"{what} ({states})")

    def test_stop_and_foreground(self):
        for options in ((), ("-g",)):
            with self.subTest(options=options):
                self.log.unlink(missing_ok=True)
                cachify, command = self.run_counter(*options)
                for turn in range(1, 4):
                    self.terminal.type("\x1a")
                    self.terminal.expect("Stopped")
                    self.terminal.expect("PROMPT> ")
                    self.assertEqual(process_state(command), "T")
                    self.assertEqual(process_state(cachify), "T")
                    self.say("fg")
                    wait_until(lambda: self.got().count("SIGCONT") == turn, "it goes on")
                    self.wait_state(cachify, "S", "cachify goes on")
                self.terminal.type("\x03")
                wait_until(lambda: "SIGINT" in self.got(), "INT arrived")
                self.end_counter()
                self.terminal.expect("PROMPT> ")
                self.say("echo code=$?")
                self.terminal.expect("code=5")
                self.terminal.expect("PROMPT> ")
                self.assertEqual(self.got(), ["SIGCONT"] * 3 + ["SIGINT"])

    def test_stop_and_background(self):
        for options in ((), ("-g",)):
            with self.subTest(options=options):
                self.log.unlink(missing_ok=True)
                cachify, command = self.run_counter(*options)
                self.terminal.type("\x1a")
                self.terminal.expect("Stopped")
                self.say("bg")
                wait_until(lambda: self.got() == ["SIGCONT"], "it goes on")
                self.assertNotEqual(self.terminal.foreground(), os.getpgid(command))
                self.end_counter()
                wait_until(lambda: not alive(cachify), "cachify has ended")
                self.say("wait %1; echo code=$?")
                self.terminal.expect("code=5")
                self.terminal.expect("PROMPT> ")

    def test_reading_from_the_background_stops_the_job_until_it_is_in_the_foreground(self):
        for options in ((), ("-g",)):
            with self.subTest(options=options):
                command = self.quoted([CACHIFY, *POOL, *options, "--", "sh", "-c",
                                       "read line; echo got=$line; exit 4"])
                self.say(command + " &")
                # An interactive bash tells of it with its next prompt.
                def stopped():
                    self.say("jobs")
                    self.terminal.read()
                    time.sleep(0.05)
                    return b"Stopped" in self.terminal.output

                wait_until(stopped, "the job is stopped")
                self.terminal.output = b""
                self.say("fg")
                self.say("hello")
                self.terminal.expect("got=hello")
                self.say("echo code=$?")
                self.terminal.expect("code=4")

    def test_a_running_background_job_with_a_group_gets_the_terminal_when_it_needs_it(self):
        # `fg` of a job that runs sends no signal: cachify learns of it by COMMAND's TTIN.
        go = self.path("go")
        command = self.quoted([CACHIFY, *POOL, "-g", "--", "sh", "-c",
                               f"while ! test -e {go}; do sleep 0.02; done; read line; "
                               "echo got=$line"])
        self.say(command + " &")
        self.terminal.expect("PROMPT> ")
        self.say("fg")
        self.terminal.expect("command.sh")
        wait_until(lambda: self.terminal.foreground() != os.getpgid(self.terminal.pid),
                   "the job is in the foreground")
        go.touch()
        self.say("hello")
        self.terminal.expect("got=hello")

    def test_a_command_that_handles_the_stop_key_has_time_to_tidy_up(self):
        # As editors do: the trap puts the terminal in order, and only then stops. Were cachify to
        # stop at once, the shell would take over too early.
        tidy = self.path("tidy")
        end = self.path("end")
        program = f"""
import os, signal, time
def stop(*_):
    time.sleep(0.3)
    open({str(tidy)!r}, "w").close()
    os.kill(os.getpid(), signal.SIGSTOP)
signal.signal(signal.SIGTSTP, stop)
print("ready", flush=True)
while not os.path.exists({str(end)!r}):
    time.sleep(0.02)
raise SystemExit(6)
"""
        for options in ((), ("-g",)):
            with self.subTest(options=options):
                tidy.unlink(missing_ok=True)
                end.unlink(missing_ok=True)
                self.say(self.quoted([CACHIFY, *POOL, *options, "--", "python3", "-c", program]))
                self.terminal.expect("ready")
                self.terminal.type("\x1a")
                self.terminal.expect("Stopped")
                self.assertTrue(tidy.exists())
                self.terminal.expect("PROMPT> ")
                end.touch()
                self.say("fg")
                self.terminal.expect("PROMPT> ")
                self.say("echo code=$?")
                self.terminal.expect("code=6")
                self.terminal.expect("PROMPT> ")

    def test_a_command_that_ignores_the_stop_key_goes_on(self):
        self.say(self.quoted([CACHIFY, *POOL, "--", "sh", "-c",
                              "trap '' TSTP; echo ready; while ! test -e end; do sleep 0.02; done; "
                              "exit 6"]))
        self.terminal.expect("ready")
        self.terminal.type("\x1a")
        self.path("end").touch()
        self.terminal.expect("PROMPT> ")
        self.say("echo code=$?")
        self.terminal.expect("code=6")
        self.assertNotIn(b"Stopped", self.terminal.output)

    def test_the_whole_pipeline_stops_and_goes_on(self):
        for options in ((), ("-g",)):
            with self.subTest(options=options):
                self.log.unlink(missing_ok=True)
                command = self.quoted([CACHIFY, *POOL, *options, "--", *self.counter()])
                self.say(command + " | cat")
                pid = self.counter_pid()
                self.terminal.type("\x1a")
                self.terminal.expect("Stopped")
                self.say("fg")
                wait_until(lambda: self.got() == ["SIGCONT"], "it goes on")
                self.end_counter()
                wait_until(lambda: not alive(pid), "it has ended")
                self.say("echo done")
                self.terminal.expect("(?:\n|PROMPT> )done\r")

    def test_a_waiting_caller_stops_and_goes_on(self):
        holder = self.hold(*POOL)
        self.say(self.quoted([CACHIFY, *POOL, "-w", "--", "sh", "-c", "echo running; exit 6"]))
        self.terminal.expect("waiting for jobs")
        self.terminal.type("\x1a")
        self.terminal.expect("Stopped")
        self.say("fg")
        holder.finish()
        self.terminal.expect("running")
        self.terminal.expect("PROMPT> ")
        self.say("echo code=$?")
        self.terminal.expect("code=6")

    def test_the_interrupt_key_ends_a_loop_of_the_shell(self):
        script = self.quoted([CACHIFY, *POOL, "--", "sh", "-c",
                              "echo ready; while :; do sleep 0.02; done"])
        self.say(f"for i in 1 2 3; do echo turn=$i; {script}; done")
        self.terminal.expect("turn=1\r?\n")
        self.terminal.expect("ready")
        self.terminal.type("\x03")
        self.terminal.expect("PROMPT> ")
        self.say("echo after")
        self.terminal.expect("(?:\n|PROMPT> )after\r")
        self.assertNotIn(b"turn=2", self.terminal.output)

    def test_a_kill_of_the_stopped_job_ends_it(self):
        cachify, command = self.run_counter(signals=("INT",))
        self.terminal.type("\x1a")
        self.terminal.expect("Stopped")
        self.say("kill %1; kill -CONT %1")  # dash sends the TERM alone
        wait_until(lambda: not alive(cachify) and not alive(command), "both have ended")


class InAPlainShell(InAShell):
    """The same with sh -m, that is dash on Debian."""

    SHELL = ("dash", "-i")


if __name__ == "__main__":
    main()
