"""What people expect of any Unix tool: colours, languages, output that goes nowhere, near misses."""

import os
import pty
import re
import signal
import subprocess

from support import CACHIFY, Case, is_waiting, main, on_every_store, wait_until

# Each prints something on standard output; {id}: that of a holder.
PRINTING = (
    "--help",
    "--version",
    "help",
    "help pool",
    "help pool run",
    "pool run --help",
    "pool size -k held",
    "pool size -k held --json",
    "pool size -k held --below 9",
    "pool status -k held",
    "pool status -k held --json",
    "pool status -k held --watch",
    "pool list",
    "pool list --json",
    "pool wait -k other --until free",
    "pool acquire -k other -n 1",
    "pool map --key other -n 1 --dry-run -- echo",
    "pool map --key other -n 1 -- echo",
    "pool map --key other -n 1 -k --tag -- echo",
    "pool status -k held --json --watch",
    "lock status -k held",
    "lock status -k held --json",
    "lock status -k held --watch",
    "lock list",
    "lock list --json",
    "lock acquire -k other",
    "resource status -k other",
    "resource status -k other --json",
    "doctor",
    "doctor --json",
)
# These have nothing to say on standard output, and so do not care where it goes.
SILENT = (
    "pool run -k other -n 1 -- true",
    "lock run -k other -- true",
    "lock is-locked -k held",
    "pool resize -k other --max 2",
    "pool resize -k other --unset",
    "pool close -k other",
    "pool open -k other",
    "pool release -k held --all",
    "lock release -k held",
    "resource run -k phones --from a,b -- true",
    "resource add -k phones --name c",
    "resource remove -k phones --name c",
    "resource stop -k phones",
)


@on_every_store
class Output(Case):
    def setUp(self):
        super().setUp()
        self.hold("pool", "run", "-k", "held", "-n", "2")
        self.hold("lock", "run", "-k", "held")

    def each(self, calls=PRINTING, **options):
        """(words, CompletedProcess) of every call that prints."""
        items = self.write("items", "item\n")
        for call in calls:
            with self.subTest(call=call), open(items, encoding="ascii") as stdin:
                yield call, self.cachify(*call.split(), stdin=stdin, **options)

    def assert_nothing_is_left(self):
        for noun in ("pool", "lock"):
            done = self.cachify(noun, "status", "-k", "other", "--json")
            self.assertIn('"holders":[]', done.stdout)

    def test_all_of_them_print(self):
        for _, done in self.each([call for call in PRINTING if "--watch" not in call]):
            # A test server is nothing that doctor would recommend.
            self.assertIn(done.returncode, (0, 1) if "doctor" in done.args else (0,), done.stderr)
            self.assertTrue(done.stdout.endswith("\n"), done.stdout)
            self.cachify("pool", "release", "-k", "other", "--all")
            self.cachify("lock", "release", "-k", "other")

    def test_a_full_disk_is_told(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            for call, done in self.each(stdout=full):
                self.assertEqual(done.returncode, 71, done.stderr)
                self.assertRegex(done.stderr, r"\Acachify: [^\n]*No space left on device[^\n]*\n\Z")
        self.assert_nothing_is_left()

    def test_what_prints_nothing_does_not_care(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            for call, done in self.each(SILENT, stdout=full):
                self.assertEqual((done.returncode, done.stderr.count("\n") > 1), (0, False), f"{call}: {done.stderr}")

    def test_every_verb_is_looked_at(self):
        listed = re.findall(r"^  (\w+(?: [\w-]+)?)  ", self.cachify("help").stdout, re.M)
        for verb in listed:
            calls = [call for call in PRINTING + SILENT if call.startswith(verb)]
            self.assertTrue(calls, verb)

    def test_a_closed_standard_output_is_told(self):
        for call in PRINTING:
            with self.subTest(call=call):
                script = 'exec "$0" "$@" >&- <items'
                self.write("items", "item\n")
                done = self.run_program(["sh", "-c", script, CACHIFY, *call.split()])
                self.assertEqual(done.returncode, 71, done.stderr)
                self.assertRegex(done.stderr, r"\Acachify: [^\n]*Bad file descriptor[^\n]*\n\Z")
        self.assert_nothing_is_left()

    def test_messages_that_cannot_be_written_change_no_code(self):
        for call, code in (("pool run -k held -n 1 -- true", 75), ("lock run -k held -t 1ms -- true", 124),
                           ("lock release -k x", 1), ("pool size", 64), ("pool size -k x --config /no/file", 78),
                           ("lock run -k other -- no-such-program", 127), ("pool resize -k other -n 3", 0)):  # fmt: skip
            for where in (">/dev/full", ">&-"):
                with self.subTest(call=call, where=where):
                    done = self.run_program(["sh", "-c", f'exec "$0" "$@" 2{where}', CACHIFY, *call.split()])
                    self.assertEqual((done.returncode, done.stdout), (code, ""))

    def test_an_output_that_does_not_block_gets_all_of_it(self):
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b"x" * 65536)
        except BlockingIOError:
            pass
        process = self.start("help", "pool", "run", stdout=writer)
        os.close(writer)
        wait_until(lambda: is_waiting(process.pid), "it waits for room")
        with os.fdopen(reader, "rb") as pipe:
            text = pipe.read().lstrip(b"x")
        self.assertEqual((process.wait(60), text.decode()), (0, self.cachify("help", "pool", "run").stdout))

    def test_a_closed_pipe_ends_it_as_it_ends_others(self):
        for how, code in (("DFL", -signal.SIGPIPE), ("IGN", 71)):
            reader, writer = os.pipe()
            os.close(reader)
            try:
                for call, done in self.each(
                    stdout=writer,
                    restore_signals=how == "DFL",
                ):
                    if "pool map" in call and "--dry-run" not in call:
                        # It ends its runs first, and then as from the signal in any case.
                        self.assertEqual(done.returncode, -signal.SIGPIPE, done.stderr)
                        continue
                    self.assertEqual(done.returncode, code, f"{call}: {done.stderr}")
                    if code == 71:
                        self.assertRegex(done.stderr, r"\Acachify: [^\n]*Broken pipe[^\n]*\n\Z")
            finally:
                os.close(writer)
            self.assert_nothing_is_left()

    def on_terminal(self, *args, react=None, **env):
        """What a terminal gets. `react` is called with all that came so far, each time."""
        master, slave = pty.openpty()
        process = self.start(*args, stdout=slave, stderr=slave, env={"TERM": "xterm-256color", **env})
        os.close(slave)
        text = b""
        try:
            while part := os.read(master, 65536):
                text += part
                if react:
                    react(text)
        except OSError:  # the last one has closed it
            pass
        os.close(master)
        self.assertEqual(process.wait(60), 0, text)
        return text

    def test_a_progress_bar_is_for_terminals_that_can_draw(self):
        items = self.write("items", "item\n")
        call = ("pool", "map", "--key", "other", "-n", "1", "--progress", "--input", str(items), "--", "sh", "-c")
        drawn = self.dir / "drawn"
        self.on_terminal(
            *call, "while [ ! -e drawn ]; do sleep 0.01; done",
            react=lambda text: drawn.touch() if b"\r\x1b[K" in text else None,
        )  # fmt: skip
        for term in ("dumb", ""):
            text = self.on_terminal(*call, "true", TERM=term)
            self.assertNotIn(b"\x1b", text)
            self.assertIn(b"1 done", text)

    def test_colours_are_for_terminals_that_want_them(self):
        status = ("pool", "status", "-k", "held")
        self.assertIn(b"\x1b[", self.on_terminal(*status))
        for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}):
            text = self.on_terminal(*status, **env)
            self.assertNotIn(b"\x1b", text, env)
            self.assertIn(b"1 of 2 slots in use", text)
        self.assertIn(b"\x1b[", self.on_terminal(*status, NO_COLOR=""))  # empty: as if not set
        self.assertNotIn("\x1b", self.cachify(*status, env={"TERM": "xterm"}).stdout)

    def test_the_language_changes_nothing(self):
        for args in (("help",), ("doctor",), ("pool", "size", "-k", "held", "--json")):
            texts = set()
            for locale in (None, "C", "C.UTF-8", "de_DE.UTF-8", "tr_TR.UTF-8", "no-such"):
                done = self.cachify(*args, env={"LC_ALL": locale, "LANG": locale})
                self.assertEqual(done.stderr, "")
                texts.add(re.sub(r"\d[\d.]*", "N", done.stdout))
            self.assertEqual(len(texts), 1, texts)
        waited = self.cachify("pool", "wait", "-k", "x", "--until", "idle", env={"LC_ALL": "de_DE.UTF-8"})
        self.assertRegex(waited.stdout, r"\A\d+(\.\d+)?\n\Z")

    def test_names_are_the_same_bytes_in_every_language(self):
        self.hold("lock", "run", "-k", "K\u00f6ln\u4e2d")
        for locale in ("C", "POSIX", "C.UTF-8", "de_DE.ISO-8859-1"):
            done = self.cachify("lock", "list", env={"LC_ALL": locale})
            self.assertIn("K\u00f6ln\u4e2d", done.stdout)
            refused = self.cachify("lock", "run", "-k", "K\u00f6ln\u4e2d", "--", "true", env={"LC_ALL": locale})
            self.assert_one_message(refused, "K\u00f6ln\u4e2d is already locked!")

    def test_a_shell_pipeline_that_reads_one_line_sees_no_message(self):
        done = self.run_program(["sh", "-c", '"$0" help pool run | head -n 1', CACHIFY])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue(done.stdout.startswith("Usage: "))


class Words(Case):
    def test_a_near_miss_is_named(self):
        for words, near in (
            ("pol", "pool"), ("locks", "lock"), ("docter", "doctor"), ("hlep", "help"),
            ("pool rnu", "run"), ("pool stat", "status"), ("pool lst", "list"), ("lock islocked", "is-locked"),
            ("lock aquire", "acquire"), ("pool relase", "release"), ("resource stauts", "status"),
            ("pool size --kye x", "--key"), ("lock run --shraed -k x -- true", "--shared"),
            ("run", "pool run, lock run or resource run"), ("is-locked", "lock is-locked"),
            ("help pol", "pool"), ("help pool rnu", "run"), ("pool rnu --help", "run"),
            ("pool wait -k x --untill idle", "--until"), ("lock run --time 5 -k x -- true", "--timeout"),
        ):  # fmt: skip
            with self.subTest(words=words):
                done = self.cachify(*words.split())
                self.assertEqual(done.returncode, 64)
                self.assert_one_message(done, f"did you mean {near}?")

    def test_a_word_too_many_is_told_what_it_may_be(self):
        for words, told in (("pool run -k x ls", "-- must stand before COMMAND"), ("pool size jobs", "--key KEY"),
                            ("pool list jobs", "cachify pool status --key"), ("lock release deploy", "--key KEY"),
                            ("doctor x", "cachify help doctor"), ("help pool run x", "see cachify help")):  # fmt: skip
            done = self.cachify(*words.split())
            self.assertEqual(done.returncode, 64)
            self.assert_one_message(done, f"unexpected '{words.split()[-1]}'; ", told)

    def test_what_is_near_nothing_is_told_where_to_look(self):
        for words, where in (("frobnicate", ""), ("pool frobnicate", ""), ("pool", " pool"), ("lock", " lock"),
                             ("lock run --max 3 -k x -- true", " lock run"), ("pool size -k x -z", " pool size"),
                             ("--max 3 pool run -k x -- true", "")):  # fmt: skip
            done = self.cachify(*words.split())
            self.assertEqual(done.returncode, 64)
            self.assertRegex(done.stderr, rf"\Acachify: [^\n]*see cachify help{where}\n\Z")

    def test_alone_it_is_the_help_and_wrong_use(self):
        done = self.cachify()
        self.assertEqual((done.returncode, done.stdout, done.stderr), (64, "", self.cachify("help").stdout))

    def test_help_about_a_verb_that_one_noun_has_needs_no_noun(self):
        for verb, command in (("map", "pool map"), ("is-locked", "lock is-locked"), ("stop", "resource stop")):
            self.assertEqual(self.cachify("help", verb).stdout, self.cachify("help", *command.split()).stdout)
        done = self.cachify("help", "release")
        self.assertEqual(done.returncode, 64)
        self.assert_one_message(done, "did you mean pool release or lock release?")

    def test_the_help_fits_a_terminal(self):
        listed = re.findall(r"^  (\w+(?: [\w-]+)?)  ", self.cachify("help").stdout, re.M)
        for topic in ("", "pool", "lock", "resource", *listed):
            done = subprocess.run(
                [CACHIFY, "help", *topic.split()], capture_output=True, text=True, timeout=60, check=False
            )
            if topic == "help":
                continue
            self.assertEqual(done.returncode, 0, topic)
            self.assertLessEqual(max(map(len, done.stdout.splitlines())), 80, topic)
            self.assertRegex(done.stdout, r"\nExamples:\n  \S.*\n  \S.*\n\Z", topic)


if __name__ == "__main__":
    main()
