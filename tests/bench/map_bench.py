"""pool map beside `xargs -P4 -n1` and `parallel -j4`: `true` for each of so many items, taking turns."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import bench

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))

from redis_server import RedisStore  # noqa: E402 (the path has to be set first)

SLOTS = 4
SIZES = {
    "smoke": dict(items=50, rounds=1, few=10),
    "quick": dict(items=2000, rounds=3, few=200),
    "full": dict(items=10_000, rounds=3, few=1000),
}


def run_with_input(argv, items, env):
    """Wall seconds of the program with the items as its input, and its peak memory in KiB."""
    begin = time.monotonic()
    with open(items, "rb") as source:
        process = subprocess.Popen(argv, stdin=source, env=env, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
            found = re.search(r"VmHWM:\s+(\d+)", status)
            peak = max(peak, int(found[1]) if found else 0)
        except (FileNotFoundError, ProcessLookupError):
            break
        time.sleep(0.05)
    if process.wait() != 0:
        sys.exit(f"{argv[0]} ended with {process.returncode}")
    return time.monotonic() - begin, peak


class MapBench(bench.Bench):
    PARTS = ("items",)

    def __init__(self, mode):
        super().__init__(mode, False)
        self.map_size = SIZES[mode]

    def items(self):
        count, few = self.map_size["items"], self.map_size["few"]
        inputs = {}
        for number in (count, few):
            inputs[number] = self.dir / f"items-{number}"
            inputs[number].write_text("".join(f"{n}\n" for n in range(number)), encoding="ascii")
        own = [self.cachify, "pool", "map", "--key", "m", "-n", str(SLOTS), "--", "true"]
        ways = {"cachify": (own, count), "xargs": (["xargs", f"-P{SLOTS}", "-n1", "true"], count)}
        if shutil.which("parallel"):
            # It takes minutes for all of them; each item costs it the same.
            ways["parallel"] = (["parallel", "--will-cite", f"-j{SLOTS}", "true"], few)
        each = {name: [] for name in ways}
        peak = 0
        for _ in range(self.map_size["rounds"]):
            for name, (argv, number) in ways.items():
                seconds, memory = run_with_input(argv, inputs[number], self.env)
                each[name].append(seconds / number * 1e6)
                if name == "cachify":
                    peak = max(peak, memory)
        self.plot("map", f"`pool map`, {SLOTS} at a time: time per item")
        middle = {name: bench.median_of(values) for name, values in each.items()}
        rows = [dict(name=name, median=middle[name], p99=max(values), least=min(values),
                     count=len(values), ratio=None) for name, values in each.items()]  # fmt: skip
        ours = middle["cachify"]
        note = f"{ours / middle['xargs']:.2f} of xargs (wanted: 1.1)"
        if "parallel" in middle:
            note += f", {ours / middle['parallel']:.2f} of parallel (wanted: 0.1)"
        self.row("pool map, per item", ours, "us", note=note, ways=rows)
        self.plot("", "")
        self.row("pool map, peak memory", peak / 1024, "MB", at_least=10, aim=10)
        if RedisStore.unavailable():
            return
        store = RedisStore(self.dir)
        seconds, _ = run_with_input(own, inputs[count], dict(self.env, **store.environment))
        note = f"{scripts_run(store)} scripts run for {SLOTS} slots and {count} items"
        self.row("Redis: pool map, per item", seconds / count * 1e6, "us", note=note)
        store.stop()


def scripts_run(store):
    connection = store.server.connect()
    try:
        text = connection("INFO", "commandstats")
    finally:
        connection.close()
    return sum(int(calls) for calls in re.findall(r"cmdstat_eval(?:sha)?:calls=(\d+)", text))
