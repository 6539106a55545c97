"""How the cost grows: with who waits, with slots that are held, with keys that the store knows."""

import bench
import redis_bench

SIZES = {
    "smoke": dict(waiters=[1, 3], slots=[1, 10], keys=[1, 10], rounds=3),
    "quick": dict(waiters=[1, 10, 100], slots=[1, 10, 100, 1000], keys=[1, 100, 10_000], rounds=40),
    "full": dict(waiters=[1, 10, 100, 300], slots=[1, 10, 100, 1000], keys=[1, 100, 10_000], rounds=100),
}
LARGE = dict(waiters=[1, 10, 100, 1000], slots=[1, 10, 100, 1000, 10_000],
             keys=[1, 100, 10_000, 100_000])  # fmt: skip


class Curve:
    """Medians over what grows, for each series; printed as they are found."""

    def __init__(self, plot, title, along, unit="us"):
        self.data = dict(plot=plot, title=title, along=along, unit=unit, series={})

    def add(self, series, x, samples):
        point = dict(median=bench.median_of(samples), p99=bench.percentile(samples, 99), count=len(samples))
        self.data["series"].setdefault(series, []).append((x, point))
        print(f"{self.data['title']}: {series}, {x:,}: {point['median']:,.0f} {self.data['unit']}", flush=True)


class Scaling:
    """Both stores and flock; None for a store that is not there."""

    def __init__(self, mode, large):
        self.size = dict(SIZES[mode], **(LARGE if large else {}))
        self.mode = mode
        self.benches = {"cachify, file": bench.Bench(mode, False)}
        if not redis_bench.unavailable():
            self.benches["cachify, Redis"] = redis_bench.RedisBench(mode)

    PARTS = ("waiters", "slots", "keys")
    rows = ()

    def run(self, parts):
        try:
            self.curves = [getattr(self, part)().data for part in parts]
        finally:
            for one in self.benches.values():
                one.clean_up()

    def waiters(self):
        curve = Curve("scaling-waiters", "Hand-off of a lock, by how many wait", "waiters")
        for count in self.size["waiters"]:
            turns = 1 if self.mode == "smoke" else max(1, 20 // count)
            samples = {}
            for _ in range(turns):
                for name, one in self.benches.items():
                    samples.setdefault(name, []).extend(first_gaps(one, one.lock("--wait"), count))
                file = self.benches["cachify, file"]
                samples.setdefault("flock", []).extend(first_gaps(file, [file.flock, file.file], count))
            for name, values in samples.items():
                curve.add(name, count, values)
        return curve

    def slots(self):
        curve = Curve("scaling-slots", "`pool run` and `pool size` while so many slots are held", "slots held")
        for name, one in self.benches.items():
            fill = RealHolders(one) if name == "cachify, file" else Books(one)
            for count in self.size["slots"]:
                if not fill.up_to(count):
                    print(f"no more than that: ulimit -u is too low for {count} commands")
                    break
                run = [*one.pool(count + 1), one.true]
                size = [one.cachify, "pool", "size", "--key", "bench"]
                both = one.alternate(self.size["rounds"], {"run": run, "size": size})
                curve.add(f"{name}, pool run", count, both["run"])
                curve.add(f"{name}, pool size", count, both["size"])
            fill.end()
        return curve

    def keys(self):
        curve = Curve("scaling-keys", "`lock run` in a store with so many keys", "keys")
        for name, one in self.benches.items():
            known = 0
            for count in self.size["keys"]:
                if name == "cachify, file":
                    copy_keys(one, known, count)
                else:
                    one.enter([f"k{number}" for number in range(known, count)], 1)
                known = count
                # One that is there already, and a new one each time.
                old = [*one.lock(), one.true]
                new = [one.cachify, "lock", "run", "--key", f"new-{count}-" + "{}", "--", one.true]
                both = one.alternate(self.size["rounds"], {"old": old, "new": new})
                curve.add(f"{name}, a known key", count, both["old"])
                curve.add(f"{name}, a new key", count, both["new"])
        return curve


def first_gaps(one, way, count):
    """Hand-offs while at least half of `count` wait."""
    log = one.dir / "scaling-log"
    log.unlink(missing_ok=True)
    one.drained([way], count + 1, "together", [*way, one.job, str(log), "{}", "0"])
    gaps = bench.Gaps()
    gaps.read(log)
    return (gaps.entered or gaps.started)[: min(20, max(1, count // 2))]


class RealHolders:
    """A command in each slot."""

    def __init__(self, one):
        self.one = one
        self.running = []
        self.log = one.dir / "scaling-holders"

    def up_to(self, count):
        return self.one.grow_holders(self.running, count, self.log)

    def end(self):
        for first in range(0, len(self.running), 200):
            self.one.end(self.running[first : first + 200])


class Books:
    """Redis: only the entries; who has them is the same to everybody."""

    def __init__(self, one):
        self.one = one

    def up_to(self, count):
        self.one.server("FLUSHALL")
        self.one.enter(["bench"], count)
        return True

    def end(self):
        self.one.server("FLUSHALL")


def copy_keys(one, known, count):
    """State files of keys that somebody used and left, from `known` to `count`."""
    store = one.dir / "store"
    one.alternate(1, {"lock": [one.cachify, "lock", "run", "--key", "model", "--", one.true]})
    model = store / "lock.cachify%3Amodel"
    size = model.stat().st_size
    page = model.read_bytes()[:4096]
    for number in range(known, count):
        with open(store / f"lock.cachify%3Ak{number}", "wb") as file:
            file.write(page)
            file.truncate(size)
