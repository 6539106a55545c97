"""status, list and size: what they tell of scripted situations with real holders and waiters."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import json_schema
from redis_server import Server, missing
from support import CACHIFY, Case, alive, main, on_every_store, wait_until

JOBS = ("pool", "run", "-k", "jobs", "-n", "2")
CSI = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")


class LookingCase(Case):
    def told(self, *args, schema=json_schema.STATUS, **options):
        """The JSON that cachify ARGS --json prints, checked against the schema."""
        done = self.cachify(*args, "--json", **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.count("\n"), 1)
        value = json.loads(done.stdout)
        self.assertEqual(json_schema.problems(schema, value), [])
        return value

    def status(self, noun="pool", key="jobs"):
        return self.told(noun, "status", "-k", key)

    def table(self, *args, **options):
        """The lines that cachify ARGS prints."""
        done = self.cachify(*args, **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.splitlines()

    def wait_for_status(self, predicate, what, noun="pool", key="jobs"):
        """The first status for which the predicate holds."""

        def look():
            now = self.status(noun, key)
            return now if predicate(now) else None

        return wait_until(look, what)


@on_every_store
class Status(LookingCase):
    def test_a_key_that_never_was_is_empty(self):
        now = self.status()
        self.assertEqual((now["size"], now["max"], now["free"], now["uptime"]), (0, None, None, None))
        self.assertEqual((now["holders"], now["waiters"]), ([], []))
        self.assertEqual(len(self.table("pool", "status", "-k", "jobs")), 1)
        self.assertEqual(self.status("lock")["free"], 1)
        self.assertIn("lock jobs: free", self.table("lock", "status", "-k", "jobs")[0])

    def test_holders_are_told(self):
        begun = time.time()
        first = self.hold(*JOBS)
        second = self.hold(*JOBS, "--slot-exp", "60s")
        now = self.status()
        self.assertEqual((now["key"], now["kind"], now["size"]), ("jobs", "pool", 2))
        self.assertEqual((now["max"], now["stored_max"], now["free"]), (2, None, 0))
        self.assertEqual([one["slot"] for one in now["holders"]], [0, 1])
        for told, holder in zip(now["holders"], (first, second)):
            self.assertEqual(told["pid"], holder.process.pid)
            self.assertEqual(told["id"], holder.environment["CACHIFY_ID"])
            self.assertEqual(told["fence"], int(holder.environment["CACHIFY_FENCE"]))
            self.assertEqual(told["host"], os.uname().nodename)
            self.assertTrue(told["command"].startswith("sh -c "), told["command"])
            since = time.strptime(told["since"][:19], "%Y-%m-%dT%H:%M:%S")
            self.assertLess(abs(begun - (time.mktime(since) - time.timezone)), 60)
            self.assertFalse(told["orphan"] or told["ending"] or told["shared"])
        self.assertIsNone(now["holders"][0]["expires"])
        self.assertTrue(0 < now["holders"][1]["expires"] <= 60)

    def test_users_are_told_by_name(self):
        self.hold(*JOBS)
        name = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        self.assertEqual(self.status()["holders"][0]["user"], name)

    def test_waiters_are_told_in_the_order_in_which_they_will_be_served(self):
        self.hold("pool", "run", "-k", "jobs", "-n", "1")
        later = self.hold("pool", "run", "-k", "jobs", "-n", "1", "-w", wait_for_start=False)
        self.wait_for_queued(later)
        sooner = self.hold(
            "pool", "run", "-k", "jobs", "-n", "1", "-w", "--priority", "7", wait_for_start=False
        )
        self.wait_for_queued(sooner)
        now = self.status()
        self.assertEqual(now["waiting"], 2)
        self.assertEqual(
            [(one["position"], one["priority"], one["pid"]) for one in now["waiters"]],
            [(1, 7, sooner.process.pid), (2, 0, later.process.pid)],
        )
        lines = self.table("pool", "status", "-k", "jobs")
        self.assertIn("1 of 1 slot in use, 2 waiting", lines[0])
        places = [line.split() for line in lines if "PLACE" in line or "sh -c" in line]
        self.assertEqual(places[1][:2], ["PLACE", "ID"])
        self.assertEqual([row[0] for row in places[2:]], ["1", "2"])

    def test_readers_share_a_lock(self):
        for _ in range(3):
            self.hold("lock", "run", "-k", "jobs", "--shared")
        writer = self.start("lock", "run", "-k", "jobs", "-w", "--", "true")
        self.wait_for_queued(writer)
        now = self.status("lock")
        self.assertEqual((now["kind"], now["size"], now["max"], now["free"]), ("lock", 3, 1, 0))
        self.assertEqual([one["shared"] for one in now["holders"]], [True] * 3)
        self.assertFalse(now["waiters"][0]["shared"])
        lines = self.table("lock", "status", "-k", "jobs")
        self.assertIn("lock jobs: held by 3 readers, 1 waiting", lines[0])
        self.assertEqual(self.status("pool")["size"], 0)

    def test_weight_counts(self):
        self.hold("pool", "run", "-k", "jobs", "-n", "4", "--weight", "3")
        now = self.status()
        self.assertEqual((now["size"], now["free"], now["holders"][0]["weight"]), (3, 1, 3))
        self.assertIn("weight 3", "\n".join(self.table("pool", "status", "-k", "jobs")))

    def test_what_has_expired_is_left_out(self):
        self.hold(*JOBS, "--slot-exp", "300ms")
        self.hold(*JOBS)
        now = self.wait_for_status(lambda now: now["size"] == 1, "the slot has expired")
        self.assertEqual([one["slot"] for one in now["holders"]], [1])

    def test_a_dead_waiter_is_left_out(self):
        self.hold("lock", "run", "-k", "jobs")
        waiter = self.start("lock", "run", "-k", "jobs", "-w", "--", "true")
        self.wait_for_queued(waiter)
        self.assertEqual(self.status("lock")["waiting"], 1)
        waiter.kill()
        waiter.wait()
        self.wait_for_status(lambda now: now["waiting"] == 0, "the dead waiter is left out", "lock")

    def test_a_stored_cap_below_what_is_in_use(self):
        self.hold(*JOBS)
        self.hold(*JOBS)
        done = self.cachify("pool", "resize", "-k", "jobs", "--max", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        now = self.status()
        self.assertEqual((now["max"], now["stored_max"], now["size"], now["free"]), (1, 1, 2, 0))
        self.assertIn("2 of 1 slot in use (stored cap)", self.table("pool", "status", "-k", "jobs")[0])

    def test_a_closed_key(self):
        self.assertFalse(self.status()["closed"])
        done = self.cachify("pool", "close", "-k", "jobs")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(self.status()["closed"])
        self.assertIn(", closed", self.table("pool", "status", "-k", "jobs")[0])

    def test_the_counters_count(self):
        self.assertEqual(self.cachify(*JOBS, "--", "true").returncode, 0)
        self.hold("pool", "run", "-k", "jobs", "-n", "1")
        refused = self.cachify("pool", "run", "-k", "jobs", "-n", "1", "--", "true")
        self.assertEqual(refused.returncode, 75)
        late = self.cachify("pool", "run", "-k", "jobs", "-n", "1", "-t", ".2", "--", "true")
        self.assertEqual(late.returncode, 124)
        now = self.status()
        counters = now["counters"]
        self.assertEqual(
            [counters[name] for name in ("admitted", "completed", "rejected", "timed_out")], [2, 1, 1, 1]
        )
        self.assertGreater(now["uptime"], 0.1)
        self.assertIn("2 admitted, 1 completed", "\n".join(self.table("pool", "status", "-k", "jobs")))

    def test_each_slot_ends_once_completed_or_expired(self):
        def ended():
            counters = self.status()["counters"]
            self.assertEqual(counters["rejected"], 0)
            return [counters[name] for name in ("admitted", "completed", "expired")]

        holder = self.hold(*JOBS, "--slot-exp", ".2")
        wait_until(lambda: ended() == [1, 0, 1], "it has expired")
        self.assertEqual(holder.finish(), 0)
        self.assertEqual(ended(), [1, 0, 1])
        acquire = ("pool", "acquire", "-k", "jobs", "-n", "1", "--owner-pid", os.getpid())
        acquire = [str(word) for word in acquire]
        id_ = self.cachify(*acquire).stdout.strip()
        self.assertEqual(self.cachify("pool", "release", "-k", "jobs", "--id", id_).returncode, 0)
        self.assertEqual(ended(), [2, 1, 1])
        self.assertEqual(self.cachify(*acquire, "--slot-exp", ".2").returncode, 0)
        wait_until(lambda: ended() == [3, 1, 2], "what was acquired has expired")
        holder = self.hold(*JOBS)
        self.assertEqual(self.cachify("pool", "release", "-k", "jobs", "--all").returncode, 0)
        self.assertEqual(ended(), [4, 2, 2])
        self.assertEqual(holder.finish(), 0)
        self.assertEqual(ended(), [4, 2, 2])

    def test_who_finds_the_dead_in_its_way_is_admitted_or_rejected_but_not_both(self):
        def dead_in_front():
            heavy = self.start("pool", "run", "-k", "jobs", "-n", "2", "--weight", "2", "-w", "--",
                               "true")  # fmt: skip
            self.wait_for_queued(heavy)
            heavy.kill()
            heavy.wait()

        def counted():
            counters = self.status()["counters"]
            return [counters[name] for name in ("admitted", "rejected")]

        two = ("pool", "run", "-k", "jobs", "-n", "2")
        self.hold(*two)
        for options in ((), ("-w", "--queue-max", "1")):
            before = counted()
            dead_in_front()
            self.assertEqual(self.cachify(*two, *options, "--", "true").returncode, 0)
            self.assertEqual(counted(), [before[0] + 1, before[1]])
        living = self.start(*two, "--weight", "2", "-w", "--", "true")
        self.wait_for_queued(living)
        for options in ((), ("-w", "--queue-max", "1")):
            before = counted()
            self.assertEqual(self.cachify(*two, *options, "--", "true").returncode, 75)
            self.assertEqual(counted(), [before[0], before[1] + 1])

    def test_the_waiting_of_the_admitted_is_counted(self):
        holder = self.hold("lock", "run", "-k", "jobs")
        waiter = self.hold("lock", "run", "-k", "jobs", "-w", wait_for_start=False)
        self.wait_for_queued(waiter)
        began = self.status("lock")["waiters"][0]["age"]
        holder.finish()
        self.wait_for_holder(waiter)
        waited = float(waiter.environment["CACHIFY_WAITED"])
        counters = self.status("lock")["counters"]
        self.assertGreaterEqual(counters["longest_wait"], began)
        self.assertLess(abs(counters["longest_wait"] - waited), 0.5)
        self.assertLess(abs(counters["mean_wait"] - waited / 2), 0.5)

    def test_a_command_with_odd_characters_is_shown_safely(self):
        odd = b"a\x1b[2Jb\n\xff\xe6\xbc\xa2"
        started = self.path("started")
        self.start(*JOBS, "--", "sh", "-c", 'touch "$1"; sleep 60', odd, started)
        wait_until(started.exists, "COMMAND runs")
        table = self.cachify("pool", "status", "-k", "jobs")
        self.assertIn("a\\x1b[2Jb\\n\\xff\u6f22", table.stdout)
        self.assertNotIn("\x1b", table.stdout)
        self.assertIn("a\x1b[2Jb\n\ufffd\u6f22", self.status()["holders"][0]["command"])

    def test_the_key_is_a_format_string(self):
        self.hold("pool", "run", "-k", "db-{host}", "-a", "host=a1", "-n", "1")
        self.assertEqual(self.status(key="db-a1")["size"], 1)
        self.assertEqual(self.told("pool", "status", "-k", "db-{host}", "-a", "host=a1")["size"], 1)

    def test_the_parts_of_a_status_agree(self):
        self.hold(*JOBS)
        now = self.status()
        summary = {name: now[name] for name in json_schema.SUMMARY}
        self.assertEqual(self.told("pool", "size", "-k", "jobs", schema=json_schema.SUMMARY), summary)
        self.assertEqual(self.told("pool", "list", schema=json_schema.LIST), [summary])


class Orphans(LookingCase):
    """Redis has none: a lease can't outlive its cachify there."""

    def test_a_slot_whose_cachify_was_killed_is_an_orphan(self):
        holder = self.hold(*JOBS)
        self.assertFalse(self.status()["holders"][0]["orphan"])
        holder.process.kill()
        holder.process.wait()
        self.assertTrue(alive(holder.command_pid))
        now = self.status()
        self.assertEqual((now["size"], now["holders"][0]["orphan"]), (1, True))
        self.assertIn(" orphan ", "\n".join(self.table("pool", "status", "-k", "jobs")))
        os.kill(holder.command_pid, signal.SIGKILL)
        wait_until(lambda: not alive(holder.command_pid), "COMMAND has ended")
        self.assertEqual(self.status()["size"], 0)


@on_every_store
class List(LookingCase):
    def listed(self, noun="pool"):
        return self.told(noun, "list", schema=json_schema.LIST)

    def test_an_empty_store_lists_nothing(self):
        for noun in ("pool", "lock"):
            done = self.cachify(noun, "list")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
            self.assertEqual(self.listed(noun), [])

    def test_every_key_in_use_is_listed_by_name(self):
        self.hold("pool", "run", "-k", "b", "-n", "3")
        self.hold("pool", "run", "-k", "b", "-n", "5")
        self.hold("pool", "run", "-k", "a/ü \n", "-n", "1")
        self.hold("pool", "run", "-k", "k" * 512, "-n", "2")
        self.hold("lock", "run", "-k", "c")
        waiter = self.start("pool", "run", "-k", "a/ü \n", "-n", "1", "-w", "--", "true")
        self.wait_for_queued(waiter)
        found = [(one["key"], one["size"], one["max"], one["waiting"]) for one in self.listed()]
        self.assertEqual(found, [("a/ü \n", 1, 1, 1), ("b", 2, 5, 0), ("k" * 512, 1, 2, 0)])
        self.assertEqual([one["key"] for one in self.listed("lock")], ["c"])
        lines = self.table("pool", "list")
        self.assertEqual(lines[0].split(), ["KEY", "IN", "USE", "MAX", "WAITING"])
        self.assertEqual(lines[1].split(), ["a/ü", "\\n", "1", "1", "1"])
        self.assertEqual(lines[2].split(), ["b", "2", "5", "0"])
        self.assertEqual(self.table("lock", "list")[1].split(), ["c", "1", "0"])

    def test_what_is_not_in_use_any_more_is_not_listed(self):
        self.hold("pool", "run", "-k", "a", "-n", "1").finish()
        self.assertEqual(self.listed(), [])
        self.hold("pool", "run", "-k", "b", "-n", "1", "--slot-exp", "200ms")
        wait_until(lambda: not self.listed(), "the slot has expired")

    def test_a_stored_cap_and_a_closing_are_listed_without_users(self):
        self.assertEqual(self.cachify("pool", "resize", "-k", "a", "--max", "7").returncode, 0)
        self.assertEqual(self.cachify("pool", "close", "-k", "b").returncode, 0)
        found = [(one["key"], one["max"], one["stored_max"], one["closed"]) for one in self.listed()]
        self.assertEqual(found, [("a", 7, 7, False), ("b", None, None, True)])
        lines = [line.split() for line in self.table("pool", "list")]
        self.assertEqual(lines[1], ["a", "0", "7", "0", "stored", "cap"])
        self.assertEqual(lines[2], ["b", "0", "-", "0", "closed"])

    def test_other_prefixes_are_others(self):
        self.hold("pool", "run", "-k", "a", "-n", "1", "--prefix", "other:")
        self.assertEqual(self.listed(), [])
        found = self.told("pool", "list", "--prefix", "other:", schema=json_schema.LIST)
        self.assertEqual([one["key"] for one in found], ["a"])


class Terminal:
    """cachify in a pseudo terminal of its own, and what its screen shows."""

    def __init__(self, case, *args, rows=24, columns=80, env=None):
        self.text = ""
        self.code = None
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            for number in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            os.chdir(case.dir)
            os.execve(CACHIFY, [CACHIFY, *args], case.environ({"TERM": "xterm", **(env or {})}))
        case.addCleanup(self.close)

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                return
            self.text += piece.decode(errors="replace")

    def screen(self):
        """The lines of the last frame that is complete, without colour."""
        self.read()
        frames = re.findall(r"\x1b\[H(.*?)\x1b\[J\x1b\[\?25h", self.text, re.S)
        return CSI.sub("", frames[-1]).replace("\r", "").split("\n") if frames else []

    def wait_for(self, text, timeout=30):
        """The screen as soon as it shows the text."""
        try:
            return wait_until(
                lambda: (lambda now: now if text in "\n".join(now) else None)(self.screen()),
                f"{text!r} on the screen",
                timeout,
            )
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.text[-2000:]!r}") from None

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode())

    def mode(self):
        return termios.tcgetattr(self.master)[3] & (termios.ICANON | termios.ECHO)

    def wait(self, timeout=30):
        """As subprocess tells it: -n for a death by signal n."""

        def ended():
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            return pid

        wait_until(ended, "cachify has ended", timeout)
        return self.code

    def close(self):
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)


class OnATerminal(LookingCase):
    def shown(self, *args, **options):
        terminal = Terminal(self, *args, **options)
        self.assertEqual(terminal.wait(), 0)
        terminal.read()
        return terminal.text.replace("\r", "")

    def test_the_command_is_cut_to_the_width(self):
        self.hold(*JOBS)
        whole = self.table("pool", "status", "-k", "jobs")
        self.assertTrue(any(len(line) > 100 for line in whole))
        for columns in (40, 80, 100):
            text = CSI.sub("", self.shown("pool", "status", "-k", "jobs", columns=columns))
            lines = text.split("\n")
            self.assertEqual(max(len(line) for line in lines), columns)
            row = next(line for line in lines if line.startswith("   0  "))
            self.assertTrue(row.endswith("..."), row)

    def test_wide_characters_are_cut_by_their_columns(self):
        started = self.path("started")
        word = "漢字" * 40
        self.start(*JOBS, "--", "sh", "-c", 'touch "$1"; sleep 60', word, started)
        wait_until(started.exists, "COMMAND runs")
        text = CSI.sub("", self.shown("pool", "status", "-k", "jobs", columns=90))
        row = next(line for line in text.split("\n") if line.startswith("   0  "))
        columns = sum(2 if ord(c) > 0x2e80 else 1 for c in row)
        self.assertIn(columns, (89, 90))

    def test_colour_is_for_terminals_that_want_it(self):
        self.hold(*JOBS)
        self.assertIn("\x1b[1mjobs\x1b[0m", self.shown("pool", "status", "-k", "jobs"))
        for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": None}):
            self.assertNotIn("\x1b", self.shown("pool", "status", "-k", "jobs", env=env))
        self.assertIn("\x1b", self.shown("pool", "status", "-k", "jobs", env={"NO_COLOR": ""}))
        self.assertNotIn("\x1b", "\n".join(self.table("pool", "status", "-k", "jobs", env={"TERM": "xterm"})))

    def test_an_empty_list_says_so_to_people(self):
        self.assertRegex(self.shown("pool", "list"), r"\Acachify: no pool is in use in file:.*\n\Z")


@on_every_store
class Watch(LookingCase):
    def watch(self, *args, **options):
        return Terminal(self, "pool", "status", "-k", "jobs", "--watch", *args, **options)

    def test_the_screen_follows_what_happens(self):
        terminal = self.watch()
        terminal.wait_for("0 slots in use")
        holder = self.hold(*JOBS)
        screen = terminal.wait_for("1 of 2 slots in use")
        self.assertTrue(any(f" + slot 0 taken by pid {holder.process.pid} " in line for line in screen))
        holder.finish()
        screen = terminal.wait_for("0 slots in use")
        self.assertTrue(any(f" - slot 0 given back by pid {holder.process.pid} " in line for line in screen))

    def test_ages_go_on_by_themselves(self):
        self.hold(*JOBS)
        terminal = self.watch()
        for age in ("1s", "2s"):
            wait_until(
                lambda age=age: any(re.search(rf"^ +0 .* {age}  sh -c", line) for line in terminal.screen()),
                f"the holder is {age} old",
            )

    def test_a_frame_is_drawn_over_the_last_one_and_the_cursor_comes_back(self):
        self.hold(*JOBS)
        terminal = self.watch()
        terminal.wait_for("1 of 2 slots")
        count = lambda: terminal.read() or terminal.text.count("\x1b[H")  # noqa: E731
        wait_until(lambda: count() >= 3, "three frames")
        os.kill(terminal.pid, signal.SIGTERM)
        self.assertEqual(terminal.wait(), -signal.SIGTERM)
        first, *frames = terminal.text.split("\x1b[H")
        self.assertEqual(first.replace("\r", ""), "\x1b[?25l" + "\n" * 24)  # what stood there scrolls up
        for frame in frames:
            self.assertEqual(frame.count("\x1b[J"), 1)
            self.assertLess(frame.index("\x1b[J"), frame.index("\x1b[?25h"))
            self.assertNotIn("\x1b[2J", frame)  # flickers
        self.assertTrue(terminal.text.replace("\r", "").endswith("\x1b[J\x1b[?25h\n"))

    def test_the_size_of_the_window_is_followed(self):
        self.hold(*JOBS)
        terminal = self.watch(rows=20, columns=60)
        screen = terminal.wait_for("1 of 2 slots")
        self.assertLess(max(map(len, screen)), 60)
        terminal.resize(30, 110)
        wait_until(lambda: max(map(len, terminal.screen())) > 60, "the frame has become wider")
        terminal.resize(4, 30)
        wait_until(lambda: len(terminal.screen()) <= 4, "the frame has become smaller")
        self.assertLess(max(map(len, terminal.screen())), 30)

    def test_a_screen_that_is_too_small_says_what_is_left_out(self):
        for _ in range(12):
            self.hold("pool", "run", "-k", "jobs", "-n", "20")
        terminal = self.watch(rows=10)
        screen = terminal.wait_for("12 of 20 slots")
        self.assertEqual(len(screen), 10)
        self.assertTrue(any(re.fullmatch(r"\.\.\. \d+ more lines", line) for line in screen), screen)

    def test_q_ends_it_and_the_terminal_is_as_before(self):
        terminal = self.watch()
        terminal.wait_for("0 slots in use")
        self.assertEqual(terminal.mode(), 0)
        terminal.type("q")
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(terminal.mode(), termios.ICANON | termios.ECHO)

    def test_a_key_is_noticed_at_once_though_nothing_happens(self):
        self.hold(*JOBS)
        times = []
        for _ in range(3):
            terminal = self.watch()
            terminal.wait_for("q ends")
            time.sleep(0.3)  # until it sleeps, for the better part of a second
            began = time.monotonic()
            terminal.type("q")
            self.assertEqual(terminal.wait(), 0)
            times.append(time.monotonic() - began)
        self.assertLess(min(times), 0.3, times)

    def test_a_signal_ends_it_and_the_terminal_is_as_before(self):
        for key, number in (("\x03", signal.SIGINT), ("\x1c", signal.SIGQUIT), (None, signal.SIGHUP)):
            terminal = self.watch()
            terminal.wait_for("0 slots in use")
            if key:
                terminal.type(key)
            else:
                os.kill(terminal.pid, number)
            self.assertEqual(terminal.wait(), -number)
            self.assertEqual(terminal.mode(), termios.ICANON | termios.ECHO)

    def test_elsewhere_changes_are_lines(self):
        process = self.start("pool", "status", "-k", "jobs", "--watch")
        lines = iter(process.stdout.readline, "")
        self.assertIn("pool jobs: 0 slots in use", next(lines))
        self.assertEqual(next(lines), "\n")
        holder = self.hold(*JOBS)
        self.assertRegex(
            next(lines), rf"\A[-\d]+T[:.\d]+Z \+ slot 0 taken by pid {holder.process.pid} \(\w+\): sh -c "
        )
        holder.finish()
        self.assertIn(" - slot 0 given back by ", next(lines))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), -signal.SIGINT)

    def test_as_json_each_change_is_a_line(self):
        process = self.start("pool", "status", "-k", "jobs", "--watch", "--json")

        def next_where(predicate):
            for line in iter(process.stdout.readline, ""):
                now = json.loads(line)
                self.assertEqual(json_schema.problems(json_schema.STATUS, now), [])
                if predicate(now):
                    return now
            return self.fail("it ended")

        next_where(lambda now: now["size"] == 0)
        holder = self.hold(*JOBS)
        self.assertEqual(next_where(lambda now: now["size"] == 1)["holders"][0]["pid"], holder.process.pid)
        waiter = self.start("pool", "run", "-k", "jobs", "-n", "1", "-w", "--", "true")
        next_where(lambda now: now["waiting"] == 1)
        holder.finish()
        next_where(lambda now: now["size"] == 0 and now["waiting"] == 0)
        self.assertEqual(waiter.wait(30), 0)
        process.terminate()
        self.assertEqual(process.wait(30), -signal.SIGTERM)

    def test_it_ends_when_its_reader_has_gone(self):
        process = self.start("pool", "status", "-k", "jobs", "--watch", "--json")
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(30), -signal.SIGPIPE)
        self.assertEqual(process.stderr.read(), "")

    def test_a_dumb_terminal_is_not_drawn_on(self):
        terminal = self.watch(env={"TERM": "dumb"})
        wait_until(lambda: terminal.read() or "0 slots in use" in terminal.text, "the first line")
        holder = self.hold(*JOBS)
        wait_until(lambda: terminal.read() or f"pid {holder.process.pid}" in terminal.text, "the change")
        self.assertNotIn("\x1b", terminal.text)


class Outages(LookingCase):
    def setUp(self):
        super().setUp()
        if missing():
            self.skipTest(missing())
        self.server = Server(tcp=False)
        self.addCleanup(self.server.stop)
        self.look = ("pool", "status", "-k", "jobs", "--watch", "--store", self.server.unix_url)

    def test_on_a_terminal_an_outage_is_shown_and_waited_out(self):
        terminal = Terminal(self, *self.look)
        terminal.wait_for("0 slots in use")
        self.server.kill()
        screen = terminal.wait_for("trying again")
        self.assertIn(self.server.socket, "".join(screen))
        self.server.start()
        wait_until(lambda: "trying again" not in "\n".join(terminal.screen()), "the trouble is over")
        self.hold(*JOBS, "--store", self.server.unix_url)
        terminal.wait_for("1 of 2 slots")
        self.server.kill()
        terminal.wait_for("trying again")
        terminal.type("\x03")
        self.assertEqual(terminal.wait(), -signal.SIGINT)

    def test_elsewhere_an_outage_ends_it(self):
        for json_too in ((), ("--json",)):
            process = self.start(*self.look, *json_too)
            process.stdout.readline()
            self.server.kill()
            self.assertEqual(process.wait(30), 69)
            self.assertRegex(process.stderr.read(), r"\Acachify: [^\n]+\n\Z")
            self.server.start()


class WatchInTheShell(LookingCase):
    def test_stop_and_continue_give_the_terminal_back_and_take_it_again(self):
        terminal = Terminal(self, "pool", "status", "-k", "jobs", "--watch")
        terminal.wait_for("0 slots in use")
        # The leader of a session is not stopped by its terminal's ^Z (nobody could continue it).
        os.kill(terminal.pid, signal.SIGTSTP)
        frames = terminal.text.count("\x1b[H")
        wait_until(
            lambda: terminal.read() or terminal.text.count("\x1b[H") > frames, "it goes on drawing"
        )
        self.assertEqual(terminal.mode(), 0)
        terminal.type("q")
        self.assertEqual(terminal.wait(), 0)

    def test_a_job_of_a_shell_is_stopped_and_continued(self):
        pid, master = pty.fork()
        if pid == 0:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.execvpe("bash", ["bash", "--norc", "-i"], self.environ({"TERM": "xterm", "PS1": "> "}))
        self.addCleanup(os.close, master)
        self.addCleanup(os.waitpid, pid, 0)
        self.addCleanup(os.kill, pid, signal.SIGKILL)
        seen = [""]

        def shows(text):
            while select.select([master], [], [], 0)[0]:
                seen[0] += os.read(master, 65536).decode(errors="replace")
            if text not in seen[0]:
                return False
            seen[0] = seen[0].split(text, 1)[1]
            return True

        def type_and_wait(keys, text):
            os.write(master, keys.encode())
            wait_until(lambda: shows(text), f"{text!r} behind {keys!r}: {seen[0]!r}")

        type_and_wait(f"{CACHIFY} pool status -k jobs --watch\n", "q ends")
        type_and_wait("\x1a", "Stopped")
        type_and_wait("echo tty is $((1+1)); stty -a | grep -o ' echo '\n", "tty is 2")
        wait_until(lambda: shows(" echo "), "the terminal echoes")
        type_and_wait("fg\n", "q ends")
        type_and_wait("q", "> ")
        type_and_wait("echo code $?\n", "code 0")


class Failures(LookingCase):
    LOOKS = (
        ("pool", "status", "-k", "x"),
        ("lock", "status", "-k", "x"),
        ("pool", "status", "-k", "x", "--json"),
        ("pool", "status", "-k", "x", "--watch"),
        ("pool", "list"),
        ("pool", "list", "--json"),
        ("pool", "size", "-k", "x", "--json"),
    )

    def test_a_store_that_cannot_be_reached_is_told(self):
        for store in (f"redis+unix://{self.dir}/none.sock", f"file:{self.dir}/none/of/these"):
            for args in self.LOOKS:
                done = self.cachify(*args, "--store", store)
                self.assertEqual(done.returncode, 69, args)
                self.assert_one_message(done)

    def test_a_full_disk_is_no_empty_answer(self):
        self.hold("pool", "run", "-k", "x", "-n", "2")
        with open("/dev/full", "w", encoding="ascii") as full:
            for args in self.LOOKS:
                if args == ("pool", "list", "--json") or "list" not in args:
                    done = self.cachify(*args, stdout=full)
                    self.assertEqual(done.returncode, 71, args)
                    self.assertRegex(done.stderr, r"\Acachify: cannot write to standard output: [^\n]+\n\Z")

    def test_a_reader_that_has_gone(self):
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "wb") as pipe:
            done = self.cachify("pool", "status", "-k", "x", stdout=pipe)
        self.assertEqual((done.returncode, done.stderr), (-signal.SIGPIPE, ""))

    def test_wrong_use(self):
        for args, part in (
            (("pool", "status"), "key"),
            (("pool", "status", "-k", "x", "--max", "3"), "'--max'"),
            (("pool", "list", "-k", "x"), "'-k'"),
            (("lock", "status", "-k", "x", "--", "true"), "takes no COMMAND"),
        ):
            done = self.cachify(*args)
            self.assertEqual(done.returncode, 64)
            self.assert_one_message(done, part)

    def test_no_password_is_shown(self):
        store = "redis://joe:secret@127.0.0.1:1/0"
        for args in self.LOOKS:
            done = self.cachify(*args, "--store", store)
            self.assertEqual(done.returncode, 69)
            self.assertNotIn("secret", done.stderr)


if __name__ == "__main__":
    main()
