"""SIGKILL at every system call of those who steer a key of the file store, and of acquire.

What was to be done is then done wholly or not at all; who waits reacts to it promptly; and the same
command once more does it, whatever was left. The scenes are those of test_crash.py.
"""

import json
import subprocess
import time
import unittest
from dataclasses import dataclass
from typing import Callable

from support import CACHIFY, SANITIZED, children_of, is_waiting, main, wait_until
from test_crash import KILLAT, SLOW, TOO_LATE, CrashCase, Role, Scene

POOL = Role((), ())
LOCK = Role((), (), noun="lock")


@dataclass
class Deed:
    """Who is killed, doing what, on which stage."""

    words: tuple  # the command, without its key
    holders: tuple = ((),)  # options of those whose commands run
    waiters: tuple = ()
    noun: str = "pool"
    before: tuple = ()  # a command that is run first
    check: Callable = None  # (case, stage): after the kill


class Stage:
    """A key with holders that stay until they are told, and waiters."""

    def __init__(self, case, deed, number):
        self.case = case
        self.deed = deed
        self.role = POOL if deed.noun == "pool" else LOCK
        self.scene = Scene(f"steer-{number}", case.dir / f"log-{number}")
        self.key = self.scene.key
        self.done = False
        self.since = 0
        self.holders = [
            case.holder(self.scene, self.role, options, f"holder-{i}")
            for i, options in enumerate(deed.holders)
        ]
        self.waiters = []
        for i, options in enumerate(deed.waiters):
            waiter = case.caller(self.scene, self.role, (*options, "--wait"), f"waiter-{i}")
            case.wait_for_queued(waiter)
            self.waiters.append(waiter)
        self.ids = self.holder_ids()
        if deed.before:
            case.assertEqual(self.run(*deed.before).returncode, 0)

    def run(self, *words):
        return self.case.cachify(self.deed.noun, *words, "-k", self.key)

    def again(self):
        """The same once more, by somebody who is left alone."""
        self.since = time.monotonic()
        done = self.run(*self.deed.words)
        self.case.assertEqual(done.returncode, 0, done.stderr)

    def status(self):
        done = self.run("status", "--json")
        self.case.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def holder_ids(self):
        return {holder["id"] for holder in self.status()["holders"]}

    def size(self):
        return self.case.size(self.role, self.key)

    def all_or_none(self, some, those):
        """Whether it is done, which cannot be for a part of them."""
        self.case.assertIn(len(some), (0, len(those)))
        self.case.assertTrue(some or not self.done, "it has ended and done nothing")
        return bool(some)

    def starts_soon(self, *labels):
        for label in labels:
            self.case.wait_for_line(self.scene, f"start {label} ", TOO_LATE)
        self.case.latencies.append(time.monotonic() - self.since)

    def end_holders(self):
        for process, gate in self.holders:
            self.case.assertIsNone(process.poll())
            gate.open()
            self.case.assertEqual(process.wait(30), 0)

    def end_waiters(self, code=0):
        for waiter in self.waiters:
            self.case.assertEqual(waiter.wait(TOO_LATE), code)


# --- what has to be true after each of them ------------------------------------------------------


def resized(case, stage):
    done = stage.status()["stored_max"] is not None
    case.assertTrue(done or not stage.done)
    if not done:
        case.assertIsNone(case.line_of(stage.scene, "start waiter"))
        stage.again()
    stage.starts_soon("waiter-0", "waiter-1")
    stage.end_waiters()
    stage.end_holders()


def closed(case, stage):
    case.assertTrue(stage.status()["closed"] or not stage.done)
    stage.again()
    case.assertTrue(stage.status()["closed"])
    stage.end_holders()
    stage.end_waiters()
    new = case.cachify("pool", "run", "-k", stage.key, "-n", "3", "--", "true")
    case.assertEqual(new.returncode, 75)


def opened(case, stage):
    is_closed = stage.status()["closed"]
    case.assertFalse(is_closed and stage.done)
    new = case.cachify("pool", "run", "-k", stage.key, "-n", "3", "--", "true")
    case.assertEqual(new.returncode, 75 if is_closed else 0)
    stage.again()
    case.assertFalse(stage.status()["closed"])
    stage.end_holders()


def dismissed(case, stage):
    """All of them or none: they lie in one page."""
    count = stage.status()["counters"]["dismissed"]
    if not stage.all_or_none(range(count), stage.waiters):
        case.assertTrue(all(waiter.poll() is None for waiter in stage.waiters))
        stage.again()
    stage.end_waiters(75)
    case.latencies.append(time.monotonic() - stage.since)
    stage.end_holders()


def given_back(case, stage):
    """The slots are free, but the commands go on, and their codes are their own."""
    if not stage.all_or_none(stage.ids - stage.holder_ids(), stage.ids):
        case.assertIsNone(case.line_of(stage.scene, "start waiter"))
        stage.again()
    stage.starts_soon(*(f"waiter-{i}" for i in range(len(stage.waiters))))
    stage.end_waiters()
    case.assertEqual(stage.size(), 0)
    stage.end_holders()


def ended(case, stage):
    """Also who was marked and not told is ended by who asks again."""
    for one in stage.ids:
        done = stage.run("release", "--id", one, "--terminate")
        case.assertIn(done.returncode, (0, 1), done.stderr)
    stage.since = time.monotonic()
    for process, _ in stage.holders:
        case.assertEqual(process.wait(TOO_LATE), 76)
    stage.starts_soon("waiter-0")
    stage.end_waiters()


DEEDS = {
    "who resizes": Deed(
        ("resize", "-n", "3"), (("-n", "1"),), (("-n", "1"), ("-n", "1")), check=resized
    ),
    "who resizes for one that was overtaken": Deed(
        ("resize", "-n", "3"),
        (("-n", "1"),),
        (("-n", "1"), ("-n", "1", "--priority", "1")),
        check=resized,
    ),
    "who resizes a pool of two": Deed(
        ("resize", "-n", "4"), (("-n", "2"),) * 2, (("-n", "2"),) * 2, check=resized
    ),
    "who closes": Deed(("close",), (("-n", "1"),), (("-n", "1"),), check=closed),
    "who opens": Deed(("open",), (("-n", "1"),), before=("close",), check=opened),
    "who dismisses": Deed(
        ("close", "--cancel-waiting"), (("-n", "2"),) * 2, (("-n", "2"),) * 2, check=dismissed
    ),
    "who gives back": Deed(
        ("release", "--all"), (("-n", "2"),) * 2, (("-n", "2"),) * 2, check=given_back
    ),
    "who gives back a lock": Deed(
        ("release",), (("--shared",),), ((), ("--shared",)), noun="lock", check=given_back
    ),
    "who ends others": Deed(
        ("release", "--all", "--terminate"), (("-n", "2"),) * 2, (("-n", "2"),), check=ended
    ),
    "who ends the holder of a lock": Deed(
        ("release", "--terminate"), ((),), ((),), noun="lock", check=ended
    ),
}


@unittest.skipIf(SANITIZED, "a killed process reports nothing")
class KilledCase(CrashCase):
    def sweep(self, play, first, title, calls_before_the_poke=0):
        self.latencies = []
        number = first
        while play(number):
            number += 1
            self.assertLess(number, first + 1000, "it never ends")
        self.assertGreater(number - first, 10)
        slow = [seconds for seconds in self.latencies if seconds > SLOW]
        print(
            f"{title}: {number - first} kills, worst {max(self.latencies, default=0) * 1000:.0f} "
            f"ms, {len(slow)} over {SLOW} s",
            flush=True,
        )
        # A second's heartbeat is the net below all others; it must not be the rule.
        self.assertLessEqual(
            len(slow), 1 + (number - first) // 20 + calls_before_the_poke, slow
        )


class Steering(KilledCase):
    def play(self, deed, number):
        """Kills the subject at call `number`. False when it ended before."""
        stage = Stage(self, deed, number)
        done = self.run_program(
            [KILLAT, str(number), CACHIFY, deed.noun, *deed.words, "-k", stage.key]
        )
        told = done.stdout.splitlines()[-1]
        self.assertIn(told, ("killed", "ended 0"), done.stderr)
        stage.since = time.monotonic()
        stage.done = told != "killed"
        with self.subTest(words=deed.words, call=number):
            deed.check(self, stage)
            for process in stage.scene.processes:
                process.wait(30)
            self.assertEqual(stage.size(), 0)
            self.clear(stage.scene)
            return not stage.done
        return False

    def kill_all(self, title, deed):
        make = ("pool", "resize", "-n", "1") if deed.noun == "pool" else ("lock", "run")
        self.cachify(*make, "-k", "census", *(() if deed.noun == "pool" else ("--", "true")))
        first = max(1, self.first_flock(deed.noun, *deed.words, "-k", "census"))
        # A head that sleeps for the end of a certain holder is told by the poke alone.
        self.sweep(lambda number: self.play(deed, number), first, title, 10)


def add_deeds():
    for title, deed in DEEDS.items():

        def killed(self, title=title, deed=deed):
            self.kill_all(title, deed)

        setattr(Steering, f"test_{title.replace(' ', '_')}_is_killed_before_each_call", killed)


add_deeds()


class Whole(KilledCase):
    def test_a_slot_in_parts_is_given_back_whole_or_not_at_all(self):
        """The holder's entry lies beyond the first page, and its extra entry in it."""
        options = ("-n", "14")
        deed = Deed(("release",), (options,) * 14)
        stage = Stage(self, deed, 0)
        heavy_gate = self.gate(stage.scene)
        heavy = self.caller(
            stage.scene, POOL, (*options, "--weight", "2", "--wait"), "heavy", heavy_gate
        )
        self.wait_for_queued(heavy)
        # So that it is not the table's last entry either, whose end is cut off by the first write.
        tail = self.caller(stage.scene, POOL, (*options, "--weight", "3", "--wait"), "tail")
        self.wait_for_queued(tail)
        for i in (0, 2):
            process, gate = stage.holders[i]
            gate.open()
            self.assertEqual(process.wait(30), 0)
        self.wait_for_line(stage.scene, "start heavy ")
        (one,) = stage.holder_ids() - stage.ids
        words = ("pool", "release", "-k", stage.key, "--id", one)
        number = max(1, self.first_flock("pool", "size", "-k", stage.key))
        while True:
            done = self.run_program([KILLAT, str(number), CACHIFY, *words])
            told = done.stdout.splitlines()[-1]
            size = stage.size()
            self.assertIn(size, (12, 14), f"killed at call {number}")
            if size == 12:
                break
            self.assertEqual(told, "killed")
            number += 1
        self.assertIsNone(heavy.poll())
        heavy_gate.open()
        self.assertEqual(heavy.wait(30), 0)


class Replacing(KilledCase):
    def play(self, number):
        """Newest wins, killed at call `number`, and then a newer one."""
        scene = Scene(f"replace-{number}", self.dir / f"log-{number}")
        old, gate = self.holder(scene, LOCK, (), "old")
        words = ("lock", "run", "-k", scene.key, "--replace", "running", "--wait")
        done = self.run_program(
            [KILLAT, str(number), CACHIFY, *words, *self.command(scene, "subject")]
        )
        told = done.stdout.splitlines()[-1]
        self.assertIn(told, ("killed", "ended 0"), done.stderr)
        since = time.monotonic()
        with self.subTest(call=number):
            newer = self.caller(scene, LOCK, ("--replace", "running", "--wait"), "newer")
            self.assertEqual(newer.wait(TOO_LATE), 0)
            self.latencies.append(time.monotonic() - since)
            self.assertEqual(old.wait(TOO_LATE), 76)
            self.assertEqual(self.size(LOCK, scene.key), 0)
            self.clear(scene)
            return told == "killed"
        return False

    def test_who_replaces_is_killed_before_each_call(self):
        self.cachify("lock", "run", "-k", "census", "--", "true")
        words = ("lock", "run", "-k", "census", "--replace", "running", "--", "true")
        self.sweep(self.play, max(1, self.first_flock(*words)), "who replaces")


class Acquiring(KilledCase):
    """acquire: its parent, and the keeper (--fork)."""

    def play(self, keeper_dies, waits, number):
        options = ("-n", "1")
        scene = Scene(f"acquire-{number}", self.dir / f"log-{number}")
        owner = self.spawn(["sleep", "600"])
        gate = self.holder(scene, POOL, options, "blocker")[1] if waits else None
        said = self.dir / f"said-{number}"
        with said.open("w") as stderr:
            subject = self.spawn(
                [KILLAT, *(["--fork"] if keeper_dies else []), str(number), CACHIFY]
                + ["pool", "acquire", "-k", scene.key, *options, "--wait"]
                + ["--owner-pid", str(owner.pid)],
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        scene.processes.append(subject)
        pid = int(self.report(subject, 30).split()[1])
        behind = None

        def arrive_behind():
            caller = self.caller(scene, POOL, (*options, "--wait"), "behind")
            if gate:
                self.wait_for_queued(caller)
            return caller

        end = time.monotonic() + 30
        told = None
        while told is None or told.startswith("at "):
            self.assertLess(time.monotonic(), end, "the subject neither goes on nor ends")
            told = self.report(subject, 0.0005)
            if told:
                continue
            keeper = pid if keeper_dies else (children_of(pid) + [0])[0]
            if gate and keeper and is_waiting(keeper):
                behind = arrive_behind()
                gate.open()
                gate = None
            if keeper_dies and not gate and said.read_text() and is_waiting(keeper):
                owner.kill()  # it holds, and would for ever
        since = time.monotonic()
        if gate:
            gate.open()
            gate = None
        with self.subTest(keeper=keeper_dies, waits=waits, call=number):
            behind = behind or arrive_behind()
            if not keeper_dies and said.read_text():
                # The id is out: the owner is what counts, if the keeper has heard of it.
                owner.kill()
            self.wait_for_line(scene, "start behind ", TOO_LATE)
            self.latencies.append(time.monotonic() - since)
            self.assertEqual(behind.wait(30), 0)
            owner.kill()
            wait_until(lambda: self.size(POOL, scene.key) == 0, "nothing is left", TOO_LATE)
            for process in scene.processes:
                process.wait(30)
            owner.wait(30)
            self.clear(scene)
            said.unlink()
            return told == "killed"
        return False

    def test_the_parent_is_killed_before_each_call(self):
        for waits in (False, True):
            title = f"acquire's parent{', waiting' if waits else ''}"
            self.sweep(lambda number, waits=waits: self.play(False, waits, number), 1, title)

    def test_the_keeper_is_killed_before_each_call(self):
        for waits in (False, True):
            title = f"acquire's keeper{', waiting' if waits else ''}"
            self.sweep(lambda number, waits=waits: self.play(True, waits, number), 1, title)


if __name__ == "__main__":
    main()
