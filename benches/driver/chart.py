"""The bar chart: one group of bars for each scenario, each group with a scale of its own, as SVG written by hand.

Readable on light and dark pages; it needs no fonts and no scripts.
"""

from __future__ import annotations

from html import escape
from typing import Dict, List, Tuple

from measuring import Summary
from scenarios import Scenario

WIDTH = 820
LABEL_WIDTH = 230
BAR_WIDTH = 460
ROW = 20
TITLE = 30
TOP = 56

STYLE = """
.page { fill: #ffffff }
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.group { font-weight: 600 }
.ours { fill: #0969da } .git { fill: #8c959f } .bare { fill: #bf8700 }
.spread { stroke: #24292f; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117 }
  text { fill: #e6edf3 }
  .ours { fill: #4493f8 } .git { fill: #6e7681 } .bare { fill: #d29922 }
  .spread { stroke: #e6edf3 }
}
"""

# The short name beside the bar, and the colour.
BARS = {
    "relay": ("git relay sync", "ours"),
    "push": ("git push relay::", "ours"),
    "mirror": ("clone --mirror, push --mirror", "git"),
    "warm": ("fetch, push in a kept clone", "git"),
    "bare": ("pack-objects | index-pack", "bare"),
    "curl": ("curl | curl", "bare"),
    "ask": ("three requests by curl", "bare"),
}

Measured = List[Tuple[Scenario, Dict[str, Summary]]]


def seconds(value: float) -> str:
    """A time with three digits, in the unit that suits it."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def bar(summary: Summary, top: int, scale: float) -> List[str]:
    """One bar with its label, its time, and a line from the shortest run to the longest."""
    label, kind = BARS[summary.contender]
    middle, length = top + ROW // 2, max(1.0, summary.seconds * scale)
    from_x, to_x = (LABEL_WIDTH + value * scale for value in (summary.fastest, summary.slowest))
    text_x = max(LABEL_WIDTH + length, to_x) + 6
    return [
        f'<text x="{LABEL_WIDTH - 8}" y="{middle + 4}" text-anchor="end">{escape(label)}</text>',
        f'<rect class="{kind}" x="{LABEL_WIDTH}" y="{top + 3}" width="{length:.1f}" height="{ROW - 6}" rx="2"/>',
        f'<line class="spread" x1="{from_x:.1f}" y1="{middle}" x2="{to_x:.1f}" y2="{middle}"/>',
        f'<text x="{text_x:.1f}" y="{middle + 4}">{seconds(summary.seconds)}</text>',
    ]


def draw(measured: Measured, subtitle: str) -> str:
    """The whole picture."""
    parts, top = [], TOP
    for scenario, summaries in measured:
        shown = [summary for summary in summaries.values() if summary.samples]
        if not shown:
            continue
        scale = BAR_WIDTH / max(summary.slowest for summary in shown)
        parts.append(f'<text class="group" x="16" y="{top + 20}">{escape(scenario.title)}</text>')
        top += TITLE
        for summary in shown:
            parts += bar(summary, top, scale)
            top += ROW
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 16}" width="{WIDTH}" role="img">',
        "<title>Time of each way to bring the target in step; shorter is better</title>",
        f"<style>{STYLE}</style>",
        '<rect class="page" width="100%" height="100%" rx="6"/>',
        '<text class="title" x="16" y="24">Time to bring the target in step (shorter is better)</text>',
        f'<text x="16" y="44">{escape(subtitle)}</text>',
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"
