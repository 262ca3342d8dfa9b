"""What the project wants of itself, read from the results of a run.

An aim whose scenario was not run has no line. Bounds are in the units of their text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional

from measuring import Summary
from scenarios import SCENARIOS

MIB = 1 << 20
# CPU time for each GB says something only about packs that take a while.
LEAST_PACK_BYTES = 100_000_000
MOST_REFS_IN_8_MIB = 10_000
# With more, writing references takes longer than the pack, and index-pack writes none.
MOST_REFS_BESIDE_INDEX_PACK = 1_000

# Per scenario, the contenders' summaries by name.
Results = Dict[str, Dict[str, Summary]]


@dataclass
class Aim:
    """One line of the table of aims."""

    text: str
    measured: str
    met: bool


def bounded(text: str, value: Optional[float], most: float, form: str) -> List[Aim]:
    """An aim that a value stays below a bound, or nothing where there is no value."""
    if value is None:
        return []
    return [Aim(text, form.format(value), value <= most)]


def summary(results: Results, scenario: str, contender: str) -> Optional[Summary]:
    """The summary if that was run and did not fail."""
    found = results.get(scenario, {}).get(contender)
    return found if found is not None and found.samples else None


def speed_aims(results: Results, refs: Dict[str, int]) -> List[Aim]:
    """Speed against the bare limits."""
    aims = []
    for scenario in results:
        ours = summary(results, scenario, "relay")
        if ours is None or scenario.startswith(("latency", "tls")):
            continue
        bare, ask = summary(results, scenario, "bare"), summary(results, scenario, "ask")
        pipe = summary(results, scenario, "curl")
        few = refs[scenario] <= MOST_REFS_BESIDE_INDEX_PACK
        if scenario.startswith("bootstrap") and bare is not None and few:
            ratio, text = bare.seconds / ours.seconds, "speed ≥ 0.95 of `pack-objects \\| index-pack`"
            aims.append(Aim(f"{scenario}: {text}", f"{ratio:.2f}", ratio >= 0.95))
        if scenario.startswith("bootstrap") and pipe is not None:
            ratio, text = pipe.seconds / ours.seconds, "speed ≥ 0.95 of `curl \\| curl`"
            aims.append(Aim(f"{scenario}: {text}", f"{ratio:.2f}", ratio >= 0.95))
        if scenario.startswith("up-to-date") and ask is not None:
            text = f"{scenario}: time ≤ 2 × three requests by `curl`"
            aims += bounded(text, ours.seconds / ask.seconds, 2, "{:.2f}")
    return aims


def frugality_aims(results: Results, refs: Dict[str, int]) -> List[Aim]:
    """Memory and CPU of our own process."""
    aims = []
    for scenario in results:
        ours = summary(results, scenario, "relay")
        if ours is None:
            continue
        peak = ours.own("measurement", "peak_rss_bytes")
        few = refs[scenario] <= MOST_REFS_IN_8_MIB + 1
        most = 8 if few else 64
        aims += bounded(f"{scenario}: peak memory ≤ {most} MiB", peak / MIB if peak else None, most, "{:.1f} MiB")
        pack, cpu = ours.own("pack", "bytes"), ours.own_cpu_millis()
        if pack and cpu is not None and pack >= LEAST_PACK_BYTES and not scenario.startswith("tls"):
            aims += bounded(f"{scenario}: CPU ≤ 1.3 s per GB", cpu / 1000 / (pack / 1e9), 1.3, "{:.2f} s per GB")
    return aims


def round_trip_aims(results: Results, millis: int) -> List[Aim]:
    """Requests that wait for one another, seen where each costs a visible while."""
    aims = []
    most = {"latency-up-to-date": 2, "latency-bootstrap": 4, "latency-one-commit": 5}
    twins = {scenario.name: scenario.twin for scenario in SCENARIOS}
    for scenario, bound in most.items():
        ours = summary(results, scenario, "relay")
        chain = ours.count("request_chain") if ours is not None else None
        if ours is None or chain is None:
            continue
        measured = f"{chain}"
        plain = summary(results, twins[scenario] or "", "relay")
        if plain is not None:
            paid = (ours.seconds - plain.seconds) * 1000 / (2 * millis)
            measured += f" (the line cost {paid:.1f} round trips, opening connections included)"
        aims.append(Aim(f"{scenario}: ≤ {bound} requests one after another", measured, chain <= bound))
    return aims


def start_up_aims(rows: List[Dict[str, object]]) -> List[Aim]:
    """From exec to the first request."""
    for row in rows:
        if row["command"] == "`git-relay sync`":
            value = float(str(row["median_millis"]))
            return bounded("start-up to the first request ≤ 5 ms", value, 5, "{:.1f} ms")
    return []
