"""The figures of the Redis store: a redis-server on this machine, cachify beside flock and etcdctl."""

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import bench  # noqa: E402
from redis_server import Server, missing, waiting_pids  # noqa: E402
from support import wait_until  # noqa: E402

SIZES = {
    "smoke": dict(rounds=5, waiters=5, turns=1, idle=10, seconds=1, slots=100),
    "quick": dict(rounds=100, waiters=50, turns=3, idle=200, seconds=10, slots=10_000),
    "full": dict(rounds=500, waiters=50, turns=8, idle=1000, seconds=45, slots=10_000),
}


def script(name):
    """A script as the store sends it."""
    folder = ROOT / "src" / "store" / "redis" / "scripts"
    return (folder / "common.lua").read_text() + "\n" + (folder / f"{name}.lua").read_text()


class RedisBench(bench.Bench):
    def __init__(self, mode):
        super().__init__(mode, False)
        self.size = dict(SIZES[mode], slow=bench.SIZES[mode]["slow"])
        self.server = Server()
        self.env["CACHIFY_STORE"] = self.server.url

    def number(self, section, field):
        return float(re.search(rf"{field}[:=]([0-9.]+)", self.server("INFO", section)).group(1))

    def uncontended(self):
        unix = self.lock("--store", self.server.unix_url)
        ways = {"cachify": [*self.lock(), self.true], "cachify, unix socket": [*unix, self.true],
                "flock": [self.flock, self.file, self.true]}  # fmt: skip
        slow = {"flock": ways["flock"]}
        for name, way in self.peers.slow().items():
            if name == "etcdctl lock":
                slow[name] = [*way, self.true]
        self.plot("redis-start", "Over a server on this machine: `lock run`, nobody else")
        self.compare("Redis: lock run, nobody else", "us", self.alternate(self.size["rounds"], ways), 1.3,
                     1.0, slow=self.alternate(self.size["slow"]["rounds"], slow))  # fmt: skip

    def hand_off(self):
        waiters = self.size["waiters"]
        ways = {"cachify": self.lock("--wait"), "flock": [self.flock, self.file]}
        gaps = {name: bench.Gaps() for name in ways}
        for turn in range(self.size["turns"]):
            for name, way in ways.items():
                log = self.dir / f"handoff-{name}-{turn}"
                self.drained([way], waiters, "apart", [*way, self.job, str(log), "{}", "0"])
                gaps[name].read(log)
        self.plot("redis-hand-off", f"Over a server on this machine: hand-off, {waiters} waiters")
        note = f"out of order: {gaps['cachify'].inversions}; until the next command's main()"
        self.compare(f"Redis: hand-off, {waiters} waiters", "us",
                     {name: gap.started for name, gap in gaps.items()}, 1.6, 1.0, note)  # fmt: skip

    def round_trips(self):
        subprocess.run([*self.lock(), "true"], env=self.env, check=True)
        before = self.number("stats", "total_writes_processed")
        overhead = self.number("stats", "total_writes_processed") - before
        before = self.number("stats", "total_writes_processed")
        subprocess.run([*self.lock(), "true"], env=self.env, check=True)
        spent = self.number("stats", "total_writes_processed") - before - overhead
        self.plot("", "")
        self.row("Redis: round trips of acquire and release", spent, "", at_least=2, aim=2)

    def idle(self):
        count, seconds = self.size["idle"], self.size["seconds"]
        holder = self.spawn([*self.lock("--store", self.server.unix_url), "sleep", "600"])
        held = [self.cachify, "lock", "is-locked", "--key", "bench"]
        wait_until(lambda: subprocess.run(held, env=self.env).returncode == 0, "it holds")
        waiters = [self.spawn([*self.lock("-w", "--store", self.server.unix_url), "true"])
                   for _ in range(count)]
        wait_until(lambda: len(waiting_pids(self.server)) == count, "all wait", 120)
        time.sleep(2)
        self.server("CONFIG", "RESETSTAT")
        time.sleep(seconds)
        top = 0
        for line in self.server("INFO", "commandstats").splitlines():
            found = re.match(r"cmdstat_(evalsha|eval|blpop|zrank|zadd|auth|select):calls=(\d+)", line)
            top += int(found.group(2)) if found else 0
        all_of_them = self.number("stats", "total_commands_processed")
        self.row(f"Redis: {count} idle waiters, commands and those inside of scripts",
                 all_of_them / seconds, "/s", at_least=100, aim=50)
        self.row(f"Redis: {count} idle waiters, evalsha, blpop, zadd and zrank alone", top / seconds, "/s")
        self.end(waiters)
        self.end([holder])

    def enter(self, keys, slots):
        """Books as `slots` holders of each key leave them, without the holders."""
        connection = self.server.connect()
        sha = connection("SCRIPT", "LOAD", script("take"))
        who = "12345 1000 4026531836 alice build-07.example.org ./job.sh --input file-17 --verbose"
        for key in keys:
            names = [f"cachify:pool:{{{key}}}:{part}" for part in "hqapimb"]
            for number in range(slots):
                answer = connection("EVALSHA", sha, 7, *names, "pool", f"{number:013x}", "", "0", "0",
                                    "0", "3600000000", "0", "1", "0", slots + 1, "0", "-1", "-1", "-1",
                                    "", "0", who)  # fmt: skip
                assert answer[0] == "OK", answer
        connection.close()

    def many_slots(self):
        slots = self.size["slots"]
        # The first time also counts what a server that is used at all keeps, whatever the slots.
        for _ in range(2):
            self.server("FLUSHALL")
            before = self.number("memory", "used_memory")
            self.enter(["bench"], slots)
        used = self.number("memory", "used_memory") - before
        self.row(f"Redis: memory of the server per slot, {slots} held", used / slots, "bytes",
                 at_least=400, aim=250)
        command = [self.cachify, "pool", "size", "--key", "bench"]
        run = subprocess.run(command, env=self.env, capture_output=True, text=True, check=True)
        assert run.stdout == f"{slots}\n", run
        self.server("CONFIG", "RESETSTAT")
        for _ in range(50):
            subprocess.run(command, env=self.env, capture_output=True, check=True)
        found = re.search(r"cmdstat_evalsha:.*?usec_per_call=([0-9.]+)",
                          self.server("INFO", "commandstats"))
        self.row(f"Redis: pool size with {slots} slots, time of the server", float(found.group(1)), "us",
                 at_least=50, aim=10)

    PARTS = ("uncontended", "round_trips", "hand_off", "many_slots", "idle")

    def clean_up(self):
        super().clean_up()
        self.server.stop()


def unavailable():
    """Why it cannot be measured; None when it can."""
    return missing()
