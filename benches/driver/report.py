"""The reports of a run: Markdown for people, JSON with everything, and the chart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

from aims import Aim, frugality_aims, round_trip_aims, speed_aims, start_up_aims
from chart import Measured, draw, seconds
from contenders import CONTENDERS
from measuring import Summary
from scenarios import LATENCY_MILLIS, Scenario

MIB = 1 << 20
LIMITS = ("bare", "curl", "ask")


class Report:
    """What was measured, as it grows."""

    def __init__(self, machine: Dict[str, Any], arguments: List[str]) -> None:
        self.machine = machine
        self.arguments = arguments
        self.measured: Measured = []
        # Per scenario: bytes in the source's packs, references of the source.
        self.sizes: Dict[str, Dict[str, int]] = {}
        self.start_up: List[Dict[str, Any]] = []

    def add(self, scenario: Scenario, summaries: Dict[str, Summary], sizes: Dict[str, int]) -> None:
        """Takes in one scenario."""
        self.measured.append((scenario, summaries))
        self.sizes[scenario.name] = sizes

    def aims(self) -> List[Aim]:
        """Every aim that this run can tell about."""
        results = {scenario.name: summaries for scenario, summaries in self.measured}
        refs = {name: sizes["refs"] for name, sizes in self.sizes.items()}
        return [*speed_aims(results, refs), *frugality_aims(results, refs), *round_trip_aims(results, LATENCY_MILLIS),
                *start_up_aims(self.start_up)]

    def write(self, directory: Path) -> None:
        """Writes results.md, results.json and results.svg."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "results.md").write_text(self.markdown())
        (directory / "results.json").write_text(json.dumps(self.to_json(), indent=1) + "\n")
        subtitle = f"{self.machine['date']}, {self.machine['processor']}, {self.machine['cores']} cores"
        if self.measured:
            (directory / "results.svg").write_text(draw(self.measured, subtitle))

    def to_json(self) -> Dict[str, Any]:
        """Everything, with every single run."""
        return {
            "machine": self.machine,
            "arguments": self.arguments,
            "scenarios": [
                {"name": scenario.name, "title": scenario.title, **self.sizes[scenario.name],
                 "contenders": [summary.to_json() for summary in summaries.values()]}
                for scenario, summaries in self.measured
            ],
            "start_up": self.start_up,
            "aims": [vars(aim) for aim in self.aims()],
        }

    def markdown(self) -> str:
        """The tables."""
        lines = ["# Benchmark results", "", *self._machine(), ""]
        if self.measured:
            lines += ["![Bar chart of the times below](results.svg)", ""]
        aims = self.aims()
        if aims:
            lines += ["## Aims", "", "| aim | measured | met |", "| --- | --- | --- |"]
            lines += [f"| {aim.text} | {aim.measured} | {'yes' if aim.met else '**no**'} |" for aim in aims] + [""]
        for scenario, summaries in self.measured:
            lines += self._table(scenario, summaries)
        if self.start_up:
            lines += ["## Start-up to the first request", "", "| command | median | shortest | longest |",
                      "| --- | ---: | ---: | ---: |"]
            lines += [f"| {row['command']} | {row['median_millis']:.1f} ms | {row['min_millis']:.1f} ms |"
                      f" {row['max_millis']:.1f} ms |" for row in self.start_up] + [""]
        return "\n".join(lines)

    def _machine(self) -> List[str]:
        machine = self.machine
        return [
            f"Measured {machine['date']} by `benches/relay {' '.join(self.arguments)}` at revision"
            f" `{machine['revision'] or 'unknown'}` ({machine['relay']}).",
            "",
            f"Machine: {machine['processor']}, {machine['cores']} cores,"
            f" {machine['memory_bytes'] / (1 << 30):.0f} GiB, {machine['system']};"
            f" repositories on {machine['file_system']}; load {machine['load_at_start']} at the start.",
            "",
            f"Programs: {machine['git']}; {machine['apache']}; {machine['curl']}; {machine['openssl']};"
            f" {machine['rustc'] or 'no rustc'}.",
        ]

    def _table(self, scenario: Scenario, summaries: Dict[str, Summary]) -> List[str]:
        sizes = self.sizes[scenario.name]
        limits = [summaries[name] for name in LIMITS if name in summaries and summaries[name].samples]
        against = "".join(f" speed, {CONTENDERS[limit.contender].title} = 1 |" for limit in limits)
        last = "requests to source + target (one after another)" if scenario.latency else "requests to source + target"
        lines = [
            f"## {scenario.title}", "",
            f"`{scenario.name}`: the source has {sizes['pack_bytes'] / 1e6:.1f} MB in packs and"
            f" {sizes['refs']:,} references.", "",
            f"| way | time (shortest–longest) |{against} CPU here | largest process | our process: memory, CPU |"
            f" {last} |",
            "| --- |" + " ---: |" * (5 + len(limits)),
        ]
        return lines + [row(summary, limits, scenario.latency) for summary in summaries.values()] + [""]


def row(summary: Summary, limits: List[Summary], chain: bool) -> str:
    """One contender's line."""
    title = CONTENDERS[summary.contender].title
    if not summary.samples:
        words = (summary.failure or "not run").replace("|", "\\|").replace("\n", " ")
        return f"| {title} | failed: {words} |" + " |" * (4 + len(limits))
    peak, cpu = summary.own("measurement", "peak_rss_bytes"), summary.own_cpu_millis()
    own = f"{peak / MIB:.1f} MiB, {cpu:.0f} ms" if peak is not None and cpu is not None else ""
    asked = [summary.count(name) for name in ("source_requests", "target_requests", "request_chain")]
    requests = f"{asked[0]} + {asked[1]}{f' ({asked[2]})' if chain else ''}" if any(asked) else ""
    speed = "".join(f" {limit.seconds / summary.seconds:.2f} |" for limit in limits)
    times = f"{seconds(summary.seconds)} ({seconds(summary.fastest)}–{seconds(summary.slowest)})"
    return (f"| {title} | {times} |{speed} {seconds(summary.cpu_seconds)} |"
            f" {summary.tree_peak_rss_bytes / MIB:.1f} MiB | {own} | {requests} |")
