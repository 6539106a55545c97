"""The completions in the real shells: what is offered, or written into the line, at a TAB."""

import os
import pty
import re
import select
import shutil
import socket
import time
import unittest
from pathlib import Path

from support import CACHIFY, Case, main, on_every_store

ROOT = Path(__file__).resolve().parents[2]
BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"


class Terminal:
    """An interactive shell at a pseudo-terminal. ^X prints the line being edited as <<...>>."""

    def __init__(self, case, argv, setup):
        self.master, slave = pty.openpty()
        self.process = case.spawn(
            argv, stdin=slave, stdout=slave, stderr=slave, text=False, env={"TERM": "dumb", "PS1": ""}
        )
        os.close(slave)
        self.seen = ""
        self.send(setup + "\necho rea''dy\n")
        self.wait_for(r"ready\r?\n")

    def send(self, text):
        os.write(self.master, text.encode())

    def wait_for(self, pattern, timeout=60):
        end = time.monotonic() + timeout
        while not (found := re.search(pattern, self.seen, re.S)):
            if not select.select([self.master], [], [], end - time.monotonic())[0]:
                raise AssertionError(f"not within {timeout} s: {pattern!r} in {self.seen!r}")
            self.seen += os.read(self.master, 65536).decode(errors="replace")
        self.seen = self.seen[found.end() :]
        return found

    def line_after(self, keys):
        """The line that stands there when these keys were typed; the next one begins empty."""
        self.send(keys + "\x18")
        line = self.wait_for(r"<<(.*?)>>")[1]
        self.send("\x15")
        return line

    def close(self):
        os.close(self.master)


class Completions(Case):
    """Of a shell: SHELL, ARGV and SETUP, the latter naming completions/ as {root}."""

    SHELL = ""

    def setUp(self):
        if not shutil.which(self.SHELL):
            self.skipTest(f"{self.SHELL} is not installed")
        super().setUp()
        (self.dir / "bin").mkdir()
        (self.dir / "bin/cachify").symlink_to(CACHIFY)
        self.env["PATH"] = f"{self.dir}/bin:{self.env['PATH']}"
        (self.dir / "only-file").touch()

    def answers(self, begin, expected):
        """The line after a TAB, where there is only one way on."""
        raise NotImplementedError

    def check(self, begin, expected):
        with self.subTest(begin=begin):
            self.assertEqual(self.answers(begin), expected)

    def check_all(self):
        first = self.hold("pool", "run", "-k", "jobs:daily", "-n", "2", "-a", "x=y")
        self.hold("lock", "run", "-k", "with blank")
        self.hold("resource", "run", "-k", "phones", "--from", "pixel-7,galaxy")
        holder = first.environment["CACHIFY_ID"]
        filled = self.hold("pool", "run", "-k", "db-{host}-{n}", "-n", "2", "-a", "host=a b", "-a", "n=1")
        filled = filled.environment["CACHIFY_ID"]
        self.write_config(
            "[profile.nightly]\n[profile.'a b']  # why\n[resource.licences]\nfrom = ['seat']\n#[profile.gone]\n"
        )
        self.write("other.toml", '[profile.alone]\n[ resource . "tele phones" ]\nfrom = ["a"]\n')
        (self.dir / "some-dir").mkdir()
        for begin, expected in (
            ("cachify do", "cachify doctor"),
            ("cachify pool cl", "cachify pool close"),
            ("cachify help lock is", "cachify help lock is-locked"),
            ("cachify pool run --slot", "cachify pool run --slot-exp"),
            ("cachify pool wait --until i", "cachify pool wait --until idle"),
            ("cachify lock run --on-lost k", "cachify lock run --on-lost kill"),
            ("cachify lock run --replace b", "cachify lock run --replace both"),
            ("cachify pool map --halt s", "cachify pool map --halt soon"),
            ("cachify pool status --key j", "cachify pool status --key jobs:daily"),
            ("cachify pool status --key jobs:d", "cachify pool status --key jobs:daily"),
            ("cachify pool map --key j", "cachify pool map --key jobs:daily"),
            ("cachify lock run -k w", r"cachify lock run -k with\ blank"),
            (
                f"cachify --store {self.store.url} -q pool size -k j",
                f"cachify --store {self.store.url} -q pool size -k jobs:daily",
            ),
            (
                f"cachify pool release -k jobs:daily --id {holder[:4]}",
                f"cachify pool release -k jobs:daily --id {holder}",
            ),
            (
                f"cachify pool release -k 'db-{{host}}-{{n}}' -a 'host=a b' --arg=n=1 --id {filled[:-1]}",
                f"cachify pool release -k 'db-{{host}}-{{n}}' -a 'host=a b' --arg=n=1 --id {filled}",
            ),
            ("cachify pool run -k x -n 1 -- ls on", "cachify pool run -k x -n 1 -- ls only-file"),
            ("cachify lock run -k x -- mktem", "cachify lock run -k x -- mktemp"),
            ("cachify --config other.toml --profile a", "cachify --config other.toml --profile alone"),
            ("cachify --config=other.toml resource run -k t", r"cachify --config=other.toml resource run -k tele\ phones"),
            ("cachify --profile n", "cachify --profile nightly"),
            ("cachify --profile a", r"cachify --profile a\ b"),
            ("cachify resource status --key l", "cachify resource status --key licences"),
            ("cachify resource remove -k phones --name g", "cachify resource remove -k phones --name galaxy"),
            ("cachify --store file:some", "cachify --store file:some-dir/"),
            ("cachify --store py", "cachify --store py-cachify+redis://"),
            # Nothing there, nothing offered, nothing said; and no variable of the line is evaluated.
            ("cachify pool size -k nothing", "cachify pool size -k nothing"),
            ("cachify --prefix other: lock is-locked -k w", "cachify --prefix other: lock is-locked -k w"),
            (
                "cachify --store file:$(touch made) pool size -k j",
                "cachify --store file:$(touch made) pool size -k j",
            ),
        ):
            self.check(begin, expected)
        self.assertFalse((self.dir / "made").exists())

    def check_silence(self):
        """A server that never answers costs a second, and one that isn't there nothing."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            line = f"cachify --store redis://127.0.0.1:{server.getsockname()[1]} pool size -k j"
            start = time.monotonic()
            self.check(line, line)
            self.assertLess(time.monotonic() - start, 4)
        self.check(line, line)


class AtTerminal(Completions):
    ARGV = ()
    SETUP = ""

    def setUp(self):
        super().setUp()
        self.terminal = Terminal(self, self.ARGV, self.SETUP.format(root=ROOT / "completions"))
        self.addCleanup(self.terminal.close)

    def answers(self, begin):
        # zsh goes on with the = that a value may follow.
        return self.terminal.line_after(begin + "\t").rstrip(" =")


@on_every_store
class Bash(AtTerminal):
    SHELL = "bash"
    ARGV = ("bash", "--norc", "--noprofile", "-i")
    SETUP = (
        "set +o history; bind 'set bell-style none'; bind 'set enable-bracketed-paste off';"
        " bind -x '\"\\C-x\": printf \"<<%s>>\\n\" \"$READLINE_LINE\"';"
        f" [ -r {BASH_COMPLETION} ] && . {BASH_COMPLETION}; . {{root}}/cachify.bash"
    )

    @unittest.skipUnless(os.path.exists(BASH_COMPLETION), "bash-completion is not installed")
    def test_a_tab_completes(self):
        self.check_all()

    def test_a_store_that_cannot_answer_is_no_trouble(self):
        self.check_silence()


@on_every_store
class Zsh(AtTerminal):
    SHELL = "zsh"
    ARGV = ("zsh", "-f", "-i")
    SETUP = (
        "PS1=; unsetopt beep zle_bracketed_paste prompt_cr; fpath=({root} $fpath);"
        " autoload -U compinit; compinit -u -D; show() {{ print -r -- \"<<$BUFFER>>\" }};"
        " zle -N show; bindkey -e; bindkey '^X' show"
    )

    def test_a_tab_completes(self):
        self.check_all()

    def test_a_store_that_cannot_answer_is_no_trouble(self):
        self.check_silence()


@on_every_store
class Fish(Completions):
    SHELL = "fish"

    def answers(self, begin):
        done = self.run_program(
            ["fish", "--no-config", "-c", 'source $argv[1]; complete -C $argv[2]',
             ROOT / "completions/cachify.fish", begin]
        )  # fmt: skip
        self.assertEqual(done.stderr, "")
        offers = [line.split("\t")[0] for line in done.stdout.splitlines()]
        if len(offers) != 1:
            return begin if not offers else offers
        return begin[: begin.rindex(" ") + 1] + offers[0].replace(" ", "\\ ")

    def test_a_tab_completes(self):
        self.check_all()

    def test_a_store_that_cannot_answer_is_no_trouble(self):
        self.check_silence()


if __name__ == "__main__":
    main()
