"""Signals without a terminal: while waiting, at the start, while COMMAND runs, and at its end."""

import os
import signal
import subprocess
import time

from support import CACHIFY, Case, alive, main, on_every_store, process_state, wait_until

POOL = ("pool", "run", "-k", "jobs", "-n", "1")
LOCK = ("lock", "run", "-k", "jobs")
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
PASSED_ON = STOPS + (signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT, signal.SIGWINCH)

# Writes a line for each signal it gets, `ready` first, and ends when standard input does.
COUNTER = """
import os, select, signal, sys
wake, waker = os.pipe()
os.set_blocking(waker, False)
signal.set_wakeup_fd(waker)
for name in sys.argv[2:]:
    signal.signal(signal.Signals[name], lambda *_: None)
out = open(sys.argv[1], "a", buffering=1)
print("ready", os.getpid(), file=out)
while True:
    ready, _, _ = select.select([0, wake], [], [])
    if wake in ready:
        for number in os.read(wake, 100):
            print(signal.Signals(number).name, file=out)
    if 0 in ready:
        sys.exit(5)
"""

class SignalCase(Case):
    def counter(self, *before, options=(), **popen):
        """cachify with the counter as COMMAND; returns the process and a function: what it got."""
        log = self.path("signals.log")
        process = self.start(*before, *options, "--", "python3", "-c", COUNTER, log, *(n.name for n in PASSED_ON),
                             stdin=subprocess.PIPE, **popen)

        def got():
            return log.read_text().splitlines()[1:] if log.exists() else []

        wait_until(lambda: log.exists() and log.read_text().startswith("ready"), "it is ready")
        self.counter_pid = int(log.read_text().split()[1])
        return process, got

    def end(self, process):
        process.stdin.close()
        return process.wait(30)


@on_every_store
class WhileWaiting(SignalCase):
    def test_a_stop_leaves_the_queue_and_cachify_dies_of_it(self):
        holder = self.hold(*LOCK)
        for number in STOPS:
            marker = self.path("started")
            waiter = self.start(*LOCK, "-w", "-E", "9", "--on-full", "echo full", "--", "touch",
                                marker)
            self.wait_for_queued(waiter)
            waiter.send_signal(number)
            self.assertEqual(waiter.wait(30), -number)
            self.assertEqual((waiter.stdout.read(), waiter.stderr.read()), ("", ""))
            self.assertFalse(marker.exists())
        # Nobody is left in the queue: the next one gets it as soon as the holder ends.
        waiter = self.hold(*LOCK, "-w", wait_for_start=False)
        self.wait_for_queued(waiter)
        self.assertEqual(holder.finish(), 0)
        self.wait_for_holder(waiter)
        self.assertEqual(waiter.finish(), 0)

    def test_in_a_pool_as_well(self):
        self.hold("pool", "run", "-k", "jobs", "-n", "2")
        self.hold("pool", "run", "-k", "jobs", "-n", "2")
        for number in STOPS:
            waiter = self.start("pool", "run", "-k", "jobs", "-n", "2", "-w", "--", "true")
            behind = self.start("pool", "run", "-k", "jobs", "-n", "2", "-w", "--", "true")
            self.wait_for_queued(waiter, behind)
            behind.send_signal(number)
            self.assertEqual(behind.wait(30), -number)
            waiter.send_signal(number)
            self.assertEqual(waiter.wait(30), -number)

    def test_a_signal_that_was_given_ignored_does_not_end_the_wait(self):
        holder = self.hold(*LOCK)
        waiter = self.start(*LOCK, "-w", "--", "sh", "-c", "exit 3",
                            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.wait_for_queued(waiter)
        waiter.send_signal(signal.SIGHUP)
        self.assertEqual(holder.finish(), 0)
        self.assertEqual(waiter.wait(30), 3)

    def test_a_signal_that_was_given_blocked_does_not_end_the_wait(self):
        holder = self.hold(*LOCK)
        waiter = self.start(
            *LOCK, "-w", "--", "true", restore_signals=False,
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]))
        self.wait_for_queued(waiter)
        waiter.send_signal(signal.SIGTERM)
        self.assertEqual(holder.finish(), 0)
        self.assertEqual(waiter.wait(30), 0)


@on_every_store
class AtTheStart(SignalCase):
    def test_no_command_is_started_once_stopping(self):
        # TERM at every instant of a start. Either the command got it (or was through), or it never
        # began; when cachify is gone the command is, too.
        outcomes = {"stopped": 0, "ran": 0}
        for turn in range(300):
            marker = self.path(f"marker-{turn}")
            process = self.start(
                *POOL, "--", "sh", "-c",
                f"echo $$ >{marker}; trap 'echo TERM >>{marker}; exit 143' TERM; "
                "while :; do sleep 0.02; done", stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)
            end = time.monotonic() + turn * 20e-6
            while time.monotonic() < end:
                pass
            process.send_signal(signal.SIGTERM)
            code = process.wait(30)
            self.assertIn(code, (-signal.SIGTERM, 143))
            if marker.exists():
                outcomes["ran"] += 1
                pid = int((marker.read_text().split() or ["0"])[0])
                self.assertFalse(pid and alive(pid), "the command outlived cachify")
            else:
                outcomes["stopped"] += 1
        self.assertEqual(self.cachify("pool", "size", "-k", "jobs").stdout, "0\n")
        self.assertEqual(sum(outcomes.values()), 300)

    def test_a_stop_and_a_free_slot_at_the_same_time(self):
        # The holder ends and the waiter is told to stop, in both orders.
        for turn in range(40):
            holder = self.hold(*LOCK)
            waiter = self.start(*LOCK, "-w", "--", "sleep", "1000")
            self.wait_for_queued(waiter)
            if turn % 2:
                os.kill(holder.command_pid, signal.SIGKILL)
                waiter.send_signal(signal.SIGTERM)
            else:
                waiter.send_signal(signal.SIGTERM)
                os.kill(holder.command_pid, signal.SIGKILL)
            self.assertEqual(waiter.wait(30), -signal.SIGTERM)
            holder.process.wait(30)
            self.assertEqual(self.cachify("lock", "is-locked", "-k", "jobs").returncode, 1)


@on_every_store
class WhileRunning(SignalCase):
    def test_each_signal_reaches_the_command_once(self):
        process, got = self.counter(*POOL)
        sent = []
        for number in PASSED_ON:
            process.send_signal(number)
            sent.append(signal.Signals(number).name)
            wait_until(lambda: len(got()) >= len(sent), f"{sent[-1]} has arrived")
        self.assertEqual(self.end(process), 5)
        self.assertEqual(got(), sent)

    def test_with_a_group_the_command_gets_it_once(self):
        process, got = self.counter(*POOL, options=("-g",))
        pid = self.counter_pid
        self.assertEqual(os.getpgid(pid), pid)
        self.assertNotEqual(os.getpgid(process.pid), pid)
        process.send_signal(signal.SIGUSR1)
        wait_until(got, "USR1 has arrived")
        self.assertEqual(self.end(process), 5)
        self.assertEqual(got(), ["SIGUSR1"])

    def test_with_a_group_children_of_the_command_get_it_too(self):
        log = self.path("members.log")
        inner = f"trap 'echo inner >>{log}; exit' TERM; echo ready >>{log}; while :; do sleep 0.02; done"
        outer = f"trap 'wait; echo outer >>{log}; exit 4' TERM; sh -c \"{inner}\" & while :; do sleep 0.02; done"
        process = self.start(*POOL, "-g", "--", "sh", "-c", outer)
        wait_until(log.exists, "they are ready")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(30), 4)
        self.assertEqual(log.read_text().split(), ["ready", "inner", "outer"])

    def test_a_signal_that_cachify_was_given_ignored_is_passed_on(self):
        # As under nohup: whether HUP means something is COMMAND's decision.
        process, got = self.counter(
            *POOL, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        process.send_signal(signal.SIGHUP)
        wait_until(got, "HUP has arrived")
        self.assertEqual(self.end(process), 5)
        self.assertEqual(got(), ["SIGHUP"])

    def test_nohup(self):
        process = self.spawn(["nohup", CACHIFY, *POOL, "--", "sh", "-c",
                              "kill -HUP $PPID; kill -HUP $$; exit 6"])
        self.assertEqual(process.wait(30), 6)

    def test_a_command_may_ignore_or_outlive_a_stop(self):
        done = self.cachify(*POOL, "--", "sh", "-c", "trap '' TERM; kill -TERM $PPID; exit 3")
        self.assertEqual(done.returncode, 3)
        done = self.cachify(*POOL, "--", "sh", "-c",
                            "trap 'exit 8' INT; kill -INT $PPID; while :; do sleep 0.02; done")
        self.assertEqual(done.returncode, 8)

    def test_cachify_dies_of_the_signal_its_command_died_of(self):
        for number in STOPS:
            done = self.cachify(*POOL, "--", "sh", "-c",
                                f"ulimit -c 0; kill -{int(number)} $PPID; while :; do sleep 0.02; done")
            self.assertEqual(done.returncode, -number)

    def test_a_stopped_command_without_a_shell_stops_nobody_else(self):
        # Nobody would continue cachify, and the slot would be lost.
        process, got = self.counter(*POOL)
        os.kill(self.counter_pid, signal.SIGSTOP)
        wait_until(lambda: process_state(self.counter_pid) == "T", "it is stopped")
        process.send_signal(signal.SIGUSR1)
        os.kill(self.counter_pid, signal.SIGCONT)
        wait_until(lambda: "SIGUSR1" in got(), "it goes on")
        self.assertEqual(self.end(process), 5)

    def test_cont_to_cachify_alone_continues_a_stopped_command_once(self):
        process, got = self.counter(*POOL)
        os.kill(self.counter_pid, signal.SIGSTOP)
        wait_until(lambda: process_state(self.counter_pid) == "T", "it is stopped")
        process.send_signal(signal.SIGCONT)
        wait_until(got, "it goes on")
        process.send_signal(signal.SIGUSR1)
        wait_until(lambda: "SIGUSR1" in got(), "USR1 has arrived")
        self.assertEqual(self.end(process), 5)
        self.assertEqual(got(), ["SIGCONT", "SIGUSR1"])

    def test_many_signals_at_once_are_as_many_as_the_kernel_keeps(self):
        process, got = self.counter(*POOL)
        for _ in range(50):
            process.send_signal(signal.SIGUSR2)
            process.send_signal(signal.SIGUSR1)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: {"SIGUSR1", "SIGUSR2", "SIGTERM"} <= set(got()), "all have arrived")
        self.assertEqual(self.end(process), 5)
        self.assertEqual(got().count("SIGTERM"), 1)
        self.assertLessEqual(got().count("SIGUSR1"), 50)

    def test_signals_as_the_command_ends_do_not_change_its_code(self):
        for turn in range(60):
            process = self.start(*POOL, "--", "sh", "-c", "trap '' USR1; exit 7",
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until(lambda: process_state(process.pid) != "R", "it has come so far")
            while process.poll() is None:
                process.send_signal(signal.SIGWINCH)
            self.assertEqual(process.returncode, 7, turn)

    def test_the_slot_is_free_as_soon_as_cachify_ended_and_not_before_the_command_did(self):
        marker = self.path("ended")
        waiter_saw = self.path("saw")
        process = self.start(*LOCK, "--", "sh", "-c",
                             f"trap 'sleep 0.2; : >{marker}; exit 0' TERM; echo ready; "
                             "while :; do sleep 0.02; done")
        self.assertEqual(process.stdout.readline(), "ready\n")
        waiter = self.start(*LOCK, "-w", "--", "sh", "-c", f"test -e {marker} && : >{waiter_saw}")
        self.wait_for_queued(waiter)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(30), 0)
        self.assertEqual(waiter.wait(30), 0)
        self.assertTrue(waiter_saw.exists())


if __name__ == "__main__":
    main()
