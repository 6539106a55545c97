"""SIGKILL at every system call of every role of the file store, each followed by the proof that
nobody was let in too many, that nothing was lost, and that who waits goes on promptly.

A scene has up to five parts: standing holders that stay for the whole suite, a blocker that is in
the subject's way, the subject (under tests/tools/killat.cpp), and a caller behind it that waits.
Each command appends a line to one log when it starts and before it ends, so the order of the lines
is the order of what happened.
"""

import os
import random
import select
import signal
import subprocess
import time
import unittest
from dataclasses import dataclass, field
from pathlib import Path

from support import (CACHIFY, SANITIZED, Case, alive, children_of, is_waiting, main, process_state,
                     wait_until)

KILLAT = os.environ.get("CACHIFY_KILLAT", "")
# More of everything: CACHIFY_TEST_LONG=1.
LONG = bool(os.environ.get("CACHIFY_TEST_LONG"))
FLOCK = {"x86_64": 73, "aarch64": 32}.get(os.uname().machine)

# How long the caller behind may need once nothing is in its way any more. The head of a queue looks
# again each second whatever happens; what needs longer than a half was not told in time.
SLOW = 0.5
TOO_LATE = 3.0


@dataclass
class Role:
    """Who is killed, doing what."""

    subject: tuple  # its options
    behind: tuple  # those of the caller behind it, who waits
    noun: str = "pool"
    standing: tuple = ()  # options of holders that were there all the time
    gone: tuple = ()  # which of the standing ones end before the first scene: holes
    blocker: tuple = ()  # options of who is in the subject's way
    ahead: tuple = ()  # options of a waiter between blocker and subject
    stimulus: str = "room"  # what ends the subject's wait: room, nothing, TERM
    ends_in: int = 0  # the subject's code when it is not killed
    fresh: bool = False  # a new key in each scene
    in_use: int = 1  # the slots (or readers) that the subject has
    kept: bool = True  # its command keeps the slot


LOCK = ()
N1 = ("-n", "1")
N2 = ("-n", "2")
N4 = ("-n", "4")
WAIT = ("--wait",)

ROLES = {
    "holder of a lock": Role(LOCK, WAIT, noun="lock"),
    "holder of a lock, new key": Role(LOCK, WAIT, noun="lock", fresh=True),
    "holder of a pool": Role(N2, N2 + WAIT, standing=(N2,)),
    "holder of two slots apart": Role(
        N4 + ("--weight", "2"), N4 + WAIT, standing=(N4,) * 4, gone=(0, 2), in_use=2
    ),
    "holder that keeps its slot to itself": Role(
        N2 + ("--no-inherit",), N2 + WAIT, standing=(N2,), kept=False
    ),
    "reader": Role(("--shared",), WAIT, noun="lock"),
    "waiter for a lock": Role(WAIT, WAIT, noun="lock", blocker=(LOCK,)),
    "waiter for a lock behind another": Role(WAIT, WAIT, noun="lock", blocker=(LOCK,), ahead=(WAIT,)),
    "waiter for a pool of one": Role(N1 + WAIT, N1 + WAIT, blocker=(N1,)),
    "waiter for a pool": Role(N2 + WAIT, N2 + WAIT, standing=(N2,), blocker=(N2,)),
    "waiter for two slots apart": Role(
        N4 + ("--weight", "2", "--wait"),
        N4 + ("--weight", "2", "--wait"),
        standing=(N4,) * 3,
        gone=(0,),
        blocker=(N4,),
        in_use=2,
    ),
    "waiter behind another": Role(
        N2 + WAIT, N2 + WAIT, standing=(N2,), blocker=(N2,), ahead=(N2 + WAIT,)
    ),
    "writer behind a reader": Role(WAIT, WAIT, noun="lock", blocker=(("--shared",),)),
    "reader behind a writer": Role(("--shared", "--wait"), WAIT, noun="lock", blocker=(LOCK,)),
    "waiter whose time runs out": Role(
        N2 + ("-t", "0.05"),
        N2 + WAIT,
        standing=(N2,),
        blocker=(N2,),
        stimulus="nothing",
        ends_in=124,
    ),
    "waiter who is told to stop": Role(
        WAIT, WAIT, noun="lock", blocker=(LOCK,), stimulus="TERM", ends_in=128 + signal.SIGTERM
    ),
}

COMMAND = (
    'echo "start $2 $CACHIFY_SLOT" >>"$1"; [ -z "$3" ] || read -r go <"$3"; echo "end $2" >>"$1"'
)


class Gate:
    """A command that ends when it is told to."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def open(self):
        os.write(self._descriptor, b"go\n")

    def close(self):
        os.close(self._descriptor)
        self.path.unlink()


@dataclass
class Scene:
    key: str
    log: Path
    processes: list = field(default_factory=list)
    gates: list = field(default_factory=list)


def asleep(process):
    """Sleeps for its turn, for its command or for the mutex, or has ended."""
    if process.poll() is not None or is_waiting(process.pid):
        return True
    if process_state(process.pid) != "S":
        return False
    try:
        return Path(f"/proc/{process.pid}/syscall").read_text().startswith(f"{FLOCK} ")
    except (FileNotFoundError, ProcessLookupError):
        return False


def times_slept(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])
    raise AssertionError("no voluntary_ctxt_switches")


@unittest.skipIf(SANITIZED, "a killed process reports nothing, and the sanitizer's own start has 600 calls")
class CrashCase(Case):
    def setUp(self):
        super().setUp()
        if not KILLAT:
            self.fail("CACHIFY_KILLAT has to name tests/tools/killat")
        done = self.run_program([KILLAT, "0", "true"])
        if done.returncode == 2:
            self.skipTest(f"no ptrace here: {done.stderr}")
        self.errors = self.dir / "errors"
        self.numbers = 0
        self.latencies = []
        self.told = ""  # by killat, and not read yet

    # -- parts

    def quiet(self, argv):
        with self.errors.open("ab") as errors:
            return self.spawn(argv, stdout=subprocess.DEVNULL, stderr=errors)

    def command(self, scene, label, gate=None):
        return ["--", "sh", "-c", COMMAND, "sh", scene.log, label, gate.path if gate else ""]

    def gate(self, scene):
        self.numbers += 1
        gate = Gate(self.dir / f"gate-{self.numbers}")
        scene.gates.append(gate)
        return gate

    def caller(self, scene, role, options, label, gate=None):
        process = self.quiet(
            [CACHIFY, role.noun, "run", "-k", scene.key, *options, *self.command(scene, label, gate)]
        )
        scene.processes.append(process)
        return process

    def holder(self, scene, role, options, label):
        gate = self.gate(scene)
        process = self.caller(scene, role, options, label, gate)
        self.wait_for_line(scene, f"start {label} ")
        return process, gate

    def lines(self, scene):
        try:
            return scene.log.read_text().splitlines()
        except FileNotFoundError:
            return []

    def line_of(self, scene, beginning):
        """Its place in the log; None while it isn't there."""
        for place, line in enumerate(self.lines(scene)):
            if line.startswith(beginning):
                return place
        return None

    def wait_for_line(self, scene, beginning, timeout=30):
        return wait_until(
            lambda: self.line_of(scene, beginning) is not None, f"'{beginning}' in the log", timeout
        )

    def size(self, role, key):
        if role.noun == "pool":
            done = self.cachify("pool", "size", "-k", key)
            self.assertEqual(done.returncode, 0, done.stderr)
            return int(done.stdout)
        done = self.cachify("lock", "is-locked", "-k", key)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return 1 - done.returncode

    def report(self, subject, timeout):
        """The next line that killat prints; None when there is none within the time."""
        while "\n" not in self.told:
            if not select.select([subject.stdout], [], [], timeout)[0]:
                return None
            text = os.read(subject.stdout.fileno(), 4096).decode()
            self.assertTrue(text, "killat itself has ended")
            self.told += text
        line, _, self.told = self.told.partition("\n")
        return line

    def first_flock(self, *words):
        """The number of the first call of this cachify that concerns the store, or a bit before."""
        done = self.run_program([KILLAT, "0", CACHIFY, *words])
        calls = [line.split() for line in done.stdout.splitlines() if line.startswith("call ")]
        self.assertTrue(calls, done.stdout + done.stderr)
        return next(int(number) for _, number, call in calls if int(call) == FLOCK) - 4

    def clear(self, scene):
        """The scene is over: nothing of it is kept."""
        for gate in scene.gates:
            gate.close()
        for process in scene.processes:
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
            self._processes.remove(process)
        scene.log.unlink(missing_ok=True)


class Sweep(CrashCase):
    # -- the scene

    def play(self, role, base, number, mode):
        """Kills the subject at call `number`. False when it ended before."""
        scene = Scene(f"{base}{number}" if role.fresh else base, self.dir / f"log-{number}")
        blocker_gate = None
        if role.blocker:
            _, blocker_gate = self.holder(scene, role, role.blocker[0], "blocker")
        if role.ahead:
            ahead = self.caller(scene, role, role.ahead[0], "ahead")
            self.wait_for_queued(ahead)

        gate = self.gate(scene)
        subject = self.spawn(
            [KILLAT, *mode, "--hold", str(number), CACHIFY, role.noun, "run", "-k", scene.key]
            + [*role.subject, *self.command(scene, "subject", gate)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        scene.processes.append(subject)
        pid = int(self.report(subject, 30).split()[1])
        behind = None

        def arrive_behind():
            caller = self.caller(scene, role, role.behind, "behind")
            wait_until(lambda: asleep(caller), "the caller behind settles")
            return caller

        end = time.monotonic() + 30
        # Until it stands at the call, or has ended. What it waits for is given to it meanwhile.
        while True:
            self.assertLess(time.monotonic(), end, "the subject neither goes on nor ends")
            told = self.report(subject, 0.0005)
            if told:
                break
            if behind is None and role.blocker and is_waiting(pid):
                behind = arrive_behind()
                if role.stimulus == "room":
                    blocker_gate.open()
                    blocker_gate = None
                elif role.stimulus == "TERM":
                    os.kill(pid, signal.SIGTERM)
            if self.line_of(scene, "start subject ") is not None and gate:
                if behind is None:
                    behind = arrive_behind()
                gate.open()
                gate = None

        if behind is None:
            behind = arrive_behind()
        reached = told.startswith("at ")
        orphan = False
        if reached:
            orphan = any(alive(child) for child in children_of(pid))
            subject.stdin.write("kill\n")
            subject.stdin.flush()
            self.assertEqual(self.report(subject, 30), "killed")
        else:
            self.assertEqual(told, f"ended {role.ends_in}")
        since = time.monotonic()
        if orphan:
            self.wait_for_line(scene, "start subject ")
        if orphan and gate and role.kept:
            # Its command goes on: it has the slot, and nobody gets in.
            wait_until(lambda: asleep(behind), "the caller behind sleeps on")
            standing = len(role.standing) - len(role.gone)
            self.assertEqual(self.size(role, scene.key), standing + role.in_use)
            self.assertIsNone(self.line_of(scene, "start behind "), self.lines(scene))
            since = time.monotonic()
            gate.open()
            gate = None
        if blocker_gate:
            self.assertIsNone(self.line_of(scene, "start behind "), self.lines(scene))
            since = time.monotonic()
            blocker_gate.open()
        try:
            self.wait_for_line(scene, "start behind ", TOO_LATE)
        except AssertionError:
            self.fail(f"the caller behind was not let in: {self.lines(scene)}")
        self.latencies.append((time.monotonic() - since, number, told))
        if gate:
            gate.open()
        self.finish(role, scene, behind, orphan)
        return reached

    def finish(self, role, scene, behind, orphan):
        self.assertEqual(behind.wait(30), 0)
        if orphan:
            self.wait_for_line(scene, "end subject")
        for process in scene.processes:
            process.wait(30)
        place = {line.rsplit(" ", 1)[0] if line.startswith("start") else line: i
                 for i, line in enumerate(self.lines(scene))}
        for before in ("blocker", "ahead", "subject"):
            if f"start {before}" not in place or (before == "subject" and not role.kept):
                continue
            self.assertLess(place[f"start {before}"], place[f"end {before}"])
            if before == "blocker" or place[f"start {before}"] < place["start behind"]:
                self.assertLess(place[f"end {before}"], place["start behind"], self.lines(scene))
        standing = len(role.standing) - len(role.gone)
        wait_until(lambda: self.size(role, scene.key) == standing, "nothing is left over", TOO_LATE)
        new = self.cachify(
            role.noun, "run", "-k", scene.key, *(o for o in role.subject if o != "--wait"),
            "--", "true",
        )
        self.assertEqual(new.returncode, 0, new.stderr)
        self.clear(scene)

    def first_call(self, role):
        """The number of the first system call that concerns the store.

        A key that is there already may take a shorter way than a new one.
        """
        words = [o for o in role.subject if o != "--wait"] + ["--", "true"]
        firsts = [
            self.first_flock(role.noun, "run", "-k", "census", *words) for _ in range(2)
        ]
        return max(1, min(firsts))

    def sweep(self, name, *mode):
        role = ROLES[name]
        base = "".join(c if c.isalnum() else "-" for c in name)
        always = Scene(base, self.dir / "log-standing")
        holders = [
            self.holder(always, role, options, f"standing-{i}")
            for i, options in enumerate(role.standing)
        ]
        for i in role.gone:
            holders[i][1].open()
            self.assertEqual(holders[i][0].wait(30), 0)
        first = 1 if "--child" in mode else self.first_call(role)
        number = first
        while True:
            with self.subTest(role=name, mode=mode, call=number):
                if not self.play(role, base, number, mode):
                    break
            number += 1
            self.assertLess(number, 1000, "the subject never ends")
        killed = number - first
        self.assertGreater(killed, 1 if "--child" in mode else 20)
        slow = [entry for entry in self.latencies if entry[0] > SLOW]
        worst = max(self.latencies)
        print(
            f"{name} {' '.join(mode)}: {killed} kills, worst {worst[0] * 1000:.0f} ms at call "
            f"{worst[1]}, {len(slow)} over {SLOW} s",
            flush=True,
        )
        # A second's heartbeat is the net below all others; it must not be the rule.
        self.assertLessEqual(len(slow), 1 + killed // 20, slow)


def add_sweeps():
    for name in ROLES:
        title = name.replace(" ", "_").replace(",", "")

        def before(self, name=name):
            self.sweep(name)

        def after(self, name=name):
            self.sweep(name, "--exit")

        setattr(Sweep, f"test_{title}_killed_before_each_call", before)
        # Nearly what a kill before the next call is.
        if LONG or name == "waiter for a pool":
            setattr(Sweep, f"test_{title}_killed_after_each_call", after)
        if "holder" in name or name == "waiter for a pool":

            def starting(self, name=name):
                self.sweep(name, "--child")

            setattr(Sweep, f"test_{title}_killed_while_its_command_is_being_started", starting)


add_sweeps()


@unittest.skipIf(SANITIZED, "a killed process reports nothing")
class CommandKilled(Case):
    def test_killing_the_command_frees_the_slot_at_once(self):
        chance = random.Random(1)
        for _ in range(10):
            holders = [self.hold("pool", "run", "-k", "k", "-n", "3") for _ in range(3)]
            behind = self.start("pool", "run", "-k", "k", "-n", "3", "--wait", "--", "true")
            self.wait_for_queued(behind)
            victim = chance.choice(holders)
            os.kill(victim.command_pid, signal.SIGKILL)
            self.assertEqual(victim.process.wait(10), 128 + signal.SIGKILL)
            self.assertEqual(behind.wait(TOO_LATE), 0)
            for holder in holders:
                if holder is not victim:
                    self.assertEqual(holder.finish(), 0)
            self.assertEqual(self.cachify("pool", "size", "-k", "k").stdout, "0\n")

    def test_killing_cachify_and_command_together_frees_the_slot_at_once(self):
        for _ in range(10):
            holder = self.hold("lock", "run", "-k", "k")
            behind = self.start("lock", "run", "-k", "k", "--wait", "--", "true")
            self.wait_for_queued(behind)
            os.killpg(holder.process.pid, signal.SIGKILL)
            self.assertEqual(behind.wait(TOO_LATE), 0)

    def test_killing_a_map_with_several_leases_rings_for_who_waits(self):
        """Its leases share the one bell that the kernel rings at its death."""
        slow = []
        for turn in range(8):
            standing = self.hold("pool", "run", "-k", "k", "-n", "4")
            pids = self.path(f"pids-{turn}")
            crowd = self.spawn(
                [CACHIFY, "pool", "map", "--key", "k", "-n", "4", "--", "sh", "-c",
                 'echo $$ >>"$0"; exec sleep 600', pids],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            crowd.stdin.write("a\nb\nc\n")
            crowd.stdin.flush()
            wait_until(
                lambda path=pids: path.exists() and len(path.read_text().split()) == 3,
                "three commands run",
            )
            behind = self.start("pool", "run", "-k", "k", "-n", "4", "--wait", "--", "true")
            self.wait_for_queued(behind)
            # Past its early looks, which would see what the ring is to tell.
            slept = times_slept(behind.pid)
            wait_until(
                lambda pid=behind.pid, past=slept + 3: times_slept(pid) >= past,
                "the head has taken its early looks",
            )
            crowd.kill()
            crowd.wait(30)
            since = time.monotonic()
            # Its commands have the slots yet; without the ring nobody would look for their end.
            commands = [int(pid) for pid in pids.read_text().split()]
            os.kill(commands[turn % 3], signal.SIGKILL)
            self.assertEqual(behind.wait(TOO_LATE), 0)
            if time.monotonic() - since > SLOW:
                slow.append(turn)
            for pid in commands:
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)
            self.assertEqual(standing.finish(), 0)
            wait_until(lambda: self.cachify("pool", "size", "-k", "k").stdout == "0\n", "all free")
        self.assertLessEqual(len(slow), 1)


if __name__ == "__main__":
    main()
