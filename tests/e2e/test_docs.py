"""The manual pages and the completions name the options that the help texts have, and no others."""

import re
import shutil
import subprocess
import unittest
from pathlib import Path

from support import CACHIFY, main

ROOT = Path(__file__).resolve().parents[2]
VERBS = ("pool run", "pool map", "pool acquire", "pool release", "pool resize", "pool close", "pool open",
         "pool wait", "pool size", "pool status", "pool list",
         "lock run", "lock acquire", "lock release", "lock is-locked", "lock status", "lock list",
         "resource run", "resource status", "resource add", "resource remove", "resource stop",
         "doctor")  # fmt: skip
SETTINGS = ("STORE PREFIX PROFILE CONFIG SLOT_EXP EXP TIMEOUT ON_LOST KILL_AFTER CONFLICT_EXIT_CODE"
            " QUIET VERBOSE REDIS_PASSWORD").split()  # fmt: skip
GIVEN = "KEY MAX SLOT ID FENCE WAITED RESOURCE SERIAL".split()
PAGES = sorted((ROOT / "man").glob("*.[1-8]"))


def help_of(topic):
    done = subprocess.run(
        [CACHIFY, "help", *topic.split()], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def options_of(topic):
    """{long: (short, value)} as the help text lists them."""
    found = re.findall(r"^  (?:-(\w), |    )--([\w-]+)(?: (\S+))?(?:  .*)?$", help_of(topic), re.M)
    return {long: (short, value) for short, long, value in found}


def page_of(topic):
    """The name of the manual page that the help text points to."""
    return re.search(r"^Manual: man (\S+)$", help_of(topic), re.M)[1]


def words_of(topic):
    """The options of a topic as one writes them."""
    options = options_of(topic)
    return {f"--{long}" for long in options} | {f"-{short}" for short, _ in options.values() if short}


def values_of(topic):
    """{long: the words that can be its value}, of those that have such: none in DURATION|none."""
    listed = {long: re.findall(r"\b[a-z]+\b", value) for long, (_, value) in options_of(topic).items()}
    if "timeout" in listed:
        listed["timeout"] = ["none"]  # the text beside it says so
    return {long: words for long, words in listed.items() if words}


def verbs_of(noun):
    return {topic.split()[1] for topic in VERBS if topic.startswith(f"{noun} ")}


NOUNS = ("pool", "lock", "resource")


class Docs(unittest.TestCase):
    maxDiff = None

    def test_the_help_lists_the_verbs(self):
        listed = re.findall(r"^  (\w+(?: [\w-]+)?)  ", help_of(""), re.M)
        self.assertEqual(sorted(listed), sorted([*VERBS, "help"]))

    def test_the_values_are_understood_here(self):
        self.assertEqual(values_of("pool wait"), {"until": ["free", "empty", "idle"], "timeout": ["none"]})
        self.assertEqual(values_of("pool map")["halt"], ["never", "soon", "now"])

    def test_the_help_is_understood_here(self):
        self.assertEqual(options_of("pool run")["max"], ("n", "N"))
        self.assertEqual(options_of("pool run")["slot-exp"], ("", "DURATION|none"))
        self.assertEqual(options_of("")["quiet"], ("q", ""))


class Manual(unittest.TestCase):
    maxDiff = None

    def source(self, name):
        return (ROOT / "man" / name).read_text(encoding="ascii")

    def listed(self, name):
        """{long: (short, value)} of a page's lists."""
        listed = {}
        for line in re.findall(r"^\.It (Fl .*)$", self.source(name), re.M):
            found = re.fullmatch(r"(?:Fl (\w) , )?Fl -([\w-]+)(?: Ar (\S+))?", line)
            self.assertTrue(found, line)
            self.assertNotIn(found[2], listed)
            listed[found[2]] = (found[1] or "", found[3] or "")
        return listed

    def test_the_overview_has_the_options_of_every_command(self):
        self.assertEqual(self.listed("cachify.1"), options_of(""))

    def test_each_page_has_the_options_of_its_verbs_as_the_help_has_them(self):
        everywhere = options_of("")
        wanted = {page_of(topic): {} for topic in VERBS}
        for topic in VERBS:
            for long, row in options_of(topic).items():
                if long not in everywhere:
                    wanted[page_of(topic)][long] = row
        for page, options in wanted.items():
            with self.subTest(page=page):
                self.assertEqual(self.listed(f"{page}.1"), options)

    def test_they_speak_of_no_other_options(self):
        known = set().union(*(words_of(topic) for topic in VERBS)) | {"--", "--option"}
        for page in PAGES:
            for dashed in re.findall(r"\bFl (-?[\w-]*)", page.read_text(encoding="ascii")):
                self.assertIn(f"-{dashed}", known, page.name)

    def test_every_verb_is_in_the_overview_and_in_the_page_that_its_help_names(self):
        overview = re.findall(r"^\.It Cm (.*)$", self.source("cachify.1"), re.M)
        overview = [name for line in overview for name in line.split(" , ")]
        self.assertEqual(sorted(overview), sorted(VERBS))
        for topic in VERBS:
            synopsis = self.source(f"{page_of(topic)}.1").split(".Sh ")[2]
            self.assertIn(f".Cm {topic}\n", synopsis)

    def test_they_have_every_variable(self):
        for page in PAGES:
            named = re.findall(r"\bCACHIFY_([A-Z]\w+)", page.read_text(encoding="ascii"))
            self.assertLessEqual(set(named), {*SETTINGS, *GIVEN}, page.name)
        overview = re.findall(r"Ev CACHIFY_(\w+)", self.source("cachify.1"))
        self.assertEqual(sorted(set(overview)), sorted([*SETTINGS, *GIVEN]))

    def test_the_page_of_the_file_has_every_setting_and_no_other(self):
        source = self.source("cachify.toml.5")
        listed = dict(re.findall(r"^\.It Ic (\S+) No = .* Pq Ev CACHIFY_(\w+)$", source, re.M))
        self.assertEqual(listed, {name.lower().replace("_", "-"): name for name in SETTINGS
                                  if name not in ("PROFILE", "CONFIG")})  # fmt: skip
        for resource in re.findall(r"^\.It Ic ([^=]*) No =", source.split(".Sh RESOURCES")[1], re.M):
            for name in resource.split(" , "):
                self.assertIn(name, {"from", *options_of("resource run")})

    def test_every_help_names_a_page_that_is_there(self):
        topics = ("", "pool", "lock", "resource", *VERBS)
        self.assertLessEqual({f"{page_of(topic)}.1" for topic in topics}, {page.name for page in PAGES})
        for page in PAGES:
            for name, section in re.findall(r"^\.Xr (cachify\S*) (\d)", page.read_text(encoding="ascii"), re.M):
                self.assertTrue((ROOT / f"man/{name}.{section}").exists(), f"{page.name}: {name}")

    def test_only_the_overview_may_leave_out_the_name(self):
        for page in PAGES:  # .Nm alone is the name of the page
            if page.name != "cachify.1":
                self.assertNotRegex(page.read_text(encoding="ascii"), r"(?m)\bNm( Ns.*)?$", page.name)

    def test_each_begins_with_examples(self):
        for page in PAGES:
            headings = re.findall(r"^\.Sh (.*)$", page.read_text(encoding="ascii"), re.M)
            if page.name != "cachify-guarantees.7":
                self.assertEqual(headings[:3], ["NAME", "SYNOPSIS", "QUICK EXAMPLES"], page.name)
            self.assertEqual(headings[-1], "SEE ALSO")


class Guarantees(unittest.TestCase):
    source = (ROOT / "man/cachify-guarantees.7").read_text(encoding="ascii")

    def test_each_names_tests_that_are_there(self):
        guarantees = re.split(r"^\.Sh \d\. .*$", self.source, flags=re.M)[1:]
        self.assertEqual(len(guarantees), 8)
        for text in guarantees:
            tests = re.findall(r"^\.P[aq] (?:Pa )?(tests/\S+)", text[text.index(".It Tested") :], re.M)
            self.assertTrue(tests, text)
        for named in re.findall(r"\bPa (\S+)", self.source):
            self.assertTrue((ROOT / named).exists(), named)


class Bash(unittest.TestCase):
    maxDiff = None
    file = ROOT / "completions/cachify.bash"

    def bash(self, script, *args):
        done = subprocess.run(
            ["bash", "--norc", "-c", f'. "$0"; {script}', self.file, *args],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def complete(self, *words):
        """What is offered for the last word."""
        script = (
            'COMP_LINE=$1; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _cachify;'
            ' printf "%s\\n" "${COMPREPLY[@]}"'
        )
        line = " ".join(words).replace(" = ", "=").replace(" =", "=")
        return set(self.bash(script, line, *words))

    def test_it_has_the_options_of_every_verb(self):
        for topic in VERBS:
            with self.subTest(topic=topic):
                listed = self.bash('_cachify_options "$1"', topic)
                self.assertEqual(sorted(listed), sorted(words_of(topic)))

    def test_it_knows_which_options_take_a_value(self):
        for topic in VERBS:
            for long, (short, value) in options_of(topic).items():
                for word in [f"--{long}"] + ([f"-{short}"] if short else []):
                    answer = self.bash(
                        '_cachify_values "$1" "" "$2" && echo yes || echo no', word, topic
                    )
                    self.assertEqual(answer[-1], "yes" if value else "no", word)

    def test_it_completes_nouns_verbs_options_and_values(self):
        for words, expected in (
            (("cachify", ""), {"pool", "lock", "resource", "doctor", "help"}),
            (("cachify", "-q", "--store", "x", "p"), {"pool"}),
            (("cachify", "pool", ""), {"run", "map", "size", "status", "list", "acquire", "release",
                                      "resize", "close", "open", "wait"}),
            (("cachify", "help", "lock", ""), {"run", "is-locked", "status", "list",
                                              "acquire", "release"}),
            (("cachify", "doctor", "--j"), {"--json"}),
            (("cachify", "pool", "run", "--sl"), {"--slot-exp"}),
            (("cachify", "lock", "run", "--on-lost", ""), {"warn", "term", "kill"}),
            (("cachify", "lock", "run", "--on-lost", "=", "t"), {"term"}),
            (("cachify", "pool", "wait", "--until", ""), {"free", "empty", "idle"}),
            (("cachify", "lock", "run", "--on-lost", "="), {"warn", "term", "kill"}),
            (("cachify", "lock", "run", "-k", "x", "-t", "n"), {"none"}),
            (("cachify", "lock", "run", "--sha"), {"--shared"}),
            (("cachify", "pool", "map", "-k", "--dr"), {"--dry-run"}),
            (("cachify", "pool", "map", "--halt", ""), {"never", "soon", "now"}),
        ):
            with self.subTest(words=words):
                self.assertEqual(self.complete(*words), expected)

    def test_it_has_every_verb_and_every_value(self):
        for noun in NOUNS:
            self.assertEqual(self.complete("cachify", noun, ""), verbs_of(noun))
            self.assertEqual(self.complete("cachify", "help", noun, ""), verbs_of(noun))
        for topic in VERBS:
            for long, words in values_of(topic).items():
                with self.subTest(topic=topic, option=long):
                    self.assertEqual(self.complete("cachify", *topic.split(), f"--{long}", ""), set(words))

    def test_behind_the_dashes_it_completes_commands(self):
        self.assertIn("true", self.complete("cachify", "lock", "run", "-k", "x", "--", "tru"))


class Zsh(unittest.TestCase):
    maxDiff = None
    source = (ROOT / "completions/_cachify").read_text(encoding="ascii")

    def array(self, name):
        """{long: (short, has a value)} of an array, those it includes being part of it."""
        body = re.search(rf"^{name}=\((.*?)\)$", self.source.replace("\n)", ")"), re.M | re.S)[1]
        result = {}
        for other in re.findall(r"\$(\w+)", body):
            result.update(self.array(other))
        for line in body.splitlines():
            pair = re.match(r"\s+'[^']*'\{-(\w)(\+?),--([\w-]+)(=?)\}", line)
            single = re.match(r"\s+'--([\w-]+)(=?)\[", line)
            if pair:
                self.assertEqual(bool(pair[2]), bool(pair[4]), line)
                result[pair[3]] = (pair[1], bool(pair[4]))
            elif single:
                result[single[1]] = ("", bool(single[2]))
        return result

    def test_it_has_the_options_of_every_verb(self):
        for topic in VERBS:
            with self.subTest(topic=topic):
                listed = self.array(re.sub("[ -]", "_", topic))
                listed.update(self.array("global_options"))
                wanted = {long: (short, bool(value)) for long, (short, value) in options_of(topic).items()}
                self.assertEqual(listed, wanted)

    def values(self, name):
        """{long: words} of an array, those it includes being part of it."""
        body = re.search(rf"^{name}=\((.*?)\)$", self.source, re.M | re.S)[1]
        result = {}
        for other in re.findall(r"\$(\w+)", body):
            result.update(self.values(other))
        for line in body.splitlines():
            found = re.search(r"--([\w-]+)=.*:\(([a-z ]+)\)'", line)
            if found:
                result[found[1]] = found[2].split()
        return result

    def test_it_has_every_verb_and_every_value(self):
        for noun in NOUNS:
            listed = re.search(rf"^ +{noun}\) _values verb ((?:.*\n)*?.*);;", self.source, re.M)[1]
            self.assertEqual(set(re.findall(r"'([\w-]+)\[", listed)), verbs_of(noun))
        for topic in VERBS:
            with self.subTest(topic=topic):
                self.assertEqual(self.values(re.sub("[ -]", "_", topic)), values_of(topic))

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh_can_read_it(self):
        subprocess.run(["zsh", "-n", ROOT / "completions/_cachify"], timeout=60, check=True)


class Fish(unittest.TestCase):
    maxDiff = None
    file = ROOT / "completions/cachify.fish"
    source = file.read_text(encoding="ascii")

    def options(self, topic):
        """{long: (short, has a value)} of the lines whose condition holds for the topic."""
        result = {}
        verbs = []
        for line in self.source.splitlines():
            if line.startswith("for verb in "):
                verbs = re.findall(r"'([^']*)'", line)
            elif line == "end":
                verbs = []
            found = re.match(r"""\s*complete -c cachify -n (['"])(.*?)\1 (?:-s (\w) )?-l ([\w-]+)( -[xr])?""", line)
            if not found:
                continue
            condition = found[2]
            topics = verbs if "$verb" in condition else [condition.removeprefix("__cachify_in ")]
            if topic in topics or condition == "not __cachify_in_command":
                result[found[4]] = (found[3] or "", bool(found[5]))
        return result

    def test_it_has_the_options_of_every_verb(self):
        for topic in VERBS:
            with self.subTest(topic=topic):
                wanted = {long: (short, bool(value)) for long, (short, value) in options_of(topic).items()}
                self.assertEqual(self.options(topic), wanted)

    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_it_has_every_verb_and_every_value(self):
        lines = {("cachify", noun): verbs_of(noun) for noun in NOUNS}
        lines.update({("cachify", "help", noun): verbs_of(noun) for noun in NOUNS})
        for topic in VERBS:
            for long, words in values_of(topic).items():
                lines[("cachify", *topic.split(), f"--{long}")] = set(words)
        script = 'source $argv[1]; for line in $argv[2..-1]; echo "> $line"; complete -C "$line "; end'
        done = subprocess.run(
            ["fish", "--no-config", "-c", script, self.file, *map(" ".join, lines)],
            capture_output=True, text=True, timeout=60, check=True)  # fmt: skip
        offers = {}
        for line in done.stdout.splitlines():
            if line.startswith("> "):
                offered = offers[line[2:]] = set()
            else:
                offered.add(line.split("\t")[0])
        self.assertEqual(offers, {" ".join(words): expected for words, expected in lines.items()})

    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_fish_can_read_it(self):
        subprocess.run(["fish", "--no-execute", ROOT / "completions/cachify.fish"], timeout=60, check=True)


if __name__ == "__main__":
    main()
