"""What tests/bench/run found, for people: a page of tables, a plot for each figure, README's section.

All of it is made from results.json, so that `run --check` can tell whether the page, the plots and README
still say what was measured.
"""

import json
from pathlib import Path

import svg

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "tests" / "bench" / "results"
BEGIN = "<!-- tests/bench/run writes what stands from here -->"
END = "<!-- to here -->"

# Of these README shows a row each, and the plots of PICTURES.
FIRST = (
    ("start-lock", "one call, nobody else"),
    ("hand-off", "from one command's end to the next one's start, 50 waiting"),
    ("burst", "64 callers at once, per job"),
    ("workers", "8 workers in turns, per job"),
    ("redis-start", "the same over a Redis server on this machine"),
)
PICTURES = ("start-lock", "hand-off", "scaling-waiters")
PEERS = ("setlock", "chpst", "sem", "tsp", "etcdctl lock")


def plots(results):
    """{file name: SVG} of every figure: of its ways beside each other, or of its rows."""
    found = {}
    groups = {}
    for row in results["figures"]:
        if row["plot"]:
            groups.setdefault(row["plot"], []).append(row)
    for slug, rows in groups.items():
        with_ways = [row for row in rows if row["ways"]]
        if with_ways:
            shown = with_ways[0]["ways"]
        else:
            # What has no unit of its own (a growth) or was skipped cannot stand on the same axis.
            alike = [row for row in rows if row["unit"] == rows[0]["unit"] and row["value"] > 0]
            shown = [dict(name=row["figure"], median=row["value"], least=row["value"], p99=row["value"])
                     for row in alike]  # fmt: skip
        if shown:
            own = "cachify" if with_ways else ""
            found[f"{slug}.svg"] = svg.dots(rows[0]["title"].replace("`", ""), rows[0]["unit"], shown, own)
    for curve in results["curves"]:
        series = {name: [(x, y["median"]) for x, y in line] for name, line in curve["series"].items()}
        found[f"{curve['plot']}.svg"] = svg.lines(curve["title"], curve["unit"], curve["along"], series)
    return found


def cell(value, digits=2):
    return "" if value is None else f"{value:,.{digits}f}"


def target(row):
    if row["at_least"] is None:
        return ""
    return svg.short(row["at_least"]) + (f" / {svg.short(row['aim'])}" if row["aim"] is not None else "")


VERDICTS = {"": "", "aim": "aim reached", "ok": "reached, not the aim", "SHORT": "**not reached**"}


def heading(results):
    machine = results["machine"]
    peers = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    busy = max(machine["load_before"], machine["load_after"]) > machine["processors"]
    warning = " **The machine was busy with other things: only ratios mean something.**" if busy else ""
    return (
        f"{machine['processors']} processors, Linux {machine['kernel']}, {results['date']}; "
        f"mode `{machine['mode']}`; load {machine['load_before']:.0f} before, "
        f"{machine['load_after']:.0f} after.{warning} {peers}."
    )


def page(results):
    """results.md"""
    out = [
        "# Figures",
        "",
        "Made by `tests/bench/run --report`; how each is measured and where the limits are:",
        "[../README.md](../README.md).",
        "",
        heading(results),
        "",
        "Ratios are to flock in the same interleaved run; targets likewise, or in the row's unit where there",
        "is nothing to compare with.",
        "",
        "| figure | cachify | flock | ratio | at least / aim | |",
        "|---|---:|---:|---:|---|---|",
    ]
    for row in results["figures"]:
        said = VERDICTS[row["verdict"]]
        said = "; ".join(text for text in (said, row["note"]) if text)
        flock = f"{svg.short(row['flock'])} {row['unit']}" if row["flock"] else ""
        out.append(
            f"| {row['figure']} | {svg.short(row['value'])} {row['unit']} | {flock} | {cell(row['ratio'])} "
            f"| {target(row)} | {said} |"
        )
    seen = set()
    for row in results["figures"]:
        if not row["plot"] or row["plot"] in seen:
            continue
        seen.add(row["plot"])
        out += ["", f"## {row['title']}", "", f"![]({row['plot']}.svg)"]
        if not row["ways"]:
            continue
        out += ["", f"| | median, {row['unit']} | p99 | least | to flock | samples |", "|---|---:|---:|---:|---:|---:|"]
        for way in row["ways"]:
            out.append(
                f"| {way['name']} | {svg.short(way['median'])} | {svg.short(way['p99'])} "
                f"| {svg.short(way['least'])} | {cell(way['ratio'])} | {way['count']} |"
            )
    for curve in results["curves"]:
        out += ["", f"## {curve['title']}", "", f"![]({curve['plot']}.svg)", ""]
        counts = sorted({x for line in curve["series"].values() for x, _ in line})
        out.append(f"| {curve['along']} | " + " | ".join(f"{count:,}" for count in counts) + " |")
        out.append("|---|" + "---:|" * len(counts))
        for name, line in curve["series"].items():
            known = {x: y["median"] for x, y in line}
            cells = " | ".join(svg.short(known[c]) if c in known else "" for c in counts)
            out.append(f"| {name}, {curve['unit']} | {cells} |")
    return "\n".join(out) + "\n"


def readme_section(results):
    by_plot = {}
    for row in results["figures"]:
        by_plot.setdefault(row["plot"], row)
    present = [name for name in PEERS
               if any(way["name"] == name for row in results["figures"] for way in row["ways"])]  # fmt: skip
    out = ["", "| median, flock = 1 | cachify | " + " | ".join(present) + " |", "|---|---:|" + "---:|" * len(present)]
    for slug, text in FIRST:
        row = by_plot.get(slug)
        if row is None:
            continue
        ratios = {way["name"]: way["ratio"] for way in row["ways"]}
        out.append(f"| {text} | **{cell(row['ratio'])}** | " + " | ".join(cell(ratios.get(n)) for n in present) + " |")
    out.append("")
    titles = {row["plot"]: row["title"] for row in results["figures"]}
    titles.update({curve["plot"]: curve["title"] for curve in results["curves"]})
    for slug in PICTURES:
        if slug in titles:
            out.append(f"![{titles[slug].replace('`', '')}](tests/bench/results/{slug}.svg)")
    out += ["", heading(results), "All figures, with p99 and plots: [results](tests/bench/results/results.md).", ""]
    return "\n".join(out)


def with_section(text, results):
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + "\n" + readme_section(results) + "\n" + END + after


def files(results, readme):
    """{path: text} of all that is made, README included."""
    made = {RESULTS / name: text for name, text in plots(results).items()}
    made[RESULTS / "results.md"] = page(results)
    made[ROOT / "README.md"] = with_section(readme, results)
    return made


def write(results, folder):
    """results.json, results.md and the plots into `folder`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "results.md").write_text(page(results))
    for name, text in plots(results).items():
        (folder / name).write_text(text)


def commit(results):
    """The same into the folder that README shows, and README's section."""
    write(results, RESULTS)
    readme = ROOT / "README.md"
    readme.write_text(with_section(readme.read_text(), results))


def stale():
    """Which of the committed files are not what results.json makes."""
    results = json.loads((RESULTS / "results.json").read_text())
    made = files(results, (ROOT / "README.md").read_text())
    wrong = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    wrong += [path for path in RESULTS.glob("*.svg") if path not in made]
    return [str(path.relative_to(ROOT)) for path in wrong]
