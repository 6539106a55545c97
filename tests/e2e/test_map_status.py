"""What `status` shows of maps under way."""

import json
import os
import subprocess
import time
from pathlib import Path

import json_schema
from redis_server import RedisStore
from support import Case, main, on_every_store, until_in_time, wait_until

# Its items say how each is to end: `wait` until it is killed or the gate opens, or a code.
SCRIPT = 'case $1 in wait) read x <"$0" ;; *) exit "$1" ;; esac'


class MapStatusCase(Case):
    def setUp(self):
        super().setUp()
        self.gate = self.path("gate")
        os.mkfifo(self.gate)

    def start_map(self, *options, slots=2, key="m", items="", end=False, **more):
        process = self.start("pool", "map", "--key", key, "-n", str(slots), *options, "--",
                             "sh", "-c", SCRIPT, self.gate, stdin=subprocess.PIPE, **more)  # fmt: skip
        process.stdin.write(items)
        process.stdin.flush()
        if end:
            process.stdin.close()
        return process

    def open_gate(self, *processes):
        """Lets all runs that wait go on, until these maps have ended."""
        fd = os.open(self.gate, os.O_RDWR)
        try:
            os.write(fd, b"\n" * 1000)
            return [process.wait(30) for process in processes]
        finally:
            os.close(fd)

    def status(self, key="m", noun="pool"):
        done = self.cachify(noun, "status", "--key", key, "--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        now = json.loads(done.stdout)
        self.assertEqual(json_schema.problems(json_schema.STATUS, now), [])
        return now

    def maps(self, key="m"):
        return self.status(key)["maps"]

    def figures(self, index=0):
        maps = self.maps()
        names = ("queued", "running", "done", "failed", "idle")
        return tuple(maps[index][name] for name in names) if len(maps) > index else None

    def wait_for_figures(self, *wanted):
        wait_until(lambda: self.figures() == wanted, f"the figures {wanted}, not {self.figures()}")


@on_every_store
class MapStatus(MapStatusCase):
    def test_a_map_is_shown_with_its_figures_until_it_ends(self):
        self.assertEqual(self.maps(), [])
        before = time.time()
        process = self.start_map(items="0\n7\nwait\nwait\nwait\nwait\nwait\n")
        self.wait_for_figures(3, 2, 2, 1, 0)
        now = self.status()
        (shown,) = now["maps"]
        self.assertEqual((shown["pid"], shown["host"]), (process.pid, os.uname().nodename))
        self.assertEqual({holder["pid"] for holder in now["holders"]}, {process.pid})
        self.assertIn(SCRIPT[:20], shown["command"])
        self.assertLessEqual(shown["uptime"], time.time() - before + 1)
        table = self.cachify("pool", "status", "--key", "m").stdout
        self.assertRegex(table, r"MAP +USER +(HOST +)?UP +QUEUED +RUNNING +DONE +FAILED +IDLE +COMMAND\n"
                                rf" *{process.pid} .* 3 +2 +2 +1 +0 ")  # fmt: skip
        process.stdin.close()
        self.assertEqual(self.open_gate(process), [123])
        self.assertEqual(self.maps(), [])
        self.assertNotIn("MAP", self.cachify("pool", "status", "--key", "m").stdout)

    def test_a_map_that_holds_nothing_is_shown(self):
        process = self.start_map()
        self.wait_for_figures(0, 0, 0, 0, 0)
        self.assertEqual(self.status()["size"], 0)
        # One that keeps a slot has it idle; one that waits for a slot has its items queued.
        reserving = self.start_map("--reserve", "1")
        wait_until(lambda: [one["idle"] for one in self.maps()] == [0, 1], "the reserved slot is idle")
        for one in (process, reserving):
            one.stdin.close()
            self.assertEqual(one.wait(30), 0)
        holder = self.hold("pool", "run", "--key", "m", "-n", "1")
        process = self.start_map(slots=1, items="0\n0\n0\n", end=True)
        self.wait_for_figures(3, 0, 0, 0, 0)
        holder.finish()
        self.assertEqual(process.wait(30), 0)

    def test_two_maps_of_one_key_and_one_of_another(self):
        first = self.start_map(items="wait\n")
        wait_until(lambda: len(self.maps()) == 1, "the first map")
        second = self.start_map(items="3\nwait\n")
        other = self.start_map(key="other", items="wait\n")
        wait_until(lambda: [one["failed"] for one in self.maps()] == [0, 1], "the figures of both")
        wait_until(lambda: len(self.maps("other")) == 1, "the other key's map")
        self.assertEqual([one["pid"] for one in self.maps()], [first.pid, second.pid])
        self.assertEqual(self.status(noun="lock")["maps"], [])
        for process in (first, second, other):
            process.stdin.close()
        self.assertEqual(self.open_gate(first, second, other), [0, 123, 0])
        self.assertEqual(self.maps() + self.maps("other"), [])

    def test_a_killed_map_is_shown_no_more(self):
        process = self.start_map(items="wait\n", end=True)
        self.wait_for_figures(0, 1, 0, 0, 0)
        process.kill()
        process.wait()
        wait_until(lambda: self.maps() == [], "the killed map is gone from status")
        # The next one takes its place, with figures of its own.
        second = self.start_map(items="wait\n1\n", slots=3, end=True)
        self.wait_for_figures(0, 1, 1, 1, 0)
        self.assertEqual(self.maps()[0]["pid"], second.pid)
        self.assertEqual(self.open_gate(second), [123])

    def test_reading_while_it_changes(self):
        process = self.start_map(items="wait\n" + "0\n" * 300, slots=3, end=True)
        seen = []
        while process.poll() is None:
            for one in self.maps():
                seen.append(one["done"])
                self.assertEqual(one["pid"], process.pid)
                self.assertLessEqual(one["queued"] + one["running"] + one["done"], 301)
            if seen and seen[-1] == 300:
                self.open_gate(process)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(seen, sorted(seen))
        self.assertEqual(seen[-1], 300)

    def test_a_watcher_is_told(self):
        watch = self.start("pool", "status", "--key", "m", "--watch", "--json")
        self.assertEqual(json.loads(watch.stdout.readline())["maps"], [])
        process = self.start_map()

        def next_figures():
            maps = json.loads(watch.stdout.readline())["maps"]
            return [(one["pid"], one["done"]) for one in maps]

        wait_until(lambda: next_figures() == [(process.pid, 0)], "the map began")
        process.stdin.write("0\n")
        process.stdin.flush()
        wait_until(lambda: next_figures() == [(process.pid, 1)], "an item is done")
        process.stdin.close()
        wait_until(lambda: next_figures() == [], "the map has ended")
        self.assertEqual(process.wait(30), 0)


class MapStatusInFiles(MapStatusCase):
    """What lies where the figures are kept."""

    def file(self, key="m"):
        return self.path("store") / f"pool.cachify%3A{key}~m"

    def test_the_figures_are_those_of_a_moment_ago(self):
        def show():
            process = self.start_map(items="wait\nwait\nwait\n")
            wait_until(self.maps, "it is shown")
            shown = time.monotonic()
            self.wait_for_figures(1, 2, 0, 0, 0)
            took = time.monotonic() - shown
            process.stdin.close()
            self.open_gate(process)
            return True if took < 0.5 else None

        until_in_time(show)

    def test_the_file_goes_with_its_last_map_and_is_no_key(self):
        first, second = self.start_map(), self.start_map()
        wait_until(lambda: len(self.maps()) == 2, "both are shown")
        self.assertEqual(self.file().stat().st_size, 1024)
        self.assertEqual(self.cachify("pool", "list", "--json").stdout, "[]\n")
        doctor = self.cachify("doctor")
        self.assertEqual(doctor.returncode, 0, doctor.stdout)
        first.stdin.close()
        self.assertEqual(first.wait(30), 0)
        self.assertEqual([one["pid"] for one in self.maps()], [second.pid])
        second.stdin.close()
        self.assertEqual(second.wait(30), 0)
        self.assertFalse(self.file().exists())

    def test_what_a_killed_map_left_is_used_again_or_swept(self):
        for _ in range(2):
            process = self.start_map()
            wait_until(lambda: len(self.maps()) == 1, "it is shown")
            process.kill()
            process.wait()
            self.assertEqual(self.maps(), [])
            self.assertEqual(self.file().stat().st_size, 512)
        os.utime(self.file(), (1, 1))
        # Who makes a new key's file tidies up now and then: one process in sixteen.
        count = iter(range(10_000))
        wait_until(lambda: self.cachify("pool", "run", "-k", f"k{next(count)}", "-n", "1", "--", "true")
                   and not self.file().exists(), "it is swept")  # fmt: skip

    def test_a_foreign_file_is_neither_shown_nor_touched(self):
        self.cachify("pool", "run", "--key", "m", "-n", "1", "--", "true")
        victim = self.write("victim", "precious\n" * 100)

        def symlink():
            self.file().symlink_to(victim)

        def hard_link():
            os.link(victim, self.file())

        def fifo():
            os.mkfifo(self.file())

        def directory():
            self.file().mkdir()

        def garbage():
            self.file().write_bytes(b"garbage " * 200)

        for make in (symlink, hard_link, fifo, garbage, directory):
            with self.subTest(make=make):
                make()
                process = self.start_map("-v", items="0\n", end=True)
                self.assertEqual(process.wait(30), 0)
                self.assertEqual(self.maps(), [])
                self.assertIn("cannot be shown", process.stderr.read())
                self.assertEqual(Path(victim).read_text(), "precious\n" * 100)
                if make == garbage:
                    self.assertEqual(self.file().read_bytes(), b"garbage " * 200)
                self.assertTrue(os.path.lexists(self.file()))
                if self.file().is_dir() and not self.file().is_symlink():
                    self.file().rmdir()
                else:
                    self.file().unlink()

    def test_what_is_torn_or_gone_is_left_out(self):
        process = self.start_map(items="wait\n")
        wait_until(lambda: len(self.maps()) == 1, "the first one has the first record")
        other = self.start_map(items="wait\n")
        wait_until(lambda: len(self.maps()) == 2, "both are shown")
        with open(self.file(), "r+b") as raw:
            raw.seek(16)
            raw.write(b"\xff" * 40)
        self.assertEqual([one["pid"] for one in self.maps()], [other.pid])
        with open(self.file(), "r+b") as raw:
            raw.truncate(700)
        self.assertEqual(self.maps(), [])
        self.file().unlink()
        self.assertEqual(self.maps(), [])
        for one in (process, other):
            one.stdin.close()
        self.assertEqual(self.open_gate(process, other), [0, 0])


class MapStatusOnRedis(MapStatusCase):
    store_class = RedisStore

    def server(self):
        connection = self.store.server.connect()
        self.addCleanup(connection.close)
        return connection

    def name(self):
        return self.store.prefix + "pool:{m}:s"

    def test_it_cleans_up(self):
        server = self.server()
        process = self.start_map(items="wait\n")
        self.wait_for_figures(0, 1, 0, 0, 0)
        name = self.name()
        self.assertEqual(server("HLEN", name), 1)
        self.assertGreater(server("PTTL", name), 0)
        process.stdin.close()
        self.assertEqual(self.open_gate(process), [0])
        self.assertEqual(server("EXISTS", name), 0)

    def test_garbage_is_left_out(self):
        process = self.start_map(items="wait\n")
        self.wait_for_figures(0, 1, 0, 0, 0)
        server = self.server()
        name = self.name()
        for field, text in (("a", "garbage"), ("b", "99999999999999999 1 2 x 4 5 6 1 1 1 - - c"), ("c", ""),
                            ("d", "99999999999999999 ")):  # fmt: skip
            server("HSET", name, field, text)
        self.assertEqual([one["pid"] for one in self.maps()], [process.pid])
        server("DEL", name)
        server("SET", name, "not even a hash")
        self.assertEqual(self.maps(), [])
        process.stdin.close()
        self.assertEqual(self.open_gate(process), [0])

    def test_a_server_that_lost_scripts_and_data_is_told_again(self):
        process = self.start_map(items="wait\n")
        self.wait_for_figures(0, 1, 0, 0, 0)
        server = self.server()
        server("SCRIPT", "FLUSH")
        server("DEL", self.name())
        self.wait_for_figures(0, 1, 0, 0, 0)
        process.stdin.close()
        self.assertEqual(self.open_gate(process), [0])


if __name__ == "__main__":
    main()
