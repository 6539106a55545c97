"""Random command lines never crash, hang, or start a command by mistake.

Each is judged by a reading of the grammar that is independent of cachify's. Replay a run with
CACHIFY_TEST_SEED, make it longer with CACHIFY_TEST_COUNT.
"""

import os
import random
import re
import shutil
import sys

from support import Case, main

SEED = int(os.environ.get("CACHIFY_TEST_SEED", random.SystemRandom().randrange(2**32)))
COUNT = int(os.environ.get("CACHIFY_TEST_COUNT", 2000))

# --- the grammar, read once more ----------------------------------------------------------------

LARGEST = 2**31 - 1


def number(low, high):
    return lambda text: bool(re.fullmatch(r"-?[0-9]{1,30}", text)) and low <= int(text) <= high


def duration(none=False, zero=True):
    def fits(text):
        if text == "none":
            return none
        found = re.fullmatch(r"([0-9]*)(\.[0-9]+)?(ms|s|m|h|d)?", text)
        if not found or not (found[1] or found[2]):
            return False
        return zero or bool(re.search("[1-9]", text))

    return fits


def occupancy(text):
    if text.endswith("%"):
        return bool(re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", text[:-1])) and float(text[:-1]) <= 100
    return number(0, LARGEST)(text)


def anything(_):
    return True


def filled(text):
    return text != ""


FLAG = None
GLOBAL = {
    "store": ("", filled),
    "prefix": ("", lambda text: len(text) <= 128),
    "profile": ("", filled),
    "config": ("", filled),
    "quiet": ("q", FLAG),
    "verbose": ("v", FLAG),
    "version": ("", FLAG),
    "help": ("h", FLAG),
}
KEY = {
    "key": ("k", anything),
    "arg": ("a", lambda text: bool(re.match(r"[A-Za-z_][A-Za-z0-9_]*=", text))),
}
RUN = {
    **KEY,
    "wait": ("w", FLAG),
    "timeout": ("t", duration(none=True)),
    "conflict-exit-code": ("E", number(0, 255)),
    "on-full": ("", lambda text: bool(text.strip(" \t\n"))),
    "priority": ("", number(-100, 100)),
    "queue-max": ("", number(0, LARGEST)),
    "replace": ("", lambda text: text in ("running", "waiting", "both")),
    "on-lost": ("", lambda text: text in ("warn", "term", "kill")),
    "kill-after": ("", duration()),
    "group": ("g", FLAG),
    "no-inherit": ("", FLAG),
}
VERBS = {
    ("pool", "run"): {
        **RUN,
        "max": ("n", number(1, LARGEST)),
        "weight": ("", number(1, LARGEST)),
        "slot-exp": ("", duration(none=True, zero=False)),
        "shed-at": ("", occupancy),
    },
    ("lock", "run"): {
        **RUN,
        "weight": ("", number(1, 1)),
        "exp": ("", duration(none=True, zero=False)),
        "shared": ("s", FLAG),
    },
    ("pool", "size"): {**KEY, "json": ("", FLAG), "below": ("", occupancy)},
    ("lock", "is-locked"): KEY,
    ("pool", "status"): {**KEY, "json": ("", FLAG)},
    ("lock", "status"): {**KEY, "json": ("", FLAG)},
    # resize and close would change what comes of later lines; acquire holds over them.
    ("pool", "open"): KEY,
    ("pool", "wait"): {
        **KEY,
        "until": ("", lambda text: text in ("free", "empty", "idle")),
        "timeout": ("t", duration(none=True)),
    },
    ("pool", "release"): {**KEY, "id": ("", bool), "all": ("", FLAG), "terminate": ("", FLAG)},
    ("lock", "release"): {**KEY, "id": ("", bool), "terminate": ("", FLAG)},
    # run leaves something behind for later lines; add as well.
    ("resource", "status"): {**KEY, "json": ("", FLAG)},
    ("resource", "stop"): KEY,
    ("resource", "remove"): {**KEY, "name": ("", lambda text: bool(text.strip(" \t\r")) and "\n" not in text)},
    ("pool", "list"): {"json": ("", FLAG)},
    ("lock", "list"): {"json": ("", FLAG)},
}
NOUNS = {noun for noun, _ in VERBS}


class Wrong(Exception):
    """The code that the call has to end with; no command is started."""


def require(fact, code=64):
    if not fact:
        raise Wrong(code)


def read(words, table):
    """[(name, value)] of words that are all options and their values."""
    given = []
    words = list(words)
    letters = {letter: name for name, (letter, _) in table.items() if letter}
    while words:
        word = words.pop(0)
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word[2:].partition("=")
            require(name in table)
            if table[name][1] is FLAG:
                require(not equals)
                value = None
            elif not equals:
                require(words)
                value = words.pop(0)
            given.append((name, value))
        else:
            require(word.startswith("-") and len(word) > 1 and word != "--")
            rest = word[1:]
            while rest:
                letter, rest = rest[0], rest[1:]
                require(letter in letters)
                value = None
                if table[letters[letter]][1] is not FLAG:
                    if not rest:
                        require(words)
                    value = rest or words.pop(0)
                    rest = ""
                given.append((letters[letter], value))
    return given


def is_option(word):
    return word.startswith("-") and len(word) > 1


def split(words):
    """The words before the noun, the nouns, the words behind."""
    before = []
    words = list(words)
    while words and is_option(words[0]):
        word = words.pop(0)
        before.append(word)
        letters = {letter: name for name, (letter, _) in GLOBAL.items() if letter}
        takes = word[2:] in GLOBAL and GLOBAL[word[2:]][1] if word.startswith("--") else None
        assert all(GLOBAL[name][1] is FLAG for name in letters.values())
        if takes and words:
            before.append(words.pop(0))
    read(before, GLOBAL)
    nouns = []
    most = 3 if words[:1] == ["help"] else 2
    while words and len(nouns) < most and not is_option(words[0]):
        nouns.append(words.pop(0))
    return before, nouns, words


def check_keys(given, command, several):
    formats = [value for name, value in given if name == "key"]
    require(formats and (several or len(formats) == 1))
    named = dict(value.split("=", 1) for name, value in given if name == "arg")

    def field(found):
        text = found[0]
        if text in ("{{", "}}"):
            return text[0]
        name = text[1:-1]
        if re.fullmatch("[0-9]+", name):
            require(int(name) < len(command))
            return command[int(name)]
        require(len(text) > 1 and name in named)
        return named[name]

    # Each brace is part of a pair or of a field, or stands alone and is refused.
    for text in formats:
        key = re.sub(r"\{\{|\}\}|\{[^{}]*\}|[{}]", field, text)
        require(0 < len(key.encode()) <= 512)


def judge(args):
    """What has to come of it: a set of codes, and whether COMMAND runs (None: not to be told)."""
    try:
        return judge_valid(args)
    except Wrong as wrong:
        return {wrong.args[0]}, False


def judge_valid(args):
    separated = "--" in args
    at = args.index("--") if separated else len(args)
    command = args[at + 1 :]
    before, nouns, behind = split(args[:at])
    table = dict(GLOBAL)
    verb = tuple(nouns)
    known = len(nouns) == 2 and nouns[0] != "help"
    if known:
        require(verb in VERBS)
        table.update(VERBS[verb])
    given = read(before + behind, table)
    names = {name for name, _ in given}
    topic = nouns[1:] if nouns[:1] == ["help"] else nouns
    if "help" in names and known:
        return {0}, False
    if "version" in names and known:
        return {0}, False
    for name, value in given:
        require(table[name][1] is FLAG or table[name][1](value))
    if "help" in names or (nouns[:1] == ["help"] and not separated):
        require(not topic or topic[0] in NOUNS)
        require(len(topic) < 2 or tuple(topic) in VERBS)
        return {0}, False
    if "version" in names:
        return {0}, False
    require(known)
    runs = verb[1] == "run"
    require(bool(command) if runs else not separated)
    last = dict(given)
    require(last.get("config", "/dev/null") == "/dev/null", 78)
    require("profile" not in last, 78)
    if "key" in table:
        check_keys(given, command, several=verb == ("lock", "run"))
    if not runs:
        if verb == ("pool", "wait"):
            require("until" in last)
        if verb == ("resource", "remove"):
            require("name" in last)
        if verb == ("pool", "release"):
            require(("id" in last) != ("all" in last))
        require(last.get("store", "file:").startswith("file:"))
        if "below" in last:  # nothing is in use
            return {75 if float(last["below"].rstrip("%")) == 0 else 0}, False
        return {1 if verb[1] in ("is-locked", "release", "remove") else 0}, False
    if verb[0] == "pool" and "max" in last:
        require(int(last.get("weight", "1")) <= int(last["max"]))
    require(last.get("store", "file:").startswith("file:"))
    if verb[0] == "pool":
        require("max" in last)  # no pool was resized here
        if "shed-at" in last:
            return judge_shed(last)
    if command[0] != "touch":
        return {126, 127}, False
    if command[1:] != ["marker"]:
        return {0, 1}, None
    return {0}, True


def judge_shed(last):
    # In use is nothing, and one slot is asked for: only 0 sheds.
    if float(last["shed-at"].rstrip("%")) > 0:
        return {0, 1, 126, 127}, None
    if "on-full" in last:
        return set(range(128)), None
    return {int(last.get("conflict-exit-code", "75"))}, False


# --- random words -------------------------------------------------------------------------------

VALUES = {
    "key": ["x", "jobs", "{a}", "{0}", "{1}-{a}", "{{}}", "a/b", "", "{", "}", "{b}", "{7}", "k" * 513, "{a}}"],
    "arg": ["a=1", "a=", "a={b}", "b=x=y", "a", "=1", "1a=2", ""],
    "max": ["1", "4", "2147483647", "0", "-1", "4x", "2147483648", "", "1e3", " 4", "10000"],
    "weight": ["1", "2", "0", "5", "x"],
    "timeout": ["0", "1", "none", ".5", "200ms", "-1", "1e3", "inf", "", "5 m", "1.", "."],
    "slot-exp": ["none", "600s", "0", "0.0", "1d", "-5", "1h"],
    "exp": ["none", "600s", "0", "1d", "junk"],
    "conflict-exit-code": ["0", "75", "255", "256", "-1", "x", ""],
    "on-full": ["echo full", "true", "", " ", "exit 3"],
    "priority": ["0", "100", "-100", "-5", "101", "-101", "+1", "5"],
    "queue-max": ["0", "5", "-1", "x"],
    "shed-at": ["0", "3", "50%", "0%", "101%", "%", "-1", "1.5", "12.5%"],
    "below": ["0", "3", "50%", "x", "-1"],
    "replace": ["running", "waiting", "both", "all", ""],
    "until": ["free", "empty", "idle", "full", ""],
    "id": ["12ab", "x", ""],
    "name": ["a", "b c", "", " ", "a\nb"],
    "on-lost": ["warn", "term", "kill", "die", ""],
    "kill-after": ["0", "10s", "none", "x"],
    "store": ["file:STORE", "file:STORE", "nfs:x", "", "junk"],
    "prefix": ["", "p", "p" * 129],
    "profile": ["p", ""],
    "config": ["/dev/null", "/nonexistent", ""],
}
JUNK = ["", "-", "--", "---", "++", "-5", "--wait=1", "--=x", "-=", "x", "\n", "--key", "-k", "--max=", "-nn",
        "--no-wait", "help", "pool", "--h", "-hv", "{}", "\x1b[2J", "é", "-é", "--é", "-wk", "--exp"]  # fmt: skip


def random_option(dice, table, store):
    name = dice.choice(list(table))
    letter, fits = table[name]
    if fits is FLAG:
        return [f"-{letter}" if letter and dice.random() < 0.5 else f"--{name}"]
    values = VALUES[name]
    good = [value for value in values if fits(value)]
    value = dice.choice(good if good and dice.random() < 0.85 else values).replace("STORE", store)
    forms = [[f"--{name}", value], [f"--{name}={value}"]]
    if letter:
        forms += [[f"-{letter}", value], [f"-{letter}{value}"]]
    return dice.choice(forms)


def random_line(dice, store, marker):
    quiet_globals = {name: GLOBAL[name] for name in ("store", "prefix", "quiet", "verbose")}
    some_globals = GLOBAL if dice.random() < 0.2 else quiet_globals
    words = []
    if dice.random() < 0.2:
        words += random_option(dice, some_globals, store)
    runs = [words for words in VERBS if words[1] == "run"]
    noun, verb = dice.choice(runs if dice.random() < 0.5 else list(VERBS))
    if dice.random() < 0.03:
        words.append("help")
    words += [noun, verb]
    table = VERBS[noun, verb]
    options = [random_option(dice, table, store) for _ in range(dice.randrange(5))]
    if "key" in table and dice.random() < 0.9:
        options.append(["-k", dice.choice(["x", "y{0}", "z"])])
    if "max" in table and dice.random() < 0.9:
        options.append([f"-n{dice.randrange(1, 9)}"])
    if dice.random() < 0.2:
        options.append(random_option(dice, some_globals, store))
    dice.shuffle(options)
    words += [word for option in options for word in option]
    if verb == "run" and dice.random() < 0.95 or dice.random() < 0.05:
        words += ["--", "touch", marker]
    while dice.random() < 0.3 and words:
        mutate(dice, words)
    return words


def mutate(dice, words):
    at = dice.randrange(len(words))
    kind = dice.randrange(5)
    if kind == 0:
        words.insert(at, dice.choice(JUNK))
    elif kind == 1:
        del words[at]
    elif kind == 2:
        words.insert(at, words[at])
    elif kind == 3:
        other = dice.randrange(len(words))
        words[at], words[other] = words[other], words[at]
    elif words[at] and "file:" not in words[at]:  # slots are to stay in the test's directory
        cut = dice.randrange(len(words[at]))
        words[at] = words[at][:cut] + words[at][cut + 1 :]


class RandomCommandLines(Case):
    def test_they_never_crash_hang_or_start_a_command_by_mistake(self):
        print(f"CACHIFY_TEST_SEED={SEED} CACHIFY_TEST_COUNT={COUNT}", file=sys.stderr)
        dice = random.Random(SEED)
        started = refused = 0
        # Mutated words must neither name a program nor make files elsewhere.
        for folder in ("work", "bin"):
            self.path(folder).mkdir()
        for tool in ("touch", "sh"):
            self.path(f"bin/{tool}").symlink_to(shutil.which(tool))
        env = {"PATH": str(self.path("bin"))}
        for index in range(COUNT):
            args = random_line(dice, str(self.path("store")), "marker")
            codes, runs = judge(args)
            marker = self.path("work/marker")
            marker.unlink(missing_ok=True)
            # touch itself prints half a character when it complains.
            options = {"cwd": self.path("work"), "env": env, "errors": "backslashreplace"}
            done = self.cachify(*args, timeout=30, **options)
            report = f"seed {SEED}, line {index}: {args}\n{done}"
            self.assertIn(done.returncode, codes, report)
            if runs is not None and args[-2:] == ["touch", "marker"]:
                self.assertEqual(marker.exists(), runs, report)
            if done.returncode in (64, 78) and args:
                self.assertRegex(done.stderr, r"\Acachify: [^\n\x00-\x1f\x7f]+\n\Z", report)
                self.assertEqual(done.stdout, "", report)
            started += marker.exists()
            refused += done.returncode in (64, 78)
        # The generator is worth something only when it does both.
        self.assertGreater(started, COUNT // 10)
        self.assertGreater(refused, COUNT // 10)


if __name__ == "__main__":
    main()
