"""doctor: a line for each finding, and a code that says whether all is right."""

import fcntl
import json
import os
import re
import unittest

import json_schema
from redis_server import Server, missing
from support import CACHIFY, Case, main, on_every_store


class DoctorCase(Case):
    def examined(self, *args, code=0, **options):
        """[(grade, rest of the line)]"""
        done = self.cachify("doctor", *args, **options)
        self.assertEqual((done.returncode, done.stderr), (code, ""), done.stdout)
        lines = done.stdout.splitlines()
        found = [re.fullmatch(r"(ok|warn|bad) +(\S.*)", line) for line in lines]
        self.assertTrue(all(found), lines)
        for line in found:
            if line[1] != "ok":
                self.assertIn(" -> ", line[2])
        return [(line[1], line[2]) for line in found]

    def told(self, *args, code=0):
        done = self.cachify("doctor", "--json", *args)
        self.assertEqual((done.returncode, done.stderr), (code, ""), done.stdout)
        value = json.loads(done.stdout)
        self.assertEqual(json_schema.problems(json_schema.DOCTOR, value), [])
        self.assertEqual(value["ok"], code == 0)
        return value


@on_every_store
class Doctor(DoctorCase):
    def test_the_lines_and_the_json_say_the_same(self):
        # Whether a store of the tests is perfect depends on the machine: its file system, its Redis.
        done = self.cachify("doctor")
        self.assertIn(done.returncode, (0, 1), done.stdout)
        found = self.examined(code=done.returncode)
        told = self.told(code=done.returncode)
        self.assertEqual([grade for grade, _ in found], [one["grade"] for one in told["findings"]])
        lines = [
            f"{one['text']} -> {one['advice']}" if one["advice"] else one["text"] for one in told["findings"]
        ]
        # Latencies and free space are other ones each time.
        without_figures = [
            [re.sub(r"[\d.]+", "", line) for line in some] for some in (lines, [text for _, text in found])
        ]
        self.assertEqual(*without_figures)
        self.assertEqual(done.returncode, 0 if {grade for grade, _ in found} == {"ok"} else 1)
        self.assertNotIn("bad", {grade for grade, _ in found})
        self.assertTrue(told["store"])
        self.assertGreater(len(found), 3)  # the store has been asked, too

    def test_it_takes_no_verb_and_no_command(self):
        for args, part in ((("doctor", "x"), "'x'"), (("doctor", "--", "true"), "takes no COMMAND")):
            done = self.cachify(*args)
            self.assertEqual(done.returncode, 64)
            self.assert_one_message(done, part)

    def test_it_leaves_nothing_behind(self):
        self.cachify("doctor")
        for noun in ("pool", "lock"):
            self.assertEqual(self.cachify(noun, "list").stdout, "")


class Place(DoctorCase):
    def test_the_configuration_and_the_store_are_named(self):
        version = self.cachify("--version").stdout.split("\n")[0]
        lines = [text for _, text in self.examined()]
        self.assertEqual(lines[0], version)
        self.assertEqual(lines[1], "no configuration file")
        self.assertEqual(lines[2], f"store file:{self.dir}/store (from CACHIFY_STORE), prefix cachify:")

        path = self.write_config(f'prefix = "p:"\n[profile.ci]\nstore = "file:{self.dir}/ci"\n')
        lines = [text for _, text in self.examined("--profile", "ci", env={"CACHIFY_STORE": None})]
        self.assertEqual(lines[1], f"configuration file {path} is understood, profile ci")
        self.assertEqual(lines[2], f"store file:{self.dir}/ci (from {path}:3), prefix p:")

    def test_a_healthy_file_store_is_right(self):
        self.assertEqual({grade for grade, _ in self.examined()}, {"ok"})

    def test_bad_configuration_is_told_as_everywhere(self):
        path = self.write_config("store = 3\n")
        done = self.cachify("doctor")
        self.assertEqual(done.returncode, 78)
        self.assert_one_message(done, str(path))

    def test_a_store_that_cannot_be_opened_is_bad(self):
        found = self.examined("--store", f"file:{self.dir}/none/of/these", code=69)
        self.assertEqual(found[-1][0], "bad")
        self.assertIsNone(self.told("--store", f"file:{self.dir}/none/of/these", code=69)["store"])

    def test_a_directory_of_somebody_else_is_bad_configuration(self):
        self.path("real").mkdir()
        (self.dir / "link").symlink_to(self.dir / "real")
        done = self.cachify("doctor", "--store", f"file:{self.dir}/link")
        self.assertIn(done.returncode, (0, 78))  # a directory that the user names may be a link

    def test_wrong_use_is_wrong_use(self):
        done = self.cachify("doctor", "--store", "nfs:x")
        self.assertEqual(done.returncode, 64)
        self.assert_one_message(done)

    def test_a_full_disk_is_told(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = self.cachify("doctor", stdout=full)
        self.assertEqual(done.returncode, 71)
        self.assertRegex(done.stderr, r"\Acachify: [^\n]+\n\Z")

    def test_a_file_that_is_not_sound_is_bad_and_its_line_says_once_what_to_do(self):
        self.assertEqual(self.cachify("pool", "run", "-k", "jobs", "-n", "1", "--", "true").returncode, 0)
        [file] = self.path("store").glob("pool.*jobs")
        with file.open("r+b") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX)
            [line] = [text for grade, text in self.examined(code=1) if grade == "bad"]
            self.assertIn("has been locked for a second -> continue or end the caller", line)
        file.write_bytes(b"something else")
        [line] = [text for grade, text in self.examined(code=1) if grade == "bad"]
        self.assertRegex(line, r"is not a state file .* -> remove it")
        self.assertEqual(line.count("remove it"), 1)

    @unittest.skipIf(os.geteuid() == 0, "root may do anything")
    def test_a_directory_without_rights_is_bad(self):
        self.path("store").mkdir(mode=0o500)
        self.assertEqual(self.examined(code=69)[-1][0], "bad")


class Servers(DoctorCase):
    def setUp(self):
        super().setUp()
        if missing():
            self.skipTest(missing())

    def server(self, *options, **others):
        server = Server(*options, **others)
        self.addCleanup(server.stop)
        return server

    def test_a_server_that_is_not_there(self):
        found = self.examined("--store", f"redis+unix://{self.dir}/none.sock", code=69)
        self.assertIn("bad", {grade for grade, _ in found})

    def test_settings_that_can_lose_slots_are_warned_of(self):
        server = self.server("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", tcp=False)
        found = self.examined("--store", server.unix_url, code=1)
        self.assertTrue(any(grade != "ok" and "allkeys-lru" in text for grade, text in found), found)

    def test_a_safe_server_is_right(self):
        server = self.server(
            "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", tcp=False
        )
        self.assertEqual({grade for grade, _ in self.examined("--store", server.unix_url)}, {"ok"})

    def test_a_user_without_rights_is_bad(self):
        server = self.server(tcp=False)
        server("ACL", "SETUSER", "weak", "on", ">hush-hush", "resetkeys", "~cachify:*", "-@all", "+@connection")
        url = f"redis+unix://weak:hush-hush@{server.socket}"
        done = self.cachify("doctor", "--store", url)
        if done.returncode == 64:  # a path has no place for a user
            self.skipTest("redis+unix: takes no user")
        self.assertIn(done.returncode, (1, 69))
        self.assertIn("bad", done.stdout)
        self.assertNotIn("hush", done.stdout + done.stderr)

    def test_tls_goes_on_in_the_program_that_has_it(self):
        if not os.path.exists(os.path.join(os.path.dirname(CACHIFY), "cachify-tls")):
            self.skipTest("built without OpenSSL")
        found = self.examined("--store", "rediss://127.0.0.1:1", code=69)
        self.assertEqual(len([text for _, text in found if text.startswith("cachify ")]), 1)


if __name__ == "__main__":
    main()
