"""messages.txt lists every text that cachify can say, as the sources have it.

So a changed message is seen in review as one, beside its neighbours. Each statement of the sources with a
text of more than a word is a line; "…" stands for what is filled in, and "|" between texts of which one
is said. Help texts are left out: tests/e2e/test_docs.py knows those.

After a change: python3 tests/e2e/test_messages.py --update
"""

import re
import sys
import unittest
from pathlib import Path

from support import main

SRC = Path(__file__).resolve().parents[2] / "src"
TABLE = Path(__file__).with_name("messages.txt")

TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | (?P<line>^[ ]*\#[^\n]*(?:\\\n[^\n]*)*)
      | "(?P<text>(?:[^"\\\n]|\\.)*)"
      | (?P<char>'(?:[^'\\\n]|\\.)+')
      | (?P<end>[;{}])
      | (?P<word>\w+)
      | (?P<space>\s+)
      | (?P<other>::|.)""",
    re.X | re.S | re.M,
)


def statements(source):
    """Each one's tokens, as (kind, text)."""
    tokens = []
    for found in TOKEN.finditer(source):
        kind = found.lastgroup
        if kind == "end":
            yield tokens
            tokens = []
        elif kind not in ("comment", "line", "space"):
            tokens.append((kind, found[kind]))


def message_of(tokens):
    """The texts of a statement as one; None where it says nothing to a person."""
    # Rows of tables (options, commands, manuals) begin with a value.
    if not tokens or tokens[0][0] in ("text", "char") or tokens[0][1] in ("0", "static", "constexpr"):
        return None
    parts = []
    gap = choice = False
    for kind, text in tokens:
        if kind != "text":
            gap = gap or kind == "word"
            choice = choice or text == ":"
            continue
        if parts and (gap or choice):
            parts.append("…" * gap + "|" * choice)
        parts.append(text)
        gap = choice = False
    if gap and parts:
        parts.append("…")
    joined = "".join(parts)
    return joined if re.search(r"[a-z]{2,}[^a-z]* +[^ ]*[a-z]|[a-z]… |: $", joined) else None


def table():
    lines = []
    for path in sorted(SRC.rglob("*.cpp")):
        if path.name == "help.cpp":
            continue
        found = map(message_of, statements(path.read_text(encoding="utf-8")))
        told = list(dict.fromkeys(text for text in found if text))
        if told:
            lines += [f"{path.relative_to(SRC)}", *(f"    {text}" for text in told), ""]
    return "\n".join(lines)


class Messages(unittest.TestCase):
    maxDiff = None

    def test_the_table_is_that_of_the_sources(self):
        self.assertEqual(
            TABLE.read_text(encoding="utf-8"), table(),
            "after reading the difference: python3 tests/e2e/test_messages.py --update",
        )  # fmt: skip

    def test_the_scanner_sees_messages(self):
        source = 'throw UsageError("no " + what +  // "not"\n  " in " "it; {}: " + why);\nadd({0, "max", "N", "two words"});'
        found = [message_of(tokens) for tokens in statements(source)]
        self.assertEqual([text for text in found if text], ["no … in it; {}: …"])

    def test_they_are_lines_without_an_end(self):
        for line in table().splitlines():
            if not line.startswith("    "):
                continue
            with self.subTest(line=line):
                # Redis' own words apart.
                self.assertNotRegex(line, r"[^.]\.$(?<!Authentication required\.)|!$(?<!already locked!)")
                self.assertNotRegex(line, r"(?i)\b(please|sorry|oops|invalid argument)\b")


if __name__ == "__main__":
    if sys.argv[1:] == ["--update"]:
        TABLE.write_text(table(), encoding="utf-8")
    else:
        main()
