"""The quick start (src/quick) needs no C library, and means the same as the full program."""

import json
import os
import random
import signal
import subprocess
import time
import unittest

from support import CACHIFY, PROBE, Case, is_waiting, main, wait_until

FULL = os.environ.get("CACHIFY_FULL", "")
OBJECTS = [name for name in os.environ.get("CACHIFY_QUICK_OBJECTS", "").split(",") if name]
SEED = int(os.environ.get("CACHIFY_TEST_SEED", random.SystemRandom().randrange(2**32)))
COUNT = int(os.environ.get("CACHIFY_TEST_COUNT", 600))

OWN = {"CACHIFY_ID", "CACHIFY_FENCE", "CACHIFY_WAITED"}  # differ from call to call


@unittest.skipUnless(FULL and OBJECTS, "this build has no quick start")
class Quick(Case):
    def both(self, *args, env=None):
        """What the same call gives, with and without the quick start, on fresh keys."""
        return [self.outcome(program, args, env or {}) for program in (CACHIFY, FULL)]

    def outcome(self, program, args, env):
        done = subprocess.run(
            [program, *args], env={**self.env, **env}, cwd=self.dir, capture_output=True,
            text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
        out = done.stdout
        try:
            report = json.loads(out)
            if not isinstance(report, dict):
                raise ValueError("a number that `size` printed")
            report = {k: v for k, v in report.items() if k not in ("pid", "ppid")}
            if "environment" in report:
                report["environment"] = sorted(
                    text for text in report["environment"] if text.split("=")[0] not in OWN)
            report.pop("descriptors", None)
            out = report
        except ValueError:
            pass
        return done.returncode, out, done.stderr

    def test_its_objects_need_nothing_but_each_other(self):
        defined, needed = set(), set()
        for name in OBJECTS:
            listing = subprocess.run(["nm", "-P", name], capture_output=True, text=True, check=True)
            for line in listing.stdout.splitlines():
                symbol, kind = line.split()[:2]
                (needed if kind == "U" else defined).add(symbol)
        self.assertIn("cachify_entry", defined)
        self.assertEqual(needed - defined, {"_start", "_ZN7cachify5quick8handoverE"})

    def test_a_plain_call_is_run_by_it(self):
        # Only the first call of a key makes its file, so that is run by the full program.
        for noun, most in (("pool", ["-n", "2"]), ("lock", [])):
            self.cachify(noun, "run", "-k", "k", *most, "--", "true")
            trace = f"{self.dir}" + "/trace"
            subprocess.run(["strace", "-o", trace, CACHIFY, noun, "run", "-k", "k", *most, "--", "true"],
                           env=self.env, check=True)
            with open(trace, encoding="utf-8") as lines:
                calls = [line.split("(")[0] for line in lines]
            self.assertNotIn("brk", calls)  # the C library's first call
            self.assertLess(len(calls), 45)

    def test_the_command_gets_the_same_from_both(self):
        call = ["pool", "run", "--key", "a b", "--max=3", "-w", "--", PROBE, "", "--", "x\ny"]
        call[3] = "a/b"
        self.cachify("pool", "run", "--key", "a/b", "--max=3", "--", "true")
        quick, full = self.both(*call, env={"CACHIFY_KEY": "outer", "CACHIFY_SLOT": "7"})
        self.assertEqual(quick, full)
        self.assertEqual(quick[0], 0)

    def test_random_calls_end_the_same_with_both(self):
        print(f"seed {SEED}", flush=True)
        rng = random.Random(SEED)
        for key in ("a", "job", "j%", "x:y"):
            self.cachify("pool", "run", "-k", key, "-n", "1", "--", "true")
            self.cachify("lock", "run", "-k", key, "--", "true")
        for turn in range(COUNT):
            noun = rng.choice(["pool", "lock", "pool", "lock", "poo", "resource", ""])
            words = []
            for _ in range(rng.randrange(4)):
                words += rng.choice([
                    ["-w"], ["--wait"], ["--wait=1"], ["-t", "5"], ["-t", "5x"], ["--timeout=2m"],
                    ["--timeout="], ["--timeout", "none"], ["-t", "0"], ["-t5"], ["--store=file:"],
                    ["--store", f"file://{self.dir}/store"], ["--store", "file:store"],
                    ["--store", "file://x"], ["--store=redis"], ["-q"], ["--priority", "3"],
                    ["stray"], ["-w", "-w"], ["--key", "b"], ["-E", "9"], ["--max", "2"]])
            key = rng.choice([["-k", "a"], ["--key", "job"], ["--key=j%"], ["-kx:y"], ["-k", ""],
                              ["--key={0}"], ["-k", "-a"], ["-k", "ä"], []])
            most = rng.choice([["-n", "1"], ["--max", "3"], ["--max=0"], ["-n", "2x"], ["-n1"],
                               ["--max", "1234567"], ["--max=-1"], []])
            rest = words + key + (most if noun != "lock" or rng.random() < 0.1 else [])
            rng.shuffle(rest) if rng.random() < 0.2 else None
            verb = rng.choice(["run", "run", "run", "run", "size", "rum"])
            before = rng.choice([[], [], [], ["--store", "file:store"], ["-v"]])
            tail = rng.choice([["--", "sh", "-c", "exit 3"], ["--", "true"], ["--"], [], ["true"],
                               ["--", "no-such-command"], ["--", "/"], ["--", "sh", "-c", "kill -9 $$"],
                               ["--", ""], ["--", "true", "--", "x"]])
            env = rng.choice([{}, {}, {}, {"CACHIFY_TIMEOUT": "1"}, {"CACHIFY_PREFIX": "p:"},
                              {"CACHIFY_STORE": ""}, {"CACHIFY_STORE": "file:store"},
                              {"CACHIFY_QUIET": "maybe"}, {"PATH": ""}, {"HOME": "relative"},
                              {"CACHIFY_CONFIG": "/dev/null"}, {"CACHIFY_KEY": "x"}])
            call = [*before, noun, verb, *rest, *tail]
            # What runs first may make the key's file; a second round is the quick start's.
            for _ in range(2):
                quick, full = self.both(*call, env=env)
                self.assertEqual(quick, full, f"turn {turn}: {call} {env}")

    def test_a_signal_reaches_the_command_and_its_code_comes_back(self):
        self.cachify("lock", "run", "-k", "s", "--", "true")
        ready = f"{self.dir}" + "/ready"
        for number, code in ((signal.SIGTERM, 5), (signal.SIGUSR1, 6)) * 10:
            if os.path.exists(ready):
                os.unlink(ready)
            script = f'trap "exit {code}" {number.name[3:]}; : >"$1"; while :; do sleep 0.05; done'
            call = self.start("lock", "run", "-k", "s", "--", "sh", "-c", script, "sh", ready)
            wait_until(lambda: os.path.exists(ready), "the command")
            call.send_signal(number)
            self.assertEqual(call.wait(timeout=30), code)

    def test_what_changes_while_the_command_runs_does_not_change_the_call(self):
        self.cachify("lock", "run", "-k", "c", "--", "true")
        ready = f"{self.dir}/ready"
        script = 'trap "exit 5" TERM; : >"$1"; while :; do sleep 0.05; done'
        call = self.start("lock", "run", "-k", "c", "--", "sh", "-c", script, "sh", ready)
        wait_until(lambda: os.path.exists(ready), "the command")
        config = self.dir / "home/.config/cachify"
        config.mkdir(parents=True, exist_ok=True)
        (config / "config.toml").write_text("nonsense")
        os.rename(f"{self.dir}/store", f"{self.dir}/elsewhere")
        os.mkdir(f"{self.dir}/store", 0o000)
        call.send_signal(signal.SIGTERM)
        self.assertEqual(call.wait(timeout=30), 5)
        self.assertEqual(call.stderr.read() if call.stderr else "", "")

    def test_a_waiter_is_served_by_its_release(self):
        for noun, most in (("pool", ["-n", "1"]), ("lock", [])):
            self.cachify(noun, "run", "-k", "r", *most, "--", "true")
            holder = self.hold(noun, "run", "-k", "r", *most)
            waiter = self.start(noun, "run", "-k", "r", *most, "-w", "--", "true")
            wait_until(lambda: is_waiting(waiter.pid), "the waiter")
            self.assertEqual(holder.finish(), 0)
            self.assertEqual(waiter.wait(timeout=30), 0)

    # -- waiting

    def test_the_time_to_wait_counts_from_the_arrival(self):
        for noun, most in (("lock", []), ("pool", ["-n", "1"])):
            self.cachify(noun, "run", "-k", "x", *most, "--", "true")
            holder = self.hold(noun, "run", "-k", "x", *most)
            begin = time.monotonic()
            late = self.start(noun, "run", "-k", "x", *most, "-t", "700ms", "--", "true")
            behind = self.start(noun, "run", "-k", "x", *most, "-t", "1h", "--", "true")
            self.assertEqual(late.wait(timeout=30), 124)
            self.assertGreaterEqual(time.monotonic() - begin, 0.7)
            self.assertLess(time.monotonic() - begin, 1.4)
            self.assertEqual(holder.finish(), 0)
            self.assertEqual(behind.wait(timeout=30), 0)

    def test_a_pool_of_one_that_grows_lets_who_waits_in(self):
        self.cachify("pool", "run", "-k", "g", "-n", "1", "--", "true")
        holder = self.hold("pool", "run", "-k", "g", "-n", "1")
        calls = [self.start("pool", "run", "-k", "g", "-n", "1", "-w", "--", "true") for _ in range(3)]
        for call in calls:
            wait_until(lambda call=call: is_waiting(call.pid), "the waiter")
        self.assertEqual(self.cachify("pool", "resize", "-k", "g", "--max", "2").returncode, 0)
        self.assertEqual([call.wait(timeout=30) for call in calls], [0, 0, 0])
        self.assertEqual(holder.finish(), 0)

    def held_lock(self, key):
        self.cachify("lock", "run", "-k", key, "--", "true")
        return self.hold("lock", "run", "-k", key)

    def waiter(self, key, *command, before=()):
        call = self.start(*before, "lock", "run", "-k", key, "-w", "--", *command)
        wait_until(lambda: is_waiting(call.pid), "the waiter")
        return call

    def test_a_wait_for_a_lock_needs_no_c_library(self):
        holder = self.held_lock("w")
        trace, out = self.dir / "trace", self.dir / "out"
        call = self.spawn(["strace", "-o", trace, CACHIFY, "lock", "run", "-k", "w", "-w", "--", "sh", "-c",
                           f'echo "$CACHIFY_WAITED $CACHIFY_SLOT $CACHIFY_MAX" >{out}; exit 3'])  # fmt: skip
        wait_until(lambda: self.waiting("w") == 1, "the waiter")
        self.assertEqual(holder.finish(), 0)
        self.assertEqual(call.wait(timeout=30), 3)
        with open(trace, encoding="utf-8") as lines:
            calls = [line.split("(")[0] for line in lines]
        self.assertNotIn("brk", calls)
        self.assertRegex(out.read_text(), r"^\d+\.\d{3} 0 1\n$")
        self.assertGreater(float(out.read_text().split()[0]), 0)

    def waiting(self, key):
        said = self.cachify("lock", "status", "-k", key, "--json")
        return json.loads(said.stdout)["waiting"]

    def test_waiters_are_let_in_in_their_order_also_when_some_are_killed(self):
        # More than the first page has entries, so that the locks of some are in the shard.
        log = self.dir / "log"
        holder = self.held_lock("o")
        calls = [self.waiter("o", "sh", "-c", f"echo {n} >>{log}") for n in range(30)]
        for n in (0, 7, 8, 13, 20, 29):
            calls[n].kill()
            calls[n].wait()
        self.assertEqual(holder.finish(), 0)
        left = [n for n in range(30) if n not in (0, 7, 8, 13, 20, 29)]
        self.assertEqual([calls[n].wait(timeout=30) for n in left], [0] * len(left))
        self.assertEqual(log.read_text().split(), [str(n) for n in left])

    def test_a_higher_priority_overtakes_who_waits(self):
        log = self.dir / "log"
        holder = self.held_lock("p")
        calls = [self.waiter("p", "sh", "-c", f"echo {n} >>{log}") for n in range(3)]
        first = self.start("lock", "run", "-k", "p", "-w", "--priority", "1", "--",
                           "sh", "-c", f"echo first >>{log}")  # fmt: skip
        wait_until(lambda: self.waiting("p") == 4, "the urgent one")
        self.assertEqual(holder.finish(), 0)
        self.assertEqual([call.wait(timeout=30) for call in [first, *calls]], [0] * 4)
        self.assertEqual(log.read_text().split(), ["first", "0", "1", "2"])

    def test_who_waits_can_be_dismissed(self):
        holder = self.held_lock("d")
        call = self.waiter("d", "true")
        newest = self.start("lock", "run", "-k", "d", "-w", "--replace", "waiting", "--", "true")
        self.assertEqual(call.wait(timeout=30), 75)
        self.assertEqual(holder.finish(), 0)
        self.assertEqual(newest.wait(timeout=30), 0)

    def test_below_itself_it_is_refused_also_without_the_variables(self):
        self.cachify("lock", "run", "-k", "n", "--", "true")
        inner = [CACHIFY, "lock", "run", "-k", "n", "-w", "--", "true"]
        for words in (inner, ["env", *(f"-u{name}" for name in ("CACHIFY_KEY", "CACHIFY_MAX", "CACHIFY_SLOT",
                              "CACHIFY_ID", "CACHIFY_FENCE", "CACHIFY_WAITED")), *inner]):  # fmt: skip
            done = self.cachify("lock", "run", "-k", "n", "--", *words)
            self.assertEqual(done.returncode, 75, done.stderr)
            self.assertIn("ancestor", done.stderr)

    def test_a_signal_ends_a_wait_whenever_it_comes(self):
        print(f"seed {SEED}", flush=True)
        rng = random.Random(SEED)
        holder = self.held_lock("t")
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT) * 50:
            call = self.start("lock", "run", "-k", "t", "-w", "--", "true")
            if rng.randrange(3):
                # Around the moment at which it comes to wait.
                end = time.perf_counter() + rng.uniform(0, 0.002)
                while time.perf_counter() < end:
                    pass
            else:
                wait_until(lambda: is_waiting(call.pid), "the waiter")
            for _ in range(rng.randrange(3)):
                call.send_signal(signal.SIGURG)  # a poke says: look
            call.send_signal(number)
            self.assertEqual(call.wait(timeout=30), -number)
        self.assertEqual(self.waiting("t"), 0)
        self.assertEqual(holder.finish(), 0)

    def test_ignored_signals_stay_ignored(self):
        holder = self.held_lock("i")
        script = "trap '' HUP TERM; exec \"$@\""
        call = self.spawn(["sh", "-c", script, "sh", CACHIFY, "lock", "run", "-k", "i", "-w", "--",
                           "grep", "^SigIgn", "/proc/self/status"], stdout=subprocess.PIPE, text=True)  # fmt: skip
        wait_until(lambda: self.waiting("i") == 1, "the waiter")
        call.send_signal(signal.SIGTERM)
        call.send_signal(signal.SIGHUP)
        self.assertEqual(holder.finish(), 0)
        self.assertEqual(call.wait(timeout=30), 0)
        ignored = int(call.stdout.read().split()[1], 16)
        for number in (signal.SIGHUP, signal.SIGTERM):
            self.assertTrue(ignored >> (number - 1) & 1)
        self.assertFalse(ignored >> (signal.SIGURG - 1) & 1)


if __name__ == "__main__":
    main()
