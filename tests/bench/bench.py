"""The figures of one machine: cachify beside flock and other peers, in interleaved runs.

Every ratio comes from the same run, all taking turns, so a busy machine blurs them alike. tests/bench/run
is the program.
"""

import json
import os
import platform
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from peers import Peers  # noqa: E402 (the path has to be set first)
from support import is_waiting, wait_until  # noqa: E402

# In the environment of everything that is started here.
MARK = "BENCH_DIR"

# How often and how many, in the modes. `smoke` only shows that every measurement works.
# `slow` is for the peers that are.
SIZES = {
    #             uncontended  hand-off     burst         drain          idle  holders
    "smoke": dict(rounds=5, waiters=5, turns=1, crowd=8, each=2, drain=20, idle=5, seconds=0.2,
                  holders=[20], slow=dict(rounds=1, waiters=2, crowd=2, each=1, idle=2)),
    "quick": dict(rounds=200, waiters=50, turns=5, crowd=64, each=50, drain=1000, idle=100,
                  seconds=3, holders=[1000], slow=dict(rounds=10, waiters=6, crowd=8, each=3, idle=10)),
    "full": dict(rounds=1000, waiters=50, turns=20, crowd=64, each=50, drain=1000, idle=100,
                 seconds=3, holders=[1000],
                 slow=dict(rounds=40, waiters=10, crowd=16, each=6, idle=10)),
}  # fmt: skip


def median_of(samples):
    return statistics.median(samples)


def percentile(samples, percent):
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Bench:
    """The measurements; each adds its rows."""

    def __init__(self, mode, large):
        self.size = SIZES[mode]
        self.mode = mode
        if large:
            self.size = dict(self.size, holders=[*self.size["holders"], 10_000])
        self.dir = Path(tempfile.mkdtemp(prefix="cachify-bench-"))
        self.cachify, self.job, self.launch, floor = programs()
        self.flock = shutil.which("flock") or sys.exit("flock (util-linux) is needed to compare with")
        self.true = shutil.which("true")
        self.file = str(self.dir / "flock-file")
        self.peers = Peers(self.dir, floor)
        # A command that is in the way until somebody has opened the FIFO. A file, since sem hands its
        # words to a shell once more.
        self.hold = str(self.dir / "hold")
        Path(self.hold).write_text('#!/bin/sh\n: >"$1"\nread -r _ <"$2"\nexit 0\n')
        os.chmod(self.hold, 0o755)
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.dir),
            "LANG": "C.UTF-8",
            "CACHIFY_STORE": f"file:{self.dir}/store",
            MARK: str(self.dir),
            **self.peers.environment,
        }
        self.rows = []
        self.group = ("", "")
        self.herd = []  # pids of our children that still run
        self.fifos = 0

    # -- tools

    def lock(self, *options):
        return [self.cachify, "lock", "run", "--key", "bench", *options, "--"]

    def pool(self, slots, *options):
        return [self.cachify, "pool", "run", "--key", "bench", "--max", str(slots), *options, "--"]

    def spawn(self, argv):
        """A child on /dev/null; its pid is remembered until it has been reaped."""
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            # Not ours: a command that stays behind would keep who reads our output waiting.
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        ]
        pid = os.posix_spawnp(argv[0], argv, self.env, file_actions=actions)
        self.herd.append(pid)
        return pid

    def end(self, pids, signum=signal.SIGTERM):
        for pid in pids:
            os.kill(pid, signum)  # our child, not reaped yet: the pid is its own
        for pid in pids:
            os.waitpid(pid, 0)
            self.herd.remove(pid)

    def timed(self, *words):
        """What tests/tools/launch prints: lists of ns, one for each line."""
        done = subprocess.run(
            [self.launch, *map(str, words)],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=600,
        )
        return [[int(number) for number in line.split()] for line in done.stdout.splitlines()]

    def plot(self, slug, title):
        """The rows from now on share a plot."""
        self.group = (slug, title)

    def row(self, figure, value, unit, reference=None, at_least=None, aim=None, note="", ways=None):
        """One line of the table. Targets are ratios where there is a reference, else values."""
        ratio = value / reference if reference else None
        judged = ratio if ratio is not None else value
        verdict = ""
        if self.mode != "smoke" and at_least is not None:
            verdict = "aim" if aim is not None and judged <= aim else "ok"
            if judged > at_least:
                verdict = "SHORT"
        self.rows.append(
            dict(figure=figure, value=value, unit=unit, flock=reference, ratio=ratio,
                 at_least=at_least, aim=aim, verdict=verdict, note=note,
                 plot=self.group[0], title=self.group[1], ways=ways or [])
        )  # fmt: skip
        show(self.rows[-1])

    def compare(self, figure, unit, samples, at_least=None, aim=None, note="", slow=None):
        """A row about cachify's median beside flock's, and what the others need, with their p99.

        `samples` come from one interleaved run, those of `slow` from another one, each with flock.
        """
        ways = []
        for series in (samples, slow or {}):
            flock = median_of(series["flock"]) if "flock" in series else None
            for name, values in series.items():
                if series is slow and name in samples:
                    continue
                ways.append(
                    dict(name=name, median=median_of(values), p99=percentile(values, 99),
                         least=min(values), count=len(values),
                         ratio=median_of(values) / flock if flock else None)
                )  # fmt: skip
        ours, theirs = median_of(samples["cachify"]), median_of(samples["flock"])
        self.row(figure, ours, unit, theirs, at_least, aim, note, ways)

    def alternate(self, rounds, commands):
        """{name: us of each round} of commands that take turns."""
        words = []
        for command in commands.values():
            words += [*command, ":::"]
        lines = self.timed("alternate", rounds, *words[:-1])
        return {name: [ns / 1e3 for ns in line] for name, line in zip(commands, lines)}

    # -- the figures

    def uncontended(self):
        rounds, slow_rounds = self.size["rounds"], self.size["slow"]["rounds"]
        for slug, verb, way, slots, aim in (
            ("start-lock", "lock run", self.lock(), 1, 0.72),
            ("start-pool", "pool run --max 4", self.pool(4), 4, 0.74),
        ):
            self.plot(slug, f"`{verb}`, nobody else: start, lock, run `true`, end")
            commands = {"cachify": [*way, self.true]}
            for name, words in self.peers.exclusive().items():
                commands[name] = [*words, self.true]
            commands["flock, LC_ALL=C"] = ["LC_ALL=C", *commands["flock"]]
            commands["true alone"] = [self.true]
            fast = self.alternate(rounds, commands)
            commands = {name: commands[name] for name in ("cachify", "flock")}
            for name, words in self.peers.slow(slots).items():
                commands[name] = [*words, self.true]
            slow = self.alternate(slow_rounds, commands)
            self.compare(f"{verb}, nobody else", "us", fast, 0.85, aim, slow=slow)

    def fifo(self):
        self.fifos += 1
        path = str(self.dir / f"fifo-{self.fifos}")
        os.mkfifo(path)
        return path

    def drained(self, holders, count, how, command):
        """Seconds that COUNT queued commands take, from the end of who was in their way."""
        fifo = self.fifo()
        started = []
        for index, holder in enumerate(holders):
            mark = f"{fifo}.{index}"
            started.append(self.spawn([*holder, self.hold, mark, fifo]))
            wait_until(lambda mark=mark: os.path.exists(mark), "the holder runs")
        ns = self.timed("queue", count, how, fifo, *command)[0][0]
        for pid in started:
            os.waitpid(pid, 0)
            self.herd.remove(pid)
        return ns / 1e9

    def exclusive_ways(self):
        """cachify first, flock, and who else is fast; all for one at a time."""
        return {"cachify": self.lock("--wait"), **self.peers.exclusive()}

    def hand_off(self):
        waiters = self.size["waiters"]
        ways = self.exclusive_ways()
        gaps = {name: Gaps() for name in ways}
        for turn in range(self.size["turns"]):
            for name, way in ways.items():
                log = self.dir / f"handoff-{name}-{turn}"
                self.drained([way], waiters, "apart", [*way, self.job, str(log), "{}", "0"])
                gaps[name].read(log)
        slow = self.slow_hand_off()
        note = f"out of order: {gaps['cachify'].inversions} (flock {gaps['flock'].inversions})"
        self.plot("hand-off", f"Hand-off, {waiters} waiters: a command's end to the next one's start")
        entered = {name: gap.entered for name, gap in gaps.items()}
        if all(entered.values()):
            self.compare(f"hand-off, {waiters} waiters", "us", entered, 1.0, 0.75, note,
                         {name: gap.entered for name, gap in slow.items()})  # fmt: skip
            note = "the command's own start included"
        self.plot("hand-off-main", f"Hand-off, {waiters} waiters, until the next command's main()")
        self.compare(f"hand-off, {waiters} waiters, until main()", "us",
                     {name: gap.started for name, gap in gaps.items()}, 1.0, None, note,
                     {name: gap.started for name, gap in slow.items()})  # fmt: skip

    def slow_hand_off(self):
        """Of those that start slowly and poll: queued together, given time, then let go."""
        waiters = self.size["slow"]["waiters"]
        gaps = {}
        ways = {"flock": self.peers.exclusive()["flock"], **self.peers.slow()}
        for name, way in ways.items():
            gaps[name] = Gaps()
            log = self.dir / f"handoff-slow-{name.replace(' ', '-')}"
            mark = self.dir / f"{log.name}-held"
            fifo = self.fifo()
            holder = self.spawn([*way, self.hold, str(mark), fifo])
            wait_until(mark.exists, f"{name}'s holder runs", 60)
            crowd = [self.spawn([*way, self.job, str(log), str(n), "0"]) for n in range(waiters)]
            # Nothing tells of all of them that they wait: they poll, or a server knows.
            time.sleep(2 if self.mode != "smoke" else 1)
            with open(fifo, "w"):
                pass
            for pid in [holder, *crowd]:
                os.waitpid(pid, 0)
                self.herd.remove(pid)
            gaps[name].read(log)
        return gaps

    def together(self):
        crowd, each, turns = self.size["crowd"], self.size["each"], self.size["turns"]
        slow = self.size["slow"]
        fast_ways = {name: [*way, self.true] for name, way in self.exclusive_ways().items()}
        slow_ways = {"flock": fast_ways["flock"]}
        for name, way in self.peers.slow().items():
            slow_ways[name] = [*way, self.true]

        def per_job(ways, times, count, *words):
            samples = {name: [] for name in ways}
            for _ in range(times):
                for name, way in ways.items():
                    total = self.timed(*words, *way)[0][0]
                    samples[name].append(total / count / 1e3)
            return samples

        self.plot("burst", f"{crowd} callers at once, time per job (sem, tsp, etcdctl: {slow['crowd']} callers)")
        self.compare(f"{crowd} callers at once, per job", "us",
                     per_job(fast_ways, turns, crowd, "burst", crowd), 1.0, 0.72,
                     slow=per_job(slow_ways, 1, slow["crowd"], "burst", slow["crowd"]))  # fmt: skip
        self.plot("workers", f"8 workers, {each} jobs each, time per job (sem, tsp, etcdctl: {slow['each']} each)")
        self.compare(f"8 workers times {each}, per job", "us",
                     per_job(fast_ways, max(1, turns // 2), 8 * each, "workers", 8, each), 1.0, 0.72,
                     slow=per_job(slow_ways, 1, 8 * slow["each"], "workers", 8, slow["each"]))  # fmt: skip

    def drain(self):
        count = self.size["drain"]
        self.plot("drain", f"{count} waiters until all have run (cachify: 4 slots; the others: 1)")
        ways = {"cachify": self.pool(4, "--wait"), **self.peers.exclusive()}
        times = {name: [] for name in ways}
        for _ in range(max(1, self.size["turns"] // 5)):
            for name, way in ways.items():
                holders = [way] * (4 if name == "cachify" else 1)
                took = self.drained(holders, count, "together", [*way, self.true])
                times[name].append(took * 1e3)
        self.compare(f"{count} waiters drain, N=4 (flock: N=1)", "ms", times, 1.0, 0.65)

    def idle(self):
        """What waiting costs; of the slow peers fewer wait, and the sum is scaled up."""
        count, seconds = self.size["idle"], self.size["seconds"]
        ways = {
            "cachify": (self.lock("--wait"), 1, count),
            "cachify, pool of 4": (self.pool(4, "--wait"), 4, count),
            "flock": ([self.flock, self.file], 1, count),
        }
        for name, way in self.peers.slow().items():
            ways[name] = (way, 1, self.size["slow"]["idle"])
        spent, memory = {}, {}
        for name, (way, slots, some) in ways.items():
            log = self.dir / f"idle-{name.replace(', ', '-').replace(' ', '-')}"
            holders = [self.spawn([*way, self.job, str(log), "h", "-1"]) for _ in range(slots)]
            wait_until(lambda: lines_of(log) == slots, "the holders run", 60)
            waiters = [self.spawn([*way, "true"]) for _ in range(some)]
            if name.startswith("cachify"):
                for pid in waiters:
                    wait_until(lambda: is_waiting(pid), "the caller waits")
            elif name == "flock":
                for pid in waiters:
                    wait_until(lambda: in_call(pid, "flock"), "flock waits")
            else:
                time.sleep(2)  # nothing tells when they have come to wait
            before = [processor_ns(pid) for pid in waiters]
            time.sleep(seconds)  # what is measured: the cost of so much time
            used = sum(processor_ns(pid) for pid in waiters) - sum(before)
            spent[name] = [used / 1e6 / some * count]
            memory[name] = [pss_kb(pid) for pid in waiters]
            # Who polls or asks a server may take its time with a TERM.
            ours = name.startswith("cachify") or name == "flock"
            self.end(waiters, signal.SIGTERM if ours else signal.SIGKILL)
            self.end_commands(log)
            self.reap(holders)
        for slug, title, unit, costs, at_least, aim in (
            # Less than a clock tick for all of them.
            ("idle-time", f"{count} waiters for {seconds} s: processor time of all", "ms", spent, 1.0, 1.0),
            ("idle-memory", f"{count} waiters: memory of each (PSS)", "kB", memory, 250, 130),
        ):
            self.plot(slug, title)
            # The servers of tsp and etcdctl are not in it.
            for name in ("cachify", "cachify, pool of 4"):
                ways = []
                if name == "cachify":
                    for other, values in costs.items():
                        ways.append(dict(name=other, median=median_of(values), p99=percentile(values, 99),
                                         least=min(values), count=len(values), ratio=None))  # fmt: skip
                figure = f"{title} ({'lock' if name == 'cachify' else 'pool'})"
                self.row(figure, median_of(costs[name]), unit, None, at_least, aim, ways=ways)

    def end_commands(self, log):
        """Ends the commands that LOG tells of: with them those go who wait for them."""
        for line in log.read_text().splitlines():
            os.kill(int(line.split()[2]), signal.SIGTERM)

    def reap(self, pids):
        for pid in pids:
            os.waitpid(pid, 0)
            self.herd.remove(pid)

    def grow_holders(self, running, count, log):
        """Commands in `count` slots, those in `running` included; False: more than this user may have."""
        room = resource.getrlimit(resource.RLIMIT_NPROC)[0]
        if room != resource.RLIM_INFINITY and room < 2 * count + 500:
            return False
        way = [*self.pool(20_000), self.job, str(log), "h", "-1"]
        while len(running) < count:
            running += [self.spawn(way) for _ in range(min(200, count - len(running)))]
            wait_until(lambda: lines_of(log) == len(running), f"{len(running)} holders run", 120)
        return True

    def holders(self):
        self.plot("pool-size", "`pool size`, by how many hold a slot")
        log = self.dir / "holders"
        running = []
        medians = {}
        for count in [1, *self.size["holders"]]:
            if not self.grow_holders(running, count, log):
                self.row(f"pool size, {count} holders", 0, "us", note="skipped: ulimit -u")
                continue
            command = [self.cachify, "pool", "size", "--key", "bench"]
            said = subprocess.run(command, env=self.env, stdout=subprocess.PIPE, check=True)
            if int(said.stdout) != count:
                raise AssertionError(f"pool size says {said.stdout} with {count} holders")
            rounds = min(50, self.size["rounds"])
            medians[count] = median_of(self.timed("alternate", rounds, *command)[0]) / 1e3
            target = {10_000: 5000.0}.get(count)
            self.row(f"pool size, {count} holders", medians[count], "us", None, target, target)
        if 1000 in medians and 10_000 in medians:
            growth = (medians[10_000] - medians[1]) / max(medians[1000] - medians[1], 1e-9)
            self.row("pool size, growth from 1,000 to 10,000", growth, "times", None, 10.5, 10.5)
        self.plot("", "")
        # A few at a time: how ten thousand fare that end in one instant is not asked here.
        begin = time.perf_counter_ns()
        for first in range(0, len(running), 200):
            self.end(running[first : first + 200])
        each = (time.perf_counter_ns() - begin) / 1e3 / len(running)
        self.row(f"end of {len(running)} holders, 200 at a time, each", each, "us")

    def steering(self):
        """From a resize, a release by somebody else and a normal end until the next command runs."""
        ways = ("normal hand-off", "resize", "release --all")
        log = self.dir / "steering"
        self.plot("steering", "Until the next command runs, after an end, a resize, a release")
        # With one slot the head sleeps until that holder ends, with two it sleeps on the bell.
        for slots, where in ((1, "head on H"), (2, "head on the bell")):
            us = {way: [] for way in ways}
            alone = []
            for turn in range(self.size["turns"] * 3):
                for way in ways:
                    us[way].append(self.steered(way, slots, log, f"{slots}-{turn}-{way[0]}"))
                start = time.perf_counter_ns()
                self.do("resize", "--unset")
                alone.append((time.perf_counter_ns() - start) / 1e3)
            call = median_of(alone)
            normal = median_of(us[ways[0]])
            self.row(f"{ways[0]}, {where}", normal, "us")
            for way in ways[1:]:
                note = f"with the call, which alone takes {call:,.0f} us"
                self.row(f"{way} to admitted, {where}", median_of(us[way]), "us", note=note)

    def do(self, verb, *options):
        # Not by subprocess, whose own start takes longer than what is measured.
        pid = self.spawn([self.cachify, "pool", verb, "--key", "bench", *options])
        _, status = os.waitpid(pid, 0)
        self.herd.remove(pid)
        if status != 0:
            raise AssertionError(f"pool {verb} ended with {status}")

    def steered(self, way, slots, log, label):
        log.unlink(missing_ok=True)
        holders = [self.spawn([*self.pool(slots), self.job, log, "h", "-1"]) for _ in range(slots)]
        wait_until(lambda: lines_of(log) == slots, "the holders run")
        waiter = self.spawn([*self.pool(slots, "--wait"), self.job, log, label, "0"])
        wait_until(lambda: is_waiting(waiter), "the caller waits")
        command = int(Path(f"/proc/{holders[0]}/task/{holders[0]}/children").read_text())
        begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        if way == "resize":
            self.do("resize", "--max", str(slots + 1))
        elif way == "release --all":
            self.do("release", "--all")
        else:
            os.kill(command, signal.SIGTERM)
        os.waitpid(waiter, 0)
        self.herd.remove(waiter)
        self.end(holders)
        self.do("resize", "--unset")
        for line in log.read_text().splitlines():
            what, at, _, who, *_ = line.split()
            if (what, who) == ("start", label):
                return (int(at) - begin) / 1e3
        raise AssertionError(f"{label} never ran")

    def status(self):
        count = self.size["holders"][0]
        self.plot("status", f"`pool status` of {count} holders and {count} waiters")
        log = self.dir / "status"
        room = resource.getrlimit(resource.RLIMIT_NPROC)[0]
        if room != resource.RLIM_INFINITY and room < 3 * count + 500:
            self.row(f"pool status, {count} + {count}", 0, "us", note=f"skipped: ulimit -u {room}")
            return
        crowd = []
        while len(crowd) < count:
            some = min(200, count - len(crowd))
            crowd += [self.spawn([*self.pool(count), self.job, log, "h", "-1"]) for _ in range(some)]
            wait_until(lambda: lines_of(log) == len(crowd), f"{len(crowd)} holders run", 120)
        for _ in range(count):
            crowd.append(self.spawn([*self.pool(count, "--wait"), "true"]))
        command = [self.cachify, "pool", "status", "--key", "bench", "--json"]

        def said():
            done = subprocess.run(command, env=self.env, stdout=subprocess.PIPE, check=True)
            return json.loads(done.stdout)

        wait_until(lambda: said()["waiting"] == count, f"{count} callers wait", 120)
        lines = self.timed("alternate", min(50, self.size["rounds"]), *command[:-1], ":::", *command)
        for line, how in zip(lines, ("", ", --json")):
            figure = f"pool status{how}, {count} holders + {count} waiters"
            self.row(figure, median_of(line) / 1e3, "us", None, 20_000, 20_000)
        # The waiters first, a few at a time, or each would be let in.
        for first in range(len(crowd) - 200, -200, -200):
            self.end(crowd[max(first, 0) : first + 200])

    # In the order in which they are measured; `run --only` takes their names.
    PARTS = ("uncontended", "hand_off", "together", "drain", "idle", "holders", "steering", "status")
    curves = ()

    def run(self, parts):
        try:
            for part in parts:
                getattr(self, part)()
        finally:
            self.clean_up()

    def clean_up(self):
        self.peers.stop()
        for pid in self.herd:
            os.kill(pid, signal.SIGKILL)  # our child, not reaped yet: the pid is its own
        for pid in self.herd:
            os.waitpid(pid, 0)
        self.herd.clear()
        # What outlived its cachify is known by the folder in its environment.
        wait_until(self.kill_marked, "everything that was started has ended")
        shutil.rmtree(self.dir, ignore_errors=True)

    def kill_marked(self):
        """Kills what still runs of ours; True when there was nothing."""
        mark = f"{MARK}={self.dir}".encode()
        none = True
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                handle = os.pidfd_open(int(entry))  # first: the pid can't become another's then
            except OSError:
                continue
            try:
                if mark in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0"):
                    none = False
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            except OSError:
                pass
            finally:
                os.close(handle)
        return none


class Gaps:
    """From the end of a command to the start of the next, in us, out of logs that tests/tools/job wrote."""

    def __init__(self):
        self.entered = []  # to its first instruction; empty where that is not known
        self.started = []  # to its main()
        self.inversions = 0

    def read(self, log):
        ended = None
        expected = 0
        for line in log.read_text().splitlines():
            what, at, _, label, _, _, entered = line.split()
            if what == "end":
                ended = int(at)
                continue
            if ended is not None:
                self.started.append((int(at) - ended) / 1e3)
                if int(entered):
                    self.entered.append((int(entered) - ended) / 1e3)
            self.inversions += int(label) != expected
            expected = int(label) + 1


# -- facts about processes


def lines_of(path):
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def in_call(pid, name):
    """Sleeps in this system call."""
    number = {("x86_64", "flock"): "73", ("aarch64", "flock"): "32"}.get((platform.machine(), name))
    try:
        return Path(f"/proc/{pid}/syscall").read_text().split()[0] == number
    except OSError:
        return False


def processor_ns(pid):
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def pss_kb(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("no Pss in smaps_rollup")


# -- the table


def show(row):
    """A row as soon as it is known: some take a while."""

    def number(value, digits=1):
        return "" if value is None else f"{value:,.{digits}f}"

    print(
        f"{row['figure']:<46} {number(row['value']):>11} {row['unit']:<5} "
        f"{number(row['flock']):>11} {number(row['ratio'], 2):>6} "
        f"{number(row['at_least'], 2):>8} {number(row['aim'], 2):>8}  "
        f"{row['verdict']:<5} {row['note']}".rstrip(),
        flush=True,
    )


def heading():
    print(
        f"{'figure':<46} {'cachify':>11} {'':<5} {'flock':>11} {'ratio':>6} "
        f"{'at least':>8} {'aim':>8}"
    )


def programs():
    """cachify, job, launch and floor (None: not here): given, or built in the release preset."""
    names = ("CACHIFY_BIN", "CACHIFY_JOB", "CACHIFY_LAUNCH")
    given = [os.environ.get(name) for name in names]
    if all(given):
        return [*given, os.environ.get("CACHIFY_FLOOR") or None]
    build = ROOT / "build" / "release"
    for command in (
        ["cmake", "--preset", "release", "-DBUILD_TESTING=ON"],
        ["cmake", "--build", "--preset", "release"],
    ):
        subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
    floor = build / "tests/floor"
    return [str(build / "cachify"), str(build / "tests/job"), str(build / "tests/launch"),
            str(floor) if floor.exists() else None]  # fmt: skip
