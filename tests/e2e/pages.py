"""Reads our Markdown pages: what they show is run by the suites."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
RECIPES = ROOT / "RECIPES.md"


def blocks(page, language=r"\w+"):
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.M | re.S)


def block(page, language, holding=""):
    """The only block of that language that holds this text."""
    [found] = [text for text in blocks(page, language) if holding in text]
    return found


def rows(page, heading):
    """The cells of the table whose first line begins with `| HEADING |`."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", page.read_text(), re.M)
    cut = re.compile(r"(?<!\\)\|")
    return [[cell.strip().replace("\\|", "|") for cell in cut.split(line)[1:-1]] for line in table[1].splitlines()]


def code(cell):
    """The first piece of code in a cell; None when there is none."""
    found = re.search(r"`([^`]+)`", cell)
    return found and found[1]


def links(page):
    """What it refers to: (file or "", anchor or "")."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    targets = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", prose)
    return [(name, anchor) for name, anchor in targets]


def anchors(page):
    """The names that its headings get."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)$", prose, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
