"""The command line: grammar, help, errors of use, standard output."""

import json
import os
import signal
import subprocess
import unittest

from support import CACHIFY, Case, main


class UsageCase(Case):
    """What is wrong use: one line, 64, and COMMAND was not started."""

    def refused(self, *args, parts=(), code=64, **options):
        marker = self.path("started")
        args = [str(marker) if arg is MARKER else arg for arg in args]
        done = self.cachify(*args, **options)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assert_one_message(done, *parts)
        self.assertFalse(marker.exists(), "COMMAND was started")
        self.assertFalse(self.store_files(), "the store was touched")
        return done

    def store_files(self):
        folder = self.path("store")
        return list(folder.iterdir()) if folder.exists() else []


MARKER = object()
TOUCH = ("--", "touch", MARKER)
POOL = ("pool", "run", "-k", "x", "-n", "4")


class Grammar(UsageCase):
    def test_global_options_stand_before_the_noun_and_behind_the_verb(self):
        store = f"file:{self.dir}/other"
        for args in (
            ("--store", store, "pool", "size", "-k", "x"),
            ("pool", "size", "--store", store, "-k", "x"),
            (f"--store={store}", "-q", "--prefix", "p", "pool", "size", "-k", "x", "-v"),
        ):
            done = self.cachify(*args, env={"CACHIFY_STORE": "file:/nonexistent/a/b"})
            self.assertEqual((done.returncode, done.stdout), (0, "0\n"), done.stderr)

    def test_other_options_do_not_stand_before_the_noun(self):
        self.refused("--max", "4", "pool", "run", "-k", "x", *TOUCH, parts=["'--max'"])
        self.refused("-k", "x", "pool", "run", "-n4", *TOUCH, parts=["'-k'"])

    def test_global_options_do_not_stand_between_noun_and_verb(self):
        self.refused("pool", "-q", "run", "-k", "x", "-n4", *TOUCH, parts=["run"])

    def test_the_command_needs_its_dashes(self):
        self.refused("pool", "run", "-k", "x", "-n4", "touch", MARKER, parts=["--", "'touch'"])
        self.refused("pool", "run", "-k", "x", "-n4", parts=["COMMAND is missing"])
        self.refused("pool", "run", "-k", "x", "-n4", "--", parts=["COMMAND is missing"])

    def test_behind_the_dashes_everything_is_the_command(self):
        script = 'for word; do printf "<%s>" "$word"; done'
        words = ["--", "", "a b", "--max", "-k", "x\ny", "--help", "--"]
        done = self.cachify(*POOL, "--", "sh", "-c", script, "sh", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "".join(f"<{word}>" for word in words))

    def test_a_command_that_is_called_dashes_is_not_an_option(self):
        done = self.cachify(*POOL, "--", "--", "true")
        self.assertEqual(done.returncode, 127, done.stderr)

    def test_looking_verbs_take_no_command(self):
        self.refused("pool", "size", "-k", "x", *TOUCH, parts=["takes no COMMAND"])
        self.refused("lock", "is-locked", "-k", "x", "--", parts=["takes no COMMAND"])

    def test_a_key_without_its_option_is_told_where_it_goes(self):
        for verb in (("pool", "close"), ("lock", "release"), ("pool", "size")):
            self.refused(*verb, "jobs", parts=["unexpected 'jobs'", "--key KEY"])
        for noun in ("pool", "lock"):
            told = ["unexpected 'jobs'", f"cachify {noun} status --key KEY"]
            self.refused(noun, "list", "jobs", parts=told)
            self.refused(noun, "list", "--json", "jobs", parts=told)
        self.refused("doctor", "jobs", parts=["unexpected 'jobs'", "see cachify help doctor"])
        told = ["unexpected 'jobs'", "--key before KEY", "-k is --keep-order"]
        self.refused("pool", "map", "-k", "jobs", "-n", "2", *TOUCH, parts=told)

    def test_a_missing_or_unknown_noun_or_verb_is_told(self):
        self.refused("pool", parts=["needs a verb"])
        self.refused("-q", parts=["a command is missing"])
        self.refused("--", "touch", MARKER, parts=["a command is missing"])
        self.refused("poool", "run", *TOUCH, parts=["'poool'", "did you mean pool?"])
        self.refused("pool", "rnu", *TOUCH, parts=["'rnu'", "did you mean run?"])
        self.refused("run", "-k", "x", "-n", "1", *TOUCH, parts=["'run'", "pool run, lock run or resource run?"])
        self.refused("lock", "islocked", parts=["did you mean is-locked?"])
        self.refused("xyzzy", parts=["see cachify help"])
        self.refused("lock", "size", "-k", "x", parts=["'size'"])
        self.refused("", "run", parts=["''"])

    def test_an_unknown_option_is_told_with_a_near_one(self):
        self.refused(*POOL, "--tiimeout", "5", *TOUCH, parts=["'--tiimeout'", "--timeout?"])
        self.refused(*POOL, "--prio", "5", *TOUCH, parts=["--priority?"])
        self.refused(*POOL, "-x", *TOUCH, parts=["'-x'"])
        self.refused("lock", "run", "-k", "x", "--max", "1", *TOUCH, parts=["'--max'"])
        self.refused("lock", "run", "-k", "x", "--weight", "2", *TOUCH, parts=["--weight must be 1, not '2'"])

    def test_options_are_never_abbreviated(self):
        for option in ("--ke", "--wai", "--m"):
            self.refused("pool", "run", option, "x", "-n4", *TOUCH, parts=[f"'{option}'"])

    def test_a_missing_value_is_told(self):
        self.refused("pool", "run", "-k", "x", "--max", *TOUCH, parts=["'--max'", "value"])
        self.refused("pool", "run", "-n4", "-k", *TOUCH, parts=["'-k'", "value"])
        self.refused("--store", parts=["'--store'", "value"])

    def test_the_last_of_repeated_options_wins(self):
        done = self.cachify(*POOL, "-n", "7", "--", "sh", "-c", "echo $CACHIFY_MAX")
        self.assertEqual(done.stdout, "7\n", done.stderr)

    def test_several_keys_are_refused_but_by_lock_run(self):
        self.refused("pool", "run", "-k", "a", "-k", "b", "-n4", *TOUCH, parts=["--key"])
        self.refused("lock", "is-locked", "-k", "a", "-k", "b", parts=["--key"])

    def test_control_characters_in_a_message_are_escaped(self):
        self.refused("pool", "run", "--b\n\x1b[2Jad", *TOUCH, parts=["--b\\n\\x1b[2Jad"])
        self.refused("po\tol\r", "run", parts=["po\\tol\\r"])


class Values(UsageCase):
    def test_bad_numbers_are_refused(self):
        for option, value in (
            ("--max", "0"),
            ("--max", "-3"),
            ("--max", "4x"),
            ("--max", "0x4"),
            ("--max", "4294967300"),
            ("--max", "99999999999999999999"),
            ("--weight", "0"),
            ("--priority", "101"),
            ("--queue-max", "-1"),
            ("--shed-at", "101%"),
            ("-E", "256"),
            ("-E", "600"),
            ("-E", "-1"),
            ("--slot-exp", "0"),
            ("--slot-exp", "1e3"),
            ("--timeout", "-1"),
            ("--timeout", "inf"),
            ("--kill-after", "none"),
            ("--on-lost", "die"),
            ("--on-full", " "),
        ):
            with self.subTest(option=option, value=value):
                self.refused(*POOL, option, value, *TOUCH)

    def test_bad_keys_are_refused(self):
        for key in ("", "k" * 513, "{", "}", "{a", "{nobody}", "{9}", "{}", "{a b}"):
            with self.subTest(key=key):
                self.refused("pool", "run", "--key", key, "-n4", *TOUCH)
        self.refused("pool", "run", "-n4", *TOUCH, parts=["--key"])
        self.refused("pool", "run", "--key", "{a}", "--arg", "a=" + "k" * 513, "-n4", *TOUCH)
        self.refused("pool", "run", "--key", "{a}", "--arg", "a=", "-n4", *TOUCH, parts=["empty"])
        self.refused("pool", "size", "--key", "{0}", parts=["{0}"])
        self.refused("pool", "run", "--key=", "-n4", *TOUCH, parts=["empty"])

    def test_a_key_of_512_bytes_is_possible(self):
        done = self.cachify("pool", "run", "-k", "k" * 512, "-n4", "--", "sh", "-c", "echo ${#CACHIFY_KEY}")
        self.assertEqual(done.stdout, "512\n", done.stderr)

    def test_keys_are_filled(self):
        for key, args, expected in (
            ("db-{host}", ("--arg", "host=a1"), "db-a1"),
            ("{0}{1}", (), "sh-c"),
            ("{{{x}}}", ("-a", "x={1}=2"), "{{1}=2}"),
            ("a/b\tc", (), "a/b\tc"),
        ):
            with self.subTest(key=key):
                done = self.cachify(
                    "lock", "run", "-k", key, *args, "--", "sh", "-c", 'printf %s "$CACHIFY_KEY"'
                )
                self.assertEqual(done.stdout, expected, done.stderr)

    def test_the_prefix_separates_keys(self):
        self.hold("lock", "run", "-k", "x", "--prefix", "a:")
        held = ("lock", "is-locked", "-k", "x", "--prefix")
        self.assertEqual(self.cachify(*held, "a:").returncode, 0)
        self.assertEqual(self.cachify(*held, "b:").returncode, 1)
        self.assertEqual(self.cachify(*held, "p" * 129).returncode, 64)

    def test_a_password_in_a_url_is_not_shown(self):
        for url in ("redis://user:geheim@host/x", "geheim", "x y:geheim", "GEHEIM:geheim"):
            done = self.refused("--store", url, *POOL, *TOUCH)
            self.assertNotIn("geheim", done.stderr.lower())


class Help(Case):
    def texts(self):
        verbs = [("pool", verb) for verb in ("run", "acquire", "release", "resize", "close", "open",
                                             "wait", "size")]  # fmt: skip
        verbs += [("lock", verb) for verb in ("run", "acquire", "release", "is-locked")]
        for topic in ((), ("pool",), ("lock",), *verbs):
            yield topic, self.cachify("help", *topic)

    def test_every_help_fits_80_columns_and_ends_with_two_examples(self):
        for topic, done in self.texts():
            with self.subTest(topic=topic):
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertTrue(all(len(line) <= 80 for line in done.stdout.splitlines()))
                self.assertEqual(done.stdout, done.stdout.rstrip() + "\n")
                examples = done.stdout.split("\nExamples:\n")[1].splitlines()
                self.assertEqual(len(examples), 2)
                self.assertTrue(all(line.startswith("  cachify ") for line in examples))

    def test_help_can_be_asked_for_everywhere(self):
        for topic, done in self.texts():
            for args in (
                (*topic, "--help"),
                (*topic, "-h"),
                ("-h", *topic),
                (*topic, "--help", "--", "false"),
                (*topic, "--store", "file:/nonexistent/x", "--help"),
            ):
                with self.subTest(args=args):
                    again = self.cachify(*args)
                    self.assertEqual((again.returncode, again.stdout), (0, done.stdout), again.stderr)

    def test_help_wins_over_bad_values_and_bad_configuration(self):
        expected = self.cachify("help", "pool", "run").stdout
        done = self.cachify("pool", "run", "--max", "x", "--help", env={"CACHIFY_TIMEOUT": "x"})
        self.assertEqual((done.returncode, done.stdout), (0, expected))

    def test_cachify_alone_is_wrong_use_with_the_help(self):
        done = self.cachify()
        self.assertEqual((done.returncode, done.stdout), (64, ""))
        self.assertEqual(done.stderr, self.cachify("help").stdout)

    def test_help_about_nothing_is_wrong_use(self):
        for args in (("help", "poool"), ("help", "pool", "walk"), ("help", "pool", "run", "x")):
            done = self.cachify(*args)
            self.assertEqual(done.returncode, 64)
            self.assert_one_message(done)

    def test_the_version_names_the_stores_and_tls(self):
        for args in (("--version",), ("pool", "run", "--version"), ("--version", "pool", "size")):
            done = self.cachify(*args)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertRegex(done.stdout, r"\Acachify \d+\.\d+\.\d+\nstores: file:, redis:, [^\n]+\nTLS: [^\n]+\n\Z")


class Looking(Case):
    def test_the_size_is_a_number(self):
        size = ("pool", "size", "--key", "jobs")
        self.assertEqual(self.cachify(*size).stdout, "0\n")
        holders = [self.hold("pool", "run", "-k", "jobs", "-n", "3") for _ in range(2)]
        self.assertEqual(self.cachify(*size).stdout, "2\n")
        for holder in holders:
            holder.finish()
        self.assertEqual(self.cachify(*size).stdout, "0\n")

    def test_the_size_as_json(self):
        self.hold("pool", "run", "-k", 'a"\n\\', "-n", "3")
        done = self.cachify("pool", "size", "-k", 'a"\n\\', "--json")
        told = json.loads(done.stdout)
        self.assertEqual((told["key"], told["max"], told["size"], told["free"]), ('a"\n\\', 3, 1, 2))
        self.assertEqual(done.stdout.count("\n"), 1)

    def test_a_key_that_is_no_utf8_still_gives_json(self):
        done = self.cachify("pool", "size", "-k", b"\xff\xfe", "--json")
        self.assertEqual(json.loads(done.stdout)["size"], 0, done.stderr)

    def test_below_answers_by_its_code(self):
        for _ in range(2):
            self.hold("pool", "run", "-k", "jobs", "-n", "3")
        for below, code in (("0", 75), ("2", 75), ("3", 0), ("2147483647", 0)):
            done = self.cachify("pool", "size", "-k", "jobs", "--below", below)
            self.assertEqual((done.returncode, done.stdout), (code, "2\n"), done.stderr)

    def test_below_a_share_is_of_what_the_callers_say(self):
        for below, code in (("50%", 0), ("0%", 75)):  # of a pool that nobody knows
            done = self.cachify("pool", "size", "-k", "jobs", "--below", below)
            self.assertEqual((done.returncode, done.stdout), (code, "0\n"), done.stderr)
        for _ in range(2):
            self.hold("pool", "run", "-k", "jobs", "-n", "4")
        for below, code in (("50%", 75), ("50.1%", 0), ("0%", 75), ("100%", 0)):
            done = self.cachify("pool", "size", "-k", "jobs", "--below", below)
            self.assertEqual((done.returncode, done.stdout), (code, "2\n"), below)

    def test_is_locked_answers_by_its_code_and_prints_nothing(self):
        def answer():
            done = self.cachify("lock", "is-locked", "--key", "x")
            self.assertEqual((done.stdout, done.stderr), ("", ""))
            return done.returncode

        self.assertEqual(answer(), 1)
        holder = self.hold("lock", "run", "--key", "x")
        self.assertEqual(answer(), 0)
        holder.finish()
        self.assertEqual(answer(), 1)
        self.hold("lock", "run", "--key", "x", "--shared")
        self.assertEqual(answer(), 0)


class StandardOutput(Case):
    def test_a_full_disk_is_an_error(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            for args in (("pool", "size", "-k", "x"), ("--help",), ("--version",)):
                done = self.cachify(*args, stdout=full)
                self.assertEqual(done.returncode, 71)
                self.assertRegex(done.stderr, r"\Acachify: [^\n]*No space left on device\n\Z")

    def test_a_closed_standard_output_is_an_error_and_no_state_file_takes_its_place(self):
        holder = self.hold("pool", "run", "-k", "x", "-n", "1")
        self.assertEqual(self.cachify("pool", "size", "-k", "x").stdout, "1\n")
        before = {path: path.read_bytes() for path in self.path("store").iterdir()}
        done = self.run_program(["sh", "-c", '"$0" pool size -k x >&-', CACHIFY])
        self.assertEqual(done.returncode, 71, done.stderr)
        for path, content in before.items():
            self.assertEqual(path.read_bytes(), content)
        done = self.run_program(["sh", "-c", '"$0" -v pool run -k x -n1 -- true 2>&-', CACHIFY])
        self.assertEqual(done.returncode, 75)
        for path in before:
            self.assertNotIn(b"cachify: x is full", path.read_bytes())
        self.assertEqual(holder.finish(3), 3)

    def test_the_command_finds_closed_descriptors_closed(self):
        script = '"$0" lock run -k x -- sh -c \'for n in 0 1 2; do test -e /proc/self/fd/$n; echo $? >&3; done\''
        done = self.run_program(["sh", "-c", f"{script} 3>&1 <&- >&- 2>&-", CACHIFY])
        # `test` is built in, and the shell it runs in opens nothing.
        self.assertEqual(done.stdout, "1\n1\n1\n", done.stderr)

    def test_a_reader_that_left_ends_it_as_any_tool(self):
        reader, writer = os.pipe()
        os.close(reader)
        process = self.start(
            "help", stdout=writer, preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        )
        os.close(writer)
        self.assertEqual(process.wait(30), -signal.SIGPIPE)

    def test_a_reader_of_messages_that_left_ends_nothing(self):
        reader, writer = os.pipe()
        os.close(reader)
        self.hold("pool", "run", "-k", "x", "-n", "1")
        process = self.start(
            *("pool", "run", "-k", "x", "-n", "1", "-E", "9", "--", "true"),
            stderr=writer,
            preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL),
        )
        os.close(writer)
        self.assertEqual(process.wait(30), 9)

    def test_messages_go_to_standard_error_only(self):
        self.hold("pool", "run", "-k", "x", "-n", "1")
        for switch, lines in (("-q", 0), ("--verbose", 2)):
            done = self.cachify(switch, "pool", "run", "-k", "x", "-n1", "--", "true")
            self.assertEqual((done.returncode, done.stdout), (75, ""))
            self.assertGreaterEqual(len(done.stderr.splitlines()), lines)
            if lines == 0:
                self.assertEqual(done.stderr, "")


class EmptyArgv(unittest.TestCase):
    def test_an_empty_argument_list_is_wrong_use(self):
        launcher = "import ctypes,sys; ctypes.CDLL(None).execve(sys.argv[1].encode(), (ctypes.c_char_p*1)(), (ctypes.c_char_p*1)())"
        done = subprocess.run(
            ["python3", "-c", launcher, CACHIFY], capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual(done.returncode, 64, done.stderr)


if __name__ == "__main__":
    main()
