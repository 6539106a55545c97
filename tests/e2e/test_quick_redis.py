"""The quick start on Redis: it says the same to the server as the full program, and ends the same."""

import json
import os
import re
import signal
import subprocess
import time
import unittest

from redis_server import Server, missing, waiting_pids
from support import (CACHIFY, PROBE, Case, FileStore, kept_waiting, main, until_in_time,
                     wait_until)

FULL = os.environ.get("CACHIFY_FULL", "")
OWN = {"CACHIFY_ID", "CACHIFY_FENCE", "CACHIFY_WAITED"}  # differ from call to call
SOON = 0.02  # seconds; no answer to a shorter call was late for it
SLOW = "sleep 0.35; exit 4"  # longer than the quick start watches


@unittest.skipUnless(FULL, "this build has no quick start")
class QuickRedis(Case):
    store_class = FileStore  # only for a folder; each case has its own server

    def setUp(self):
        super().setUp()
        if missing():
            self.skipTest(missing())
        self.server = Server()
        self.addCleanup(self.server.stop)
        self.env["CACHIFY_STORE"] = self.server.url
        for noun, most in (("lock", []), ("pool", ["-n", "3"])):
            # The first call brings the scripts.
            self.run_with(FULL, noun, "run", "-k", "k", *most, "--", "true")

    def run_with(self, program, *args):
        return subprocess.run([program, *args], env=self.env, cwd=self.dir, capture_output=True,
                              text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)

    def said(self, program, *args):
        """What the server heard, but for what differs from call to call."""
        return until_in_time(lambda: self.said_once(program, *args))

    def said_once(self, program, *args):
        monitor = self.server.connect()
        self.assertEqual(monitor("MONITOR"), "OK")
        started = time.monotonic()
        done = self.run_with(program, *args)
        took = time.monotonic() - started
        self.server("ECHO", "the end")
        heard = []
        while True:
            line = monitor.read()
            if '"the end"' in line:
                break
            found = re.match(r"[0-9.]+ \[[0-9]+ ([^\]]*)\] (.*)", line)
            if found.group(1) != "lua":
                heard.append(found.group(2))
        monitor.close()
        if took >= SOON:
            return None  # it may have asked again for what was late, or begun to listen
        text = "\n".join(heard)
        ids = re.findall(r'"EVALSHA" "\w+" "7" (?:"[^"]*" ){8}"(\w{13})"', text)
        self.assertEqual(len(set(ids)), 1, text)
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.sub(r'"\d+ (\d+ \d+ - )', r'"PID \1', text.replace(ids[0], "ID"))

    def test_the_server_hears_the_same_from_both(self):
        for call in (["lock", "run", "-k", "k"], ["lock", "run", "--key=j%:/x", "-w"],
                     ["pool", "run", "-k", "k", "-n", "3"],
                     ["pool", "run", "-k", "k", "-n", "3", "-w", "-t", "5s"]):
            with self.subTest(call=call):
                command = ["--", "sh", "-c", "exit 0 # 100% \\ \""]
                quick, full = (self.said(program, *call, *command) for program in (CACHIFY, FULL))
                self.assertEqual(quick, full)
                self.assertEqual(quick.count('"EVALSHA"'), 2)

    def test_a_plain_call_is_run_by_it(self):
        for store in (self.server.url, self.server.unix_url,
                      f"redis://127.0.0.1:{self.server.port}"):
            self.env["CACHIFY_STORE"] = store
            calls = [line.split("(")[0] for line in until_in_time(self.trace)]
            self.assertNotIn("brk", calls)  # the C library's first call
            self.assertLess(len(calls), 45)

    def trace(self):
        log = self.dir / "trace"
        self.run_with("strace", "-o", log, CACHIFY, "lock", "run", "-k", "k", "--", "true")
        text = log.read_text()
        return None if kept_waiting(text) else text.splitlines()

    def test_what_is_not_plain_is_left_to_the_full_program(self):
        port = self.server.port
        for store in (f"redis://127.0.0.1:{port}/0", f"redis://127.0.0.1:{port}?lease=9s",
                      f"redis://localhost:{port}", f"redis://:x@127.0.0.1:{port}",
                      f"redis://127.0.0.1:{port}0", f"redis://127.0.0.01:{port}"):
            self.env["CACHIFY_STORE"] = store
            quick, full = (self.run_with(program, "lock", "run", "-k", "k", "--", "echo", "ran")
                           for program in (CACHIFY, FULL))
            self.assertEqual((quick.returncode, quick.stdout, quick.stderr),
                             (full.returncode, full.stdout, full.stderr), store)

    def test_the_command_gets_the_same_from_both(self):
        for call in (["lock", "run", "-k", "k", "-w"], ["pool", "run", "-k", "k", "-n", "2"]):
            reports = []
            for program in (CACHIFY, FULL):
                done = self.run_with(program, *call, "--", PROBE, "a b")
                report = json.loads(done.stdout)
                report["descriptors"] = sorted(report["descriptors"])
                report["environment"] = [
                    text for text in report["environment"] if text.split("=")[0] not in OWN]
                del report["pid"], report["ppid"]
                reports.append((done.returncode, report, done.stderr))
            self.assertEqual(*reports)

    def test_whatever_comes_ends_the_same_with_both(self):
        lock = ("lock", "run", "-k", "k")
        for words in ((*lock, "--", "sh", "-c", "exit 7"), (*lock, "--", "sh", "-c", SLOW),
                      (*lock, "-w", "--", "sh", "-c", SLOW), (*lock, "--", "no-such-command"),
                      (*lock, "--", "sh", "-c", "kill -TERM $$")):
            quick, full = (self.run_with(program, *words) for program in (CACHIFY, FULL))
            self.assertEqual((quick.returncode, quick.stderr), (full.returncode, full.stderr), words)
            self.assertEqual(self.run_with(FULL, "lock", "is-locked", "-k", "k").returncode, 1)

    def test_a_server_that_takes_its_time_or_knows_no_script(self):
        self.server("SCRIPT", "FLUSH")
        done = self.run_with(CACHIFY, "lock", "run", "-k", "k", "--", "true")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.server("CLIENT", "PAUSE", "200")
        done = self.run_with(CACHIFY, "lock", "run", "-k", "k", "-w", "--", "true")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(self.server("ZCARD", "cachify:lock:{k}:h"), 0)

    def test_held_is_75_and_who_waits_keeps_the_place_that_the_quick_start_got(self):
        holder = self.start(CACHIFY, "lock", "run", "-k", "k", "--", "sh", "-c", "read line")
        wait_until(lambda: self.server("ZCARD", "cachify:lock:{k}:h") == 1, "it holds")
        done = self.run_with(CACHIFY, "lock", "run", "-k", "k", "--", "true")
        self.assertEqual(done.returncode, 75, done.stderr)
        order = self.dir / "order"
        waiters = []
        for number in range(3):
            script = f"echo {number} >>{order}"
            waiters.append(self.start(CACHIFY, "lock", "run", "-k", "k", "-w", "--", "sh", "-c", script))
            wait_until(lambda n=number: len(waiting_pids(self.server)) == n + 1, "it waits")
        holder.communicate("\n")
        for waiter in waiters:
            self.assertEqual(waiter.wait(timeout=20), 0)
        self.assertEqual(order.read_text(), "0\n1\n2\n")

    def test_signals_reach_the_command_before_and_after_the_full_program_takes_over(self):
        script = "trap 'echo got; exit 5' TERM; echo up; while :; do sleep 0.02; done"
        for program, rest in ((FULL, 0), (CACHIFY, 0), (CACHIFY, 0.4)):
            run = self.start(program, "lock", "run", "-k", "k", "--", "sh", "-c", script)
            self.assertEqual(run.stdout.readline(), "up\n")
            time.sleep(rest)
            run.send_signal(signal.SIGTERM)
            out, _ = run.communicate(timeout=20)
            self.assertEqual((run.returncode, out), (5, "got\n"))
            self.assertEqual(self.server("ZCARD", "cachify:lock:{k}:h"), 0)

    def test_a_lock_takes_its_command_along_when_cachify_is_killed(self):
        run = self.start(CACHIFY, "lock", "run", "-k", "k", "--", "sh", "-c",
                         "trap 'echo ended; exit' TERM; echo up; while :; do sleep 0.02; done")
        self.assertEqual(run.stdout.readline(), "up\n")
        run.kill()
        out, _ = run.communicate(timeout=20)
        self.assertEqual(out, "ended\n")

    def test_a_server_that_goes_away_meanwhile_is_told_when_it_is_back(self):
        run = self.start(CACHIFY, "lock", "run", "-k", "k", "--", "sh", "-c", "echo up; read line; exit 6")
        self.assertEqual(run.stdout.readline(), "up\n")
        self.server.restart()
        run.communicate("\n")
        self.assertEqual(run.returncode, 6)
        self.assertEqual(self.server("ZCARD", "cachify:lock:{k}:h"), 0)

    def start(self, *argv):
        process = subprocess.Popen(argv, env=self.env, cwd=self.dir, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.communicate()


if __name__ == "__main__":
    main()
