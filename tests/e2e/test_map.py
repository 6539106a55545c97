"""pool map: items, placeholders, output, logs, failures, signals, and slots shared with others."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

from redis_server import RedisStore, documented_rights
from support import (
    CACHIFY, JOB, SANITIZED, Case, alive, children_of, main, on_every_store, wait_until,
)  # fmt: skip
from test_run_terminal import Terminal

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "soak"))
from overlap import Run, check_pool, read_log  # noqa: E402 (the path has to be set first)

HEADER = "Seq Host Starttime JobRuntime Send Receive Exitval Signal Command".split()


def numbers(last, first=1):
    return "".join(f"{n}\n" for n in range(first, last + 1))


def read_joblog(path):
    """The rows of a joblog as dictionaries."""
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    assert lines[0] == HEADER, lines[0]
    return [dict(zip(HEADER, line)) for line in lines[1:]]


class MapCase(Case):
    def map(self, *args, items="", slots=4, **options):
        """cachify pool map OPTIONS -- COMMAND with the items as input."""
        done = self.cachify("pool", "map", "--key", "m", "-n", str(slots), *args, input=items, **options)
        return done

    def start_map(self, *args, slots=4, **options):
        options.setdefault("stdin", subprocess.PIPE)
        return self.start("pool", "map", "--key", "m", "-n", str(slots), *args, **options)

    def feed(self, process, text):
        process.stdin.write(text)
        process.stdin.flush()

    def size(self):
        return int(self.cachify("pool", "size", "-k", "m").stdout)


class Items(MapCase):
    def test_every_item_is_run_once_as_xargs_and_parallel_do_it(self):
        chance = random.Random(5)
        words = ["".join(chance.choice("abc-_.,:=+ é") for _ in range(chance.randrange(1, 12)))
                 for _ in range(300)]  # fmt: skip
        words = [word for word in words if not word.startswith(("-", " ")) and word.strip() == word]
        items = "".join(word + "\n" for word in words)
        # Not echo, which would take -n for itself.
        ours = self.map("--", "printf", "<%s>\n", items=items)
        self.assertEqual((ours.returncode, ours.stderr), (0, ""))
        xargs = self.run_program(["xargs", "-d", "\n", "-P4", "-n1", "printf", "<%s>\n"], input=items)
        self.assertEqual(sorted(ours.stdout.splitlines()), sorted(xargs.stdout.splitlines()))
        ordered = self.map("-k", "--", "printf", "<%s>\n", items=items)
        self.assertEqual(ordered.stdout, "".join(f"<{word}>\n" for word in words))
        if not shutil.which("parallel"):
            self.skipTest("GNU parallel is not installed")
        few = "".join(word + "\n" for word in words[:60])
        theirs = self.run_program(["parallel", "--will-cite", "-k", "-j4", "printf '<%s>\n'"], input=few)
        self.assertEqual(self.map("-k", "--", "printf", "<%s>\n", items=few).stdout, theirs.stdout)

    def test_an_item_is_what_stands_between_the_delimiters(self):
        table = [
            ((), "a\n\nb", ["a", "", "b"]),
            ((), "\n", [""]),
            ((), "", []),
            ((), "a b \n\tc\n", ["a b ", "\tc"]),
            (("-0",), "a\nb\0\0c", ["a\nb", "", "c"]),
            (("--null",), "a\0", ["a"]),
        ]
        for options, items, wanted in table:
            with self.subTest(items=items):
                done = self.map("-k", *options, "--", "printf", "[%s]", items=items)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(done.stdout, "".join(f"[{item}]" for item in wanted))

    def test_placeholders(self):
        csv = "1,2\n,\nx\na,b,c\n"
        rows = '{"a": 1.50, "b": "x\\ny"}\n[1, [2, 3]]\n[["p"], {"a": null, "b": true}]\n'
        table = [
            (("{}", "{#}-{}"), (), "u\nv\n", ["u|1-u", "v|2-v"]),
            (("{1}", "{x}", "{{}}", "{", "}"), (), "u\n", ["{1}|{x}|{u}|{|}"]),
            (("{#}",), (), "u\n", ["1"]),
            (("x",), (), "u\n", ["x|u"]),
            (("{2}{1}", "{}"), ("--colsep", ","), csv, ["21|1,2", "|,", "x|x", "ba|a,b,c"]),
            (("{n}+{q}", "{z}"), ("--colsep", ",", "--header"), "n,q\n1,2\n3\n", ["1+2|{z}", "3+|{z}"]),
            (("{1}.{2}",), ("--colsep", "\\t"), "a\tb\n", ["a.b"]),
            (("{a}/{b}", "{1}:{2}"), ("--jsonl",), rows,
             ["1.50/x\ny|:", "/|1:[2, 3]", "/true|p:"]),
            (("{n}",), ("--jsonl", "--header"), '["n","m"]\n[7,8]\n', ["7"]),
            (("{n}",), ("--header",), "n\na b\n", ["a b"]),
        ]  # fmt: skip
        script = "import sys; print('|'.join(sys.argv[1:]), end='\\0')"
        for command, options, items, wanted in table:
            with self.subTest(command=command, options=options):
                done = self.map("-k", *options, "--", sys.executable, "-c", script, *command, items=items)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(done.stdout.split("\0")[:-1], wanted)

    def test_slot_and_environment(self):
        done = self.map("--", "sh", "-c", 'echo "$1 $CACHIFY_SLOT $CACHIFY_KEY $CACHIFY_MAX"; cat',
                        "sh", "{%}", items=numbers(6))  # fmt: skip
        for line in done.stdout.splitlines():
            self.assertRegex(line, r"^([0-3]) \1 m 4$")
        self.assertEqual(len(done.stdout.splitlines()), 6)

    def test_what_cannot_be_read_or_executed_fails_alone_and_is_named(self):
        long = "x" * 200_000
        done = self.map("-k", "--", "echo", items=f"a\n{long}\nb\0c\nd\n")
        self.assertEqual(done.returncode, 123)
        self.assertEqual(done.stdout, "a\nd\n")
        self.assertRegex(done.stderr, r"\Acachify: item 2 [^\n]*too long[^\n]*\n"
                                      r"cachify: item 3 [^\n]*NUL[^\n]*\n\Z")  # fmt: skip
        done = self.map("-k", "--jsonl", "--", "echo", "{a}", items='{"a":1}\n{"a":\n7\n{"a":2}\n')
        self.assertEqual((done.returncode, done.stdout), (123, "1\n2\n"))
        self.assertIn("item 2 ", done.stderr)
        self.assertIn("item 3 ", done.stderr)
        done = self.map("--", "{}", "x", items="nosuchprogram\necho\n")
        self.assertEqual((done.returncode, done.stdout), (123, "x\n"))

    def test_strict_starts_nothing_when_a_row_is_wrong(self):
        marker = self.path("ran")
        for options, items, number in [
            (("--colsep", ","), "1,2\n3,4\n5\n", 3),
            (("--colsep", ",", "--header"), "a,b\n3,4,5\n", 1),
            (("--jsonl",), "[1]\n[1,2]\n", 2),
            (("--jsonl",), "[1]\n[1,2\n", 2),
        ]:
            with self.subTest(items=items):
                done = self.map("--strict", *options, "--", "touch", marker, items=items)
                self.assertEqual(done.returncode, 64)
                self.assert_one_message(done, f"item {number} ")
                self.assertFalse(marker.exists())
        done = self.map("--strict", "-k", "--colsep", ",", "--", "echo", "{2}", items="1,2\n3,4\n")
        self.assertEqual((done.returncode, done.stdout), (0, "2\n4\n"), done.stderr)

    def test_wrong_use(self):
        for args in [("--resume",), ("--colsep", ""), ("--colsep", ",", "--jsonl"), ("--halt", "x"),
                     ("--reserve", "5"), ("--queue", "0"), ("-g",)]:  # fmt: skip
            with self.subTest(args=args):
                self.assertEqual(self.map(*args, "--", "true", items="a\n").returncode, 64)
        self.assertEqual(self.cachify("pool", "map", "-n", "1", "--", "true").returncode, 64)
        done = self.cachify("pool", "map", "--key", "{0}", "-n", "1", "--", "true")
        self.assertEqual(done.returncode, 64)

    def test_the_input_can_be_a_file(self):
        self.write("items", numbers(3))
        done = self.map("-k", "--input", "items", "--", "echo")
        self.assertEqual(done.stdout, numbers(3))
        self.assertEqual(self.map("--input", "none", "--", "echo").returncode, 71)

    def test_dry_run_prints_the_commands_and_uses_no_store(self):
        done = self.map("--dry-run", "--store", "file:/nonexistent/x", "--", "echo", "it's {}", "{#}",
                        items="a b\nc\n")  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        shown = self.run_program(["bash"], input=done.stdout)
        self.assertEqual(shown.stdout, "it's a b 1\nit's c 2\n")

    def test_the_first_command_starts_with_the_first_line(self):
        process = self.start_map("--", "echo")
        self.feed(process, "first\n")
        self.assertEqual(process.stdout.readline(), "first\n")
        self.assertIsNone(process.poll())
        wait_until(lambda: self.size() == 0, "an idle map keeps no slot")
        self.feed(process, "second\n")
        self.assertEqual(process.stdout.readline(), "second\n")
        process.stdin.close()
        self.assertEqual(process.wait(30), 0)

    def test_little_is_read_ahead(self):
        line = "x" * 4095 + "\n"
        gate = self.path("gate")
        os.mkfifo(gate)
        process = self.start_map("--queue", "2", "--", "sh", "-c", 'read x <"$0"', gate, slots=1)
        os.set_blocking(process.stdin.fileno(), False)
        written = 0
        pipe = 16
        try:
            end = time.monotonic() + 3
            while time.monotonic() < end and written <= pipe + 6:
                written += os.write(process.stdin.fileno(), line.encode()) == len(line)
        except BlockingIOError:
            pass
        wait_until(lambda: len(children_of(process.pid)) == 1, "the first run")
        stalled = time.monotonic() + 0.5
        while time.monotonic() < stalled:
            try:
                written += os.write(process.stdin.fileno(), line.encode()) == len(line)
            except BlockingIOError:
                time.sleep(0.02)
        # The pipe's own, one at work, two ahead, and less than one more.
        self.assertLessEqual(written, pipe + 1 + 2 + 1)

    @unittest.skipIf(SANITIZED, "a sanitizer needs memory of its own")
    def test_memory_stays_flat(self):
        self.write("items", "".join(f"item {i}\n" for i in range(400_000)))
        self.write("log", "\t".join(HEADER) + "\n" + "".join(
            f"{i}\t:\t0\t0\t0\t0\t0\t0\tx\n" for i in range(1, 398_001)))  # fmt: skip
        process = self.start_map("--input", "items", "-k", "--joblog", "log", "--resume", "--",
                                 "sh", "-c", '[ "$1" != "item 398000" ] || sleep 3', "sh")  # fmt: skip
        peak = 0
        while process.poll() is None:
            try:
                found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
                peak = max(peak, int(found[1]) if found else 0)
            except FileNotFoundError:
                pass
            time.sleep(0.05)
        self.assertEqual(process.returncode, 0, process.stderr.read())
        self.assertLess(peak, 10_000)
        self.assertEqual(len(read_joblog(self.path("log"))), 400_000)


class Output(MapCase):
    def test_outputs_of_ten_megabytes_never_mix(self):
        script = 'head -c 10000000 /dev/zero | tr "\\0" "$1"; echo; echo "$1" >&2'
        done = self.map("--", "sh", "-c", script, "sh", items="a\nb\nc\nd\n")
        self.assertEqual(done.returncode, 0)
        lines = done.stdout.split("\n")
        self.assertEqual(sorted(lines), [""] + [letter * 10_000_000 for letter in "abcd"])
        self.assertEqual(sorted(done.stderr.split()), list("abcd"))

    def test_keep_order_holds_what_comes_too_early(self):
        gate = self.path("gate")
        os.mkfifo(gate)
        script = '[ "$1" != 1 ] || read x <"$2"; echo "out $1"; echo "err $1" >&2'
        process = self.start_map("-k", "--joblog", "log", "--", "sh", "-c", script, "sh", "{}", gate)
        self.feed(process, numbers(500))
        process.stdin.close()
        wait_until(lambda: len(children_of(process.pid)) == 1 and self.size() == 1, "only item 1 is left")
        # What is held is not done: killed now, it would have to be done again.
        self.assertEqual(read_joblog(self.path("log")), [])
        with open(gate, "w", encoding="ascii") as pipe:
            pipe.write("\n")
        out, err = process.stdout.read(), process.stderr.read()
        self.assertEqual(process.wait(30), 0)
        self.assertEqual(out, "".join(f"out {n}\n" for n in range(1, 501)))
        self.assertEqual(err, "".join(f"err {n}\n" for n in range(1, 501)))
        self.assertEqual([row["Seq"] for row in read_joblog(self.path("log"))], [str(n) for n in range(1, 501)])

    def test_tag(self):
        done = self.map("--tag", "-k", "--", "sh", "-c", 'printf "1\\n\\n2"; echo e >&2', items="a\nb c\n")
        self.assertEqual(done.stdout, "a\t1\na\t\na\t2b c\t1\nb c\t\nb c\t2")
        self.assertEqual(done.stderr, "a\te\nb c\te\n")

    def test_results(self):
        done = self.map("--results", "r/s", "--", "sh", "-c", 'echo o; echo e >&2; exit "$1"', "sh",
                        items="0\n3\n")  # fmt: skip
        self.assertEqual((done.returncode, done.stdout), (123, "o\no\n"))
        for number, item in (("1", "0"), ("2", "3")):
            found = {path.name: path.read_text() for path in (self.path("r/s") / number).iterdir()}
            self.assertEqual(found, {"stdout": "o\n", "stderr": "e\n", "exit": item + "\n", "item": item + "\n"})

    def test_a_reader_that_goes_away_ends_it(self):
        process = self.start_map("--", "yes", "{}")
        process.stdin.close()
        self.assertEqual(process.wait(30), 0)
        self.write("items", numbers(100_000))
        process = self.start_map("--input", "items", "--", "echo")
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(30), -signal.SIGPIPE)
        self.assertEqual(self.size(), 0)

    def test_when_the_reader_goes_away_the_running_ones_are_ended_and_waited_for(self):
        script = ('[ "$1" != 1 ] || { until [ -e ready2 ] && [ -e ready3 ]; do sleep 0.02; done; echo x; exit; }\n'
                  '[ "$1" != 2 ] || trap "" TERM\n[ "$1" != 3 ] || trap "echo >term3; exit 0" TERM\n'
                  'echo >"ready$1"; while :; do sleep 0.02; done')  # fmt: skip
        process = self.start_map("--kill-after", "300ms", "--", "sh", "-c", script, "sh")
        process.stdout.close()
        self.feed(process, numbers(3))
        process.stdin.close()
        self.assertEqual(process.wait(30), -signal.SIGPIPE)
        self.assertTrue(self.path("term3").exists())
        self.assertEqual(self.size(), 0, "item 2, which does not heed TERM, was killed before the map ended")

    def test_what_nobody_has_read_is_not_logged(self):
        self.write("items", numbers(2000))
        args = ("--input", "items", "-k", "--joblog", "log", "--", "echo")
        process = self.start_map(*args, slots=2)
        self.assertEqual(process.stdout.readline(), "1\n")
        process.stdout.close()
        self.assertEqual(process.wait(30), -signal.SIGPIPE)
        logged = len(read_joblog(self.path("log")))
        self.assertLess(logged, 2000)
        done = self.map("--resume", *args, items=None)
        self.assertEqual((done.returncode, done.stdout), (0, numbers(2000, logged + 1)))

    def test_nobody_reads_standard_error(self):
        read, write = os.pipe()
        os.close(read)
        done = self.run_program([CACHIFY, "pool", "map", "--key", "m", "-n", "1", "-k", "--", "sh", "-c",
                                 'echo err >&2; echo "$1"', "sh"], input=numbers(20), stderr=write)  # fmt: skip
        os.close(write)
        self.assertEqual((done.returncode, done.stdout), (0, numbers(20)))

    def test_a_daemon_that_writes_on_does_not_mix_with_later_runs(self):
        script = '[ "$1" != 1 ] || (sleep 0.3; echo late) & echo "run $1"; [ "$1" != 1 ] || exit 0; sleep 0.1'
        done = self.map("-k", "--", "sh", "-c", script, "sh", items=numbers(6), slots=1)
        self.assertEqual(done.stdout, "".join(f"run {n}\n" for n in range(1, 7)))


class Ends(MapCase):
    def test_exit_codes(self):
        for script, code in (("exit 0", 0), ("exit 1", 123), ("exit 255", 123), ("kill -9 $$", 123)):
            self.assertEqual(self.map("--", "sh", "-c", script, items="a\nb\n").returncode, code, script)
        plain = self.write("plain", "x")
        for command, code in (("./none", 127), (plain, 126)):
            self.write("items", numbers(100_000))
            done = self.map("--input", "items", "--", command)
            self.assertEqual(done.returncode, code)
            self.assert_one_message(done)

    def test_halt(self):
        # The failure comes once both have started, whichever was faster.
        script = ('echo "$1" >>ran; case $1 in 2) until grep -q 1 ran; do sleep 0.01; done; exit 1 ;; '
                  '1) sleep 0.5; echo end 1 ;; esac')  # fmt: skip
        for halt, wanted in (("soon", "end 1\n"), ("now", "")):
            self.path("ran").unlink(missing_ok=True)
            done = self.map("--halt", halt, "--", "sh", "-c", script, "sh", items=numbers(50), slots=2)
            self.assertEqual((done.returncode, done.stdout), (123, wanted))
            self.assertEqual(sorted(self.path("ran").read_text().split()), ["1", "2"])
        done = self.map("--halt", "never", "--", "sh", "-c", script, "sh", items=numbers(5))
        self.assertEqual(done.returncode, 123)

    def test_retries(self):
        script = 'echo x >>"tries$1"; echo "try $(wc -l <tries$1)"; [ "$(wc -l <tries$1)" -ge "$1" ]'
        done = self.map("-k", "--retries", "2", "--joblog", "log", "--", "sh", "-c", script, "sh", items=numbers(4))
        self.assertEqual(done.returncode, 123)
        # Of each item the last try counts.
        self.assertEqual(done.stdout, "try 1\ntry 2\ntry 3\ntry 3\n")
        self.assertEqual([row["Exitval"] for row in read_joblog(self.path("log"))], ["0", "0", "0", "1"])

    def test_time_outs(self):
        process = self.start_map("--idle-timeout", "300ms", "--", "echo")
        self.feed(process, "a\n")
        self.assertEqual(process.wait(30), 0)
        self.assertEqual(process.stdout.read(), "a\n")
        begin = time.monotonic()
        done = self.map("--total-timeout", "300ms", "--", "sh", "-c", "sleep 60", items="a\nb\n")
        self.assertEqual(done.returncode, 124)
        self.assertLess(time.monotonic() - begin, 30)

    def test_joblog_and_resume(self):
        script = 'echo "$1"; echo "$1" >>ran; exit $(($1 % 2))'
        command = ("--", "sh", "-c", script, "sh")
        self.map("--joblog", "log", *command, items=numbers(4))
        rows = read_joblog(self.path("log"))
        self.assertEqual(sorted(row["Seq"] for row in rows), ["1", "2", "3", "4"])
        for row in rows:
            self.assertEqual(row["Exitval"], str(int(row["Seq"]) % 2))
            self.assertEqual((row["Host"], row["Receive"], row["Signal"]), (":", "2", "0"))
            self.assertAlmostEqual(float(row["Starttime"]), time.time(), delta=60)
        # A torn last line: that item counts as not done.
        with self.path("log").open("a", encoding="ascii") as log:
            log.write("5\t:\t17000")
        self.path("ran").unlink()
        done = self.map("--joblog", "log", "--resume", *command, items=numbers(6))
        self.assertEqual(sorted(self.path("ran").read_text().split()), ["5", "6"])
        self.assertEqual(done.returncode, 123)
        self.path("ran").unlink()
        self.map("--joblog", "log", "--resume-failed", *command, items=numbers(6))
        self.assertEqual(sorted(self.path("ran").read_text().split()), ["1", "3", "5"])
        self.assertEqual(len(read_joblog(self.path("log"))), 9)
        self.write("other", "not a log\n")
        done = self.map("--joblog", "other", "--resume", *command, items="1\n")
        self.assertEqual((done.returncode, self.path("other").read_text()), (64, "not a log\n"))

    def test_killed_at_random_and_resumed_until_done_each_item_is_logged_once(self):
        chance = random.Random(7)
        self.write("items", numbers(60))
        kills = 0
        frozen = {}  # of what is logged as done: how often it had run by then
        for _ in range(100):
            process = self.start_map("--input", "items", "-k", "--joblog", "log", "--resume", "--results", "r",
                                     "--", "sh", "-c", 'sleep 0.01; echo "$1" >>ran', "sh")  # fmt: skip
            try:
                self.assertEqual(process.wait(chance.uniform(0.005, 0.12)), 0, process.stderr.read())
                break
            except subprocess.TimeoutExpired:
                kills += 1
                process.kill()
                process.wait()
            logged = self.path("log").read_text() if self.path("log").exists() else ""
            wait_until(lambda: self.size() == 0, "what was running has ended")
            for line in logged.splitlines()[1:]:
                number = line.split("\t")[0]
                frozen.setdefault(number, self.path("ran").read_text().split().count(number))
        else:
            self.fail("not done after 100 kills")
        self.assertGreater(kills, 2)
        self.assertEqual(sorted(int(row["Seq"]) for row in read_joblog(self.path("log"))), list(range(1, 61)))
        ran = self.path("ran").read_text().split()
        self.assertEqual(set(ran), {str(n) for n in range(1, 61)})
        self.assertEqual({number: ran.count(number) for number in frozen}, frozen)

    def test_two_maps_do_not_write_the_same_joblog(self):
        process = self.start_map("--joblog", "log", "--", "echo")
        self.feed(process, "a\n")
        process.stdout.readline()
        done = self.map("--joblog", "log", "--resume", "--", "echo", items="a\n")
        self.assertEqual(done.returncode, 75)
        process.stdin.close()
        self.assertEqual(process.wait(30), 0)


class Signals(MapCase):
    SCRIPT = 'trap "echo got >>got; exit 9" TERM; echo "$1" >>ran; while [ ! -e go ]; do sleep 0.02; done; echo "end $1"'

    def start_two(self):
        process = self.start_map("--", "sh", "-c", self.SCRIPT, "sh", slots=2)
        self.feed(process, numbers(20))
        wait_until(lambda: self.path("ran").exists() and len(self.path("ran").read_text().split()) == 2, "two run")
        return process

    def test_the_first_signal_lets_the_running_ones_end(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            for name in ("ran", "go"):
                self.path(name).unlink(missing_ok=True)
            process = self.start_two()
            process.send_signal(number)
            self.assertIn("stopping", process.stderr.readline())
            self.assertIsNone(process.poll())
            self.write("go", "")
            self.assertEqual(process.wait(30), -number)
            self.assertEqual(sorted(process.stdout.read().splitlines()), ["end 1", "end 2"])
            self.assertEqual(len(self.path("ran").read_text().split()), 2)
            self.assertFalse(self.path("got").exists())

    def test_the_second_one_ends_them(self):
        process = self.start_two()
        process.terminate()
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), -signal.SIGTERM)
        self.assertEqual(self.path("got").read_text(), "got\ngot\n")
        self.assertEqual(self.size(), 0)

    def test_what_was_ended_with_all_the_rest_is_not_done(self):
        script = 'echo "$1" >>ran; [ ! -e slow ] || [ "$1" = 1 ] || { touch "at$1"; sleep 60; }; exit "$1"'
        args = ("--input", self.write("items", numbers(4)), "--joblog", "log", "--", "sh", "-c", script, "sh")

        def second_signal(process):
            process.terminate()
            process.stderr.readline()
            process.terminate()
            self.assertEqual(process.wait(30), -signal.SIGTERM)

        def total_timeout(process):
            self.assertEqual(process.wait(30), 124)

        for options, stop in (((), second_signal), (("--total-timeout", "2s"), total_timeout)):
            for name in ("ran", "log", "at2", "at3"):
                self.path(name).unlink(missing_ok=True)
            self.write("slow", "")
            process = self.start_map(*options, *args, slots=2)
            wait_until(lambda: self.path("at2").exists() and self.path("at3").exists(), "items 2 and 3 run")
            stop(process)
            self.assertEqual([(row["Seq"], row["Exitval"]) for row in read_joblog(self.path("log"))], [("1", "1")])
            self.path("slow").unlink()
            self.path("ran").unlink()
            self.assertEqual(self.map("--resume", *args).returncode, 123)
            self.assertEqual(sorted(self.path("ran").read_text().split()), ["2", "3", "4"])

    def test_what_does_not_end_is_killed(self):
        process = self.start_map("--kill-after", "200ms", "--", "sh", "-c", 'trap "" TERM; echo; sleep 60 & wait; sleep 60')
        self.feed(process, "a\n")
        process.stdin.close()
        wait_until(lambda: children_of(process.pid), "it runs")
        process.terminate()
        process.stderr.readline()
        process.terminate()
        self.assertEqual(process.wait(30), -signal.SIGTERM)

    def test_progress_and_ctrl_c_at_a_terminal(self):
        script = 'sleep 0.05; [ "$1" != 20 ] || { touch at20; while [ ! -e go ]; do sleep 0.02; done; }; echo "line $1"'
        terminal = Terminal(self, ["env", "TERM=vt100", CACHIFY, "pool", "map", "--key", "m", "-n", "2",
                                   "--input", self.write("items", numbers(20)), "--", "sh", "-c", script, "sh"])  # fmt: skip
        terminal.expect(r"\r\x1b\[K\[#+\.*\] \d+ of 20 done, 0 failed, 2 running, [\d.]+/s, \d+s left")
        terminal.expect(r"\r\x1b\[Kline \d+\r\n")
        wait_until(self.path("at20").exists, "the last one runs")
        terminal.type("\x03")
        terminal.expect("stopping")
        self.write("go", "")
        terminal.expect("line 20")
        self.assertEqual(terminal.wait(), -signal.SIGINT)

    def test_no_bar_where_there_is_no_terminal(self):
        done = self.map("--", "sleep", "0.3", items="")
        self.assertEqual(done.stderr, "")
        done = self.map("--progress", "--", "sh", "-c", "exit 1", items=numbers(3))
        self.assertRegex(done.stderr, r"\Acachify: 3 of 3 done, 3 failed, 0 running, [\d.]+/s\n\Z")


@on_every_store
class Sharing(MapCase):
    def jobs(self, log):
        """The runs that job.cpp logged; without fences, as the items of one slot share one."""
        started, runs = {}, []
        for what, when, pid, label, slot, _ in read_log(log.read_text()):
            if what == "start":
                started[pid, label] = when
            else:
                runs.append(Run(f"{label}@{pid}", started.pop((pid, label)), when, slot=slot))
        self.assertEqual(started, {})
        return runs

    def test_maps_and_single_runs_never_exceed_the_cap(self):
        log = self.path("log")
        maps = [self.start_map("--", JOB, log, f"{name}{{}}", "5", slots=3) for name in "ab"]
        for process in maps:
            self.feed(process, numbers(60))
            process.stdin.close()
        singles = [
            self.start("pool", "run", "-k", "m", "-n", "3", "-w", "--", JOB, log, f"s{n}", "5")
            for n in range(8)
        ]
        for process in maps + singles:
            self.assertEqual(process.wait(60), 0, process.stderr.read())
        runs = self.jobs(log)
        self.assertEqual(len(runs), 128)
        self.assertEqual(check_pool(runs, 3), [])
        self.assertEqual(self.size(), 0)

    def test_it_gives_way_to_who_waits(self):
        process = self.start_map("--input", self.write("items", numbers(3000)), "--", "sh", "-c", "sleep 0.01",
                                 slots=2)  # fmt: skip
        wait_until(lambda: self.size() == 2, "the map has both slots")
        # Neither one slot nor all of them: nobody is passed over for long.
        for args in (("-n", "2"), ("-n", "2", "--weight", "2"), ("-n", "1")):
            done = self.cachify("pool", "run", "-k", "m", *args, "-t", "20", "--", "true")
            self.assertEqual(done.returncode, 0, (args, done.stderr))
        self.assertIsNone(process.poll())
        process.terminate()
        self.assertEqual(process.wait(30), -signal.SIGTERM)

    def test_two_maps_have_half_each(self):
        marks = {name: self.path(name) for name in "ab"}
        script = 'echo >>"$0"; sleep 0.03'
        first, second = [
            self.start_map("--input", self.write("items", numbers(2000)), "--", "sh", "-c", script, mark)
            for mark in marks.values()
        ]

        def count(name):
            return len(marks[name].read_text()) if marks[name].exists() else 0

        def both_have_two():  # whoever began first gives slots back as it sees the other one wait
            status = json.loads(self.cachify("pool", "status", "-k", "m", "--json").stdout)
            return sorted(holder["pid"] for holder in status["holders"]) == sorted([first.pid, second.pid] * 2)

        wait_until(both_have_two, "each has half of the slots")
        before = {name: count(name) for name in "ab"}
        wait_until(lambda: sum(map(count, "ab")) - sum(before.values()) > 120, "and go on")
        shares = [count(name) - before[name] for name in "ab"]
        self.assertGreater(min(shares) * 2, max(shares), shares)
        for process in (first, second):
            process.terminate()
            self.assertEqual(process.wait(30), -signal.SIGTERM)

    def test_it_takes_what_becomes_free_while_its_runs_go_on(self):
        holder = self.hold("pool", "run", "-k", "m", "-n", "2")
        script = 'echo >>"started$1"; while [ ! -e "go$1" ]; do sleep 0.02; done'
        process = self.start_map("--", "sh", "-c", script, "sh", slots=2)
        self.feed(process, numbers(3))
        wait_until(self.path("started1").exists, "the first runs")
        self.wait_for_queued(process)
        # While it queues for a second slot, the first one is handed on.
        self.write("go1", "")
        wait_until(self.path("started2").exists, "the second follows in the same slot")
        self.assertFalse(self.path("started3").exists())
        holder.finish()
        wait_until(self.path("started3").exists, "the third has the slot that became free")
        self.write("go2", "")
        self.write("go3", "")
        process.stdin.close()
        self.assertEqual(process.wait(30), 0)

    def test_it_queues_by_its_priority(self):
        holder = self.hold("pool", "run", "-k", "m", "-n", "1")
        single = self.hold("pool", "run", "-k", "m", "-n", "1", "-w", wait_for_start=False)
        self.wait_for_queued(single)
        process = self.start_map("--priority", "5", "--", "echo", slots=1)
        self.feed(process, "a\n")
        self.wait_for_queued(process)
        self.assertFalse(single.running())
        holder.finish()
        self.assertEqual(process.stdout.readline(), "a\n")
        process.stdin.close()
        self.assertEqual(process.wait(30), 0)
        self.wait_for_holder(single)
        single.finish()

    def test_full_and_time_out(self):
        holder = self.hold("pool", "run", "-k", "m", "-n", "1")
        done = self.map("-t", "0", "--", "echo", items="a\n", slots=1)
        self.assertEqual(done.returncode, 75)
        self.assert_one_message(done, "m is full (max=1)")
        done = self.map("-t", "200ms", "--", "echo", items="a\n", slots=1)
        self.assertEqual(done.returncode, 124)
        done = self.map("-t", "0", "-E", "9", "--", "echo", items="a\n", slots=1)
        self.assertEqual(done.returncode, 9)
        holder.finish()

    def test_a_signal_while_it_waits_for_its_first_slot(self):
        holder = self.hold("pool", "run", "-k", "m", "-n", "1")
        process = self.start_map("--", "touch", self.path("ran"), slots=1)
        self.feed(process, "a\n")
        self.wait_for_queued(process)
        process.terminate()
        self.assertEqual(process.wait(30), -signal.SIGTERM)
        holder.finish()
        self.assertFalse(self.path("ran").exists())

    def test_reserved_slots_are_kept(self):
        process = self.start_map("--reserve", "2", "--", "echo", slots=3)
        self.feed(process, "a\n")
        self.assertEqual(process.stdout.readline(), "a\n")
        wait_until(lambda: self.size() == 2, "two are kept without an item")
        done = self.cachify("pool", "run", "-k", "m", "-n", "2", "-t", "300ms", "--", "true")
        self.assertEqual(done.returncode, 124)
        self.feed(process, "b\n")
        self.assertEqual(process.stdout.readline(), "b\n")
        for cap, kept in (1, 1), (3, 2):
            done = self.cachify("pool", "resize", "-k", "m", "--max", str(cap))
            self.assertEqual(done.returncode, 0, done.stderr)
            wait_until(lambda: self.size() == kept, f"{kept} are kept of {cap}")
        process.stdin.close()
        self.assertEqual(process.wait(30), 0)
        self.assertEqual(self.size(), 0)

    def start_gated(self, *args, slots=2):
        """A map whose run of item N goes on until there is a file goN; its runs ignore nothing."""
        script = 'echo >>"started$1"; while [ ! -e "go$1" ]; do sleep 0.02; done; echo "end $1"'
        return self.start_map(*args, "--", "sh", "-c", script, "sh", slots=slots)

    def holders(self):
        return json.loads(self.cachify("pool", "status", "-k", "m", "--json").stdout)["holders"]

    def test_a_slot_that_is_taken_away_ends_its_run_alone(self):
        process = self.start_gated("--joblog", "log")
        self.feed(process, numbers(3))
        wait_until(lambda: self.path("started1").exists() and self.path("started2").exists(), "two run")
        taken = next(one["id"] for one in self.holders() if one["slot"] == 0)
        done = self.cachify("pool", "release", "-k", "m", "--id", taken, "--terminate")
        self.assertEqual(done.returncode, 0, done.stderr)
        wait_until(self.path("started3").exists, "the next item has another slot")
        for number in (1, 2, 3):
            self.write(f"go{number}", "")
        process.stdin.close()
        self.assertEqual(process.wait(30), 123)
        self.assertEqual(sorted(process.stdout.read().splitlines()), ["end 2", "end 3"])
        self.assertIn("item 1: the slot was taken away", process.stderr.read())
        rows = {row["Seq"]: (row["Exitval"], row["Signal"]) for row in read_joblog(self.path("log"))}
        self.assertEqual(rows, {"1": ("76", "15"), "2": ("0", "0"), "3": ("0", "0")})

    def test_a_slot_given_back_by_somebody_is_not_used_again(self):
        process = self.start_gated("-v", slots=1)
        self.feed(process, numbers(2))
        wait_until(self.path("started1").exists, "it runs")
        single = self.hold("pool", "run", "-k", "m", "-n", "1", "-w", wait_for_start=False)
        self.wait_for_queued(single)
        self.assertEqual(self.cachify("pool", "release", "-k", "m", "--all").returncode, 0)
        self.wait_for_holder(single)
        self.assertIn("item 1: the slot was given back by somebody", process.stderr.readline())
        self.write("go1", "")
        self.assertEqual(process.stdout.readline(), "end 1\n")
        self.wait_for_queued(process)
        self.assertFalse(self.path("started2").exists())
        single.finish()
        self.write("go2", "")
        process.stdin.close()
        self.assertEqual(process.wait(30), 0)

    def test_a_pool_that_is_closed(self):
        process = self.start_gated("--retries", "0", slots=2)
        self.feed(process, numbers(1))
        wait_until(self.path("started1").exists, "it runs")
        self.assertEqual(self.cachify("pool", "close", "-k", "m").returncode, 0)
        # What it has, it goes on with; nobody new is let in.
        self.feed(process, "2\n")
        self.write("go1", "")
        wait_until(self.path("started2").exists, "the next item follows in the same slot")
        done = self.map("--", "true", items="a\n", slots=2)
        self.assertEqual(done.returncode, 75)
        self.assert_one_message(done, "m is closed")
        self.write("go2", "")
        process.stdin.close()
        self.assertEqual(process.wait(30), 0, process.stderr.read())

    def test_dismissed_from_the_queue(self):
        holder = self.hold("pool", "run", "-k", "m", "-n", "1")
        process = self.start_map("--", "touch", self.path("ran"), slots=1)
        self.feed(process, "a\n")
        self.wait_for_queued(process)
        self.assertEqual(self.cachify("pool", "close", "-k", "m", "--cancel-waiting").returncode, 0)
        self.assertEqual(process.wait(30), 75)
        self.assertIn("dismissed", process.stderr.read())
        holder.finish()
        self.assertFalse(self.path("ran").exists())

    def started(self, *items):
        return all(self.path(f"started{item}").exists() for item in items)

    def let_end(self, *items):
        for item in items:
            self.write(f"go{item}", "")

    def resize(self, cap):
        done = self.cachify("pool", "resize", "-k", "m", "--max", str(cap))
        self.assertEqual(done.returncode, 0, done.stderr)

    def is_shown(self):
        """A map listens from when it is shown on."""
        return json.loads(self.cachify("pool", "status", "-k", "m", "--json").stdout)["maps"] != []

    def start_running(self, items, slots=2):
        """start_gated, once it runs as many as it can and listens to others."""
        process = self.start_gated(slots=slots)
        self.feed(process, numbers(items))
        wait_until(lambda: self.started(*range(1, slots + 1)), "it has all slots")
        wait_until(self.is_shown, "it is shown")
        return process

    def test_more_slots_are_used_while_its_runs_go_on(self):
        process = self.start_running(4)
        self.resize(3)
        wait_until(lambda: self.started(3), "it has one more")
        self.assertFalse(self.started(4))
        self.resize(9)
        wait_until(lambda: self.started(4), "it has all that it needs")
        self.let_end(1, 2, 3, 4)
        process.stdin.close()
        self.assertEqual(process.wait(30), 0)

    def test_of_fewer_slots_none_is_used_again(self):
        process = self.start_running(5, slots=3)
        self.resize(1)
        for item, left in ((1, 2), (2, 1)):
            self.let_end(item)
            wait_until(lambda left=left: self.size() == left, f"{left} slots are left")
        self.assertFalse(self.started(4))
        self.let_end(3)
        wait_until(lambda: self.started(4), "the last slot is used again")
        self.assertFalse(self.started(5))
        self.let_end(4, 5)
        process.stdin.close()
        self.assertEqual(process.wait(30), 0)

    def test_who_comes_to_wait_has_the_next_slot(self):
        process = self.start_running(6)
        for first, items in ((3, (1,)), (4, (2, 3))):
            # As many as there will be slots, which are free at about the same time.
            singles = [
                self.hold("pool", "run", "-k", "m", "-n", "2", "-w", wait_for_start=False) for _ in items
            ]
            self.wait_for_queued(*singles)
            self.let_end(*items)
            for single in singles:
                self.wait_for_holder(single)
            self.assertFalse(self.started(first))
            for single in singles:
                self.assertEqual(single.finish(), 0)
            wait_until(lambda last=first: self.started(last), "the map goes on")
        self.let_end(4, 5, 6)
        process.stdin.close()
        self.assertEqual(process.wait(30), 0)

    def test_a_pool_that_is_opened_again(self):
        process = self.start_gated()
        self.feed(process, "1\n")
        wait_until(lambda: self.started(1), "it has one slot")
        self.assertEqual(self.cachify("pool", "close", "-k", "m").returncode, 0)
        self.feed(process, "2\n")

        def rejected():
            status = json.loads(self.cachify("pool", "status", "-k", "m", "--json").stdout)
            return status["counters"]["rejected"] > 0

        wait_until(rejected, "it was refused another one")
        self.assertEqual(self.cachify("pool", "open", "-k", "m").returncode, 0)
        wait_until(lambda: self.started(2), "it has another one")
        self.let_end(1, 2)
        process.stdin.close()
        self.assertEqual(process.wait(30), 0)

    def test_maps_are_killed_while_others_tell_them_something(self):
        chance = random.Random(8)
        if self.store.name == "redis":
            self.env["CACHIFY_STORE"] += "?lease=1s"
        for number in range(12):
            command = f"while [ ! -e over{number} ]; do sleep 0.02; done"
            process = self.start_map("--", "sh", "-c", command, slots=2)
            self.feed(process, numbers(50))
            wait_until(lambda process=process: children_of(process.pid), "it runs")
            process.stdin.close()
            steering = [self.start("pool", "resize", "-k", "m", "--max", str(2 + number + n)) for n in range(3)]
            steering.append(self.start("pool", "run", "-k", "m", "-n", "2", "-t", "0.05", "--", "true"))
            time.sleep(chance.uniform(0, 0.02))
            process.kill()
            process.wait()
            for one in steering[:-1]:
                self.assertEqual(one.wait(30), 0, one.stderr.read())
            self.assertIn(steering[-1].wait(30), (0, 124))
            self.write(f"over{number}", "")
        wait_until(lambda: self.size() == 0, "what is left of them ends", 60)
        self.assertEqual(self.map("-k", "--", "echo", items=numbers(3)).stdout, numbers(3))

    def test_it_follows_a_cap_that_changes(self):
        script = 'sleep 0.02; [ -e stop ] || exit 0'
        process = self.start_map("--input", self.write("items", numbers(5000)), "--", "sh", "-c", script, slots=2)
        wait_until(lambda: self.size() == 2, "two slots")
        for cap in (4, 1, 3):
            done = self.cachify("pool", "resize", "-k", "m", "--max", str(cap))
            self.assertEqual(done.returncode, 0, done.stderr)
            wait_until(lambda cap=cap: self.size() == cap, f"{cap} slots")
        process.terminate()
        self.assertEqual(process.wait(30), -signal.SIGTERM)


class OnRedis(MapCase):
    """What a map says to the server, and hears from it."""

    store_class = RedisStore
    ARGUMENTS = {18: "take", 3: "free", 6: "map", 5: "keep"}

    def monitor(self):
        connection = self.store.server.connect()
        self.addCleanup(connection.close)
        self.assertEqual(connection("MONITOR"), "OK")
        return connection

    def scripts(self, monitor):
        """How often each script was run for this test since the monitor began, by name."""
        end = f"end of {time.monotonic()}"
        self.store.server("ECHO", end)
        counts = {}
        while True:
            words = re.findall(r'"((?:[^"\\]|\\.)*)"', monitor.read())
            if words[-1] == end:
                return counts
            if words[0].lower().startswith("eval") and words[3].startswith(self.store.prefix):
                name = self.ARGUMENTS.get(len(words) - 10, "others")
                counts[name] = counts.get(name, 0) + 1

    def channel(self):
        return self.store.prefix + "pool:{m}:s"

    def start_gated(self, **options):
        script = 'echo >>"started$1"; while [ ! -e "go$1" ]; do sleep 0.02; done'
        process = self.start_map("--", "sh", "-c", script, "sh", slots=2, **options)
        self.feed(process, numbers(4))
        process.stdin.close()
        return process

    def let_all_end(self, process):
        for item in range(1, 5):
            self.write(f"go{item}", "")
        self.assertEqual(process.wait(30), 0, process.stderr.read())

    def follows_a_cap(self, process):
        self.assertEqual(self.cachify("pool", "resize", "-k", "m", "--max", "4").returncode, 0)
        wait_until(lambda: self.path("started3").exists() and self.path("started4").exists(), "it has more")
        self.let_all_end(process)

    def is_listening(self):
        return self.store.server("PUBSUB", "NUMSUB", self.channel())[1] == 1

    def test_undisturbed_it_speaks_twice_for_each_slot_however_many_items_there_are(self):
        monitor = self.monitor()
        begun = time.monotonic()
        done = self.map("--", "true", items=numbers(2000))
        seconds = time.monotonic() - begun
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        counts = self.scripts(monitor)
        # Its figures, which `status` shows: first after 50 ms, every 2 s, and that it has ended.
        self.assertLessEqual(counts.pop("map", 0), 2 + seconds / 2)
        self.assertLessEqual(counts.pop("keep", 0), 4 * seconds / 9)
        self.assertLessEqual(counts["take"], 4)
        self.assertEqual(counts, {"take": counts["take"], "free": counts["take"]})

    def test_it_looks_only_when_it_was_told_to(self):
        monitor = self.monitor()
        process = self.start_gated()
        wait_until(self.is_listening, "it listens")
        wait_until(lambda: self.store.server("EXISTS", self.channel()), "and it is known that it does")
        wait_until(lambda: self.path("started2").exists(), "two run")
        self.assertNotIn("others", self.scripts(monitor))
        self.follows_a_cap(process)
        self.assertIn("others", self.scripts(monitor))

    def test_its_own_waiting_is_no_news_to_it_but_to_another_map(self):
        holder = self.hold("pool", "run", "-k", "m", "-n", "2")
        process = self.start_gated()
        wait_until(lambda: self.path("started1").exists(), "one runs")
        self.wait_for_queued(process)
        wait_until(self.is_listening, "it listens")
        listener = self.store.server.connect()
        self.addCleanup(listener.close)
        listener("SUBSCRIBE", self.channel())
        wait_until(lambda: self.store.server("EXISTS", self.channel()), "and it is known that it does")
        self.write("go1", "")  # it stays in the queue; nothing is said
        wait_until(lambda: self.path("started2").exists(), "the next one runs in its slot")
        other = self.start_map("--", "true", slots=2)
        self.feed(other, "a\n")
        self.wait_for_queued(other)
        self.assertEqual(listener.read()[0], "message")
        other.stdin.close()
        holder.finish()
        self.let_all_end(process)
        self.assertEqual(other.wait(30), 0)

    def test_a_message_that_never_comes(self):
        process = self.start_gated()
        wait_until(self.is_listening, "it listens")
        wait_until(lambda: self.path("started2").exists(), "two run")
        self.store.server("CLIENT", "KILL", "TYPE", "pubsub")
        self.follows_a_cap(process)

    def test_who_may_not_listen_looks_now_and_then(self):
        server = self.store.server
        rights = [right for right in documented_rights() if "subscribe" not in right and "~" not in right]
        server("ACL", "SETUSER", "deaf", "on", ">pw", *rights, "allkeys")
        self.addCleanup(server, "ACL", "DELUSER", "deaf")
        url = self.store.url.replace("redis+unix://", "redis+unix://deaf@")
        process = self.start_gated(env={"CACHIFY_STORE": url, "CACHIFY_REDIS_PASSWORD": "pw"})
        wait_until(lambda: self.path("started2").exists(), "two run")
        wait_until(lambda: server("EXISTS", self.channel()), "its figures are shown")
        self.assertFalse(self.is_listening())
        self.follows_a_cap(process)


class Crash(MapCase):
    def test_the_runs_of_a_killed_map_keep_their_slots(self):
        process = self.start_map("--", "sh", "-c", "while [ ! -e go ]; do sleep 0.02; done", slots=2)
        self.feed(process, numbers(5))
        wait_until(lambda: len(children_of(process.pid)) == 2, "two run")
        pids = children_of(process.pid)
        process.kill()
        process.wait()
        self.assertEqual(self.size(), 2)
        waiting = self.start("pool", "run", "-k", "m", "-n", "2", "-w", "--", "true")
        self.wait_for_queued(waiting)
        self.write("go", "")
        self.assertEqual(waiting.wait(30), 0)
        wait_until(lambda: not any(map(alive, pids)), "they have ended")


if __name__ == "__main__":
    main()
