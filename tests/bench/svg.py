"""Two small plots as SVG: dots with their spread, and lines. Readable on light and dark pages."""

import math
from xml.sax.saxutils import escape

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.title { font-size: 14px; font-weight: 600; }
.soft { fill: #57606a; }
.grid { stroke: #d0d7de; stroke-width: 1; }
.s0 { stroke: #bc4c00; fill: #bc4c00; }
.s1 { stroke: #0969da; fill: #0969da; }
.s2 { stroke: #1a7f37; fill: #1a7f37; }
.s3 { stroke: #8250df; fill: #8250df; }
.other { stroke: #6e7781; fill: #6e7781; }
.line { fill: none; stroke-width: 2; }
text.own { font-weight: 700; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .soft { fill: #9198a1; }
  .grid { stroke: #3d444d; }
  .s0 { stroke: #f0883e; fill: #f0883e; }
  .s1 { stroke: #58a6ff; fill: #58a6ff; }
  .s2 { stroke: #56d364; fill: #56d364; }
  .s3 { stroke: #bc8cff; fill: #bc8cff; }
  .other { stroke: #9198a1; fill: #9198a1; }
}
"""
WIDTH = 760


def short(value):
    """Three digits that count: 0.512, 4.31, 87.3, 1,240."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 3)}f}"


def round_number(value):
    """Of an axis."""
    return f"{value:,.10g}"


class Scale:
    """From values to places on an axis: from zero, or logarithmic where the values lie far apart."""

    def __init__(self, values, start, end, log=None):
        known = [value for value in values if value > 0] or [1.0]
        low, high = min(known), max(known)
        self.log = high / low > 12 if log is None else log
        self.start, self.end = start, end
        if self.log:
            # Between 1, 2 or 5 times a power of ten.
            steps = [(math.log10(n) + power) for power in range(-4, 10) for n in (1, 2, 5)]
            self.low = max(step for step in steps if step <= math.log10(low) + 1e-9)
            self.high = min(step for step in steps if step >= max(math.log10(high), self.low + 0.3) - 1e-9)
        else:
            step = 10 ** math.floor(math.log10(high))
            self.step = next(s for s in (step / 5, step / 2, step, step * 2) if high / s <= 6)
            self.low, self.high = 0, math.ceil(high / self.step) * self.step

    def at(self, value):
        if self.log:
            value = math.log10(max(value, 10**self.low))
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self):
        if self.log:
            few = self.high - self.low < 2.5
            found = [n * 10.0**power for power in range(-4, 10) for n in ((1, 2, 5) if few else (1,))]
            return [t for t in found if self.low - 1e-9 <= math.log10(t) <= self.high + 1e-9]
        return [self.step * n for n in range(round(self.high / self.step) + 1)]


def page(height, title, parts):
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">'
    )
    name = f"<title>{escape(title)}</title>"
    caption = f'<text class="title" x="8" y="20">{escape(title)}</text>'
    return "\n".join([head, name, f"<style>{STYLE}</style>", caption, *parts, "</svg>"]) + "\n"


def dots(title, unit, rows, own="cachify"):
    """Rows of dict(name, median, least, p99): a dot at the median, a line from the least to p99."""
    left, right, top, pitch = 200, WIDTH - 120, 34, 24
    bottom = top + pitch * len(rows)
    spread = [row[which] for row in rows for which in ("least", "median", "p99")]
    scale = Scale(spread, left, right)
    parts = []
    for tick in scale.ticks():
        x = scale.at(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(
            f'<text class="soft" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{round_number(tick)}</text>'
        )
    for index, row in enumerate(rows):
        y = top + pitch * index + pitch / 2
        is_own = row["name"].startswith(own)
        kind, text = ("s0", ' class="own"') if is_own else ("other", "")
        least, median, most = (scale.at(row[which]) for which in ("least", "median", "p99"))
        radius = 6 if is_own else 5
        parts += [
            f'<text{text} x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(row["name"])}</text>',
            f'<line class="{kind}" stroke-width="2" x1="{least:.1f}" y1="{y:.1f}" x2="{most:.1f}" y2="{y:.1f}"/>',
            f'<circle class="{kind}" cx="{median:.1f}" cy="{y:.1f}" r="{radius}"/>',
            f'<text{text} x="{right + 14}" y="{y + 4:.1f}">{short(row["median"])} {escape(unit)}</text>',
        ]
    how = "least, median (dot) and 99th percentile"
    axis = f"{unit}{', logarithmic' if scale.log else ''}; {how}"
    parts.append(f'<text class="soft" x="{left}" y="{bottom + 34}">{escape(axis)}</text>')
    return page(bottom + 44, title, parts)


def lines(title, unit, along, series):
    """`series`: {name: [(x, y)]}; both axes logarithmic. `along` says what x counts."""
    left, right, top, bottom = 70, WIDTH - 170, 40, 300
    points = [point for line in series.values() for point in line]
    across = Scale([x for x, _ in points], left, right, log=True)
    up = Scale([y for _, y in points], bottom, top, log=True)
    parts = []
    for tick in across.ticks():
        x = across.at(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(
            f'<text class="soft" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{round_number(tick)}</text>'
        )
    for tick in up.ticks():
        y = up.at(tick)
        parts.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="soft" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{round_number(tick)}</text>'
        )
    taken = []
    for index, (name, line) in enumerate(series.items()):
        kind = f"s{index}" if name.startswith("cachify") and index < 4 else "other"
        path = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in line)
        parts.append(f'<polyline class="{kind} line" style="fill:none" points="{path}"/>')
        for x, y in line:
            parts.append(f'<circle class="{kind}" cx="{across.at(x):.1f}" cy="{up.at(y):.1f}" r="3"/>')
        # Beside its last point, out of the way of the labels that are there already.
        place = up.at(line[-1][1]) + 4
        while any(abs(place - other) < 15 for other in taken):
            place += 3
        taken.append(place)
        own = ' class="own"' if kind != "other" else ""
        parts.append(f'<text{own} x="{right + 10}" y="{place:.1f}">{escape(name)}</text>')
    parts.append(f'<text class="soft" x="{left}" y="{bottom + 34}">{escape(along)}; up: {escape(unit)}; both logarithmic</text>')
    return page(bottom + 44, title, parts)
