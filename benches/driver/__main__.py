"""Runs the benchmarks: reads the command line, goes through the scenarios, writes the reports.

Contenders take turns within a scenario, so that a machine that gets slower or busier does so for all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List

import machine
import startup
from contenders import CONTENDERS, Case, Contender, fresh, wrong_refs
from measuring import Failed, Sample, Summary, parse_report, run_timed
from report import Report
from repositories import pack_bytes
from scenarios import SCENARIOS, Scenario, Stage
from servers import Server, longest_chain, make_certificates
from workspace import BenchError, Workspace, require_tools, warm

CHECKOUT = Path(__file__).resolve().parents[2]
RUNS = {"small": 3, "full": 5}
FREE_BYTES = {"small": 1 << 30, "full": 14 << 30}
START_UP = "start-up"
START_UP_RUNS = 20
# Apache writes its log after the answer.
LOG_SECONDS = 0.1


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benches/relay", description="Measure the relay beside git's own ways.")
    parser.add_argument("--setting", choices=["small", "full"], default="small",
                        help="small: some 3 minutes (the default); full: some 30, and 14 GB of disk under TMPDIR")
    parser.add_argument("--scenario", action="append", metavar="NAME",
                        help="only this one, whatever the setting; repeatable")
    parser.add_argument("--contender", action="append", metavar="NAME", choices=list(CONTENDERS),
                        help="only this way; repeatable")
    parser.add_argument("--runs", type=int, metavar="N", help="runs of each (default: small 3, full 5; big ones fewer)")
    parser.add_argument("--repo", type=Path, metavar="PATH",
                        help="a repository to use in place of the generated one of 10 MB")
    parser.add_argument("--bin-dir", type=Path, metavar="DIR", help="programs that are built already")
    parser.add_argument("--output", type=Path, metavar="DIR", default=CHECKOUT / "target" / "benchmarks",
                        help="where results.md, results.json and results.svg go (default: target/benchmarks)")
    parser.add_argument("--keep", action="store_true", help="keep the temporary directory")
    parser.add_argument("--list", action="store_true", help="list scenarios and ways, and do nothing")
    given = parser.parse_args()
    known = {scenario.name for scenario in SCENARIOS} | {START_UP}
    unknown = sorted(set(given.scenario or []) - known)
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)} (--list tells them)")
    if given.runs is not None and given.runs < 1:
        parser.error("--runs must be at least 1")
    if given.bin_dir is None and not given.list:
        parser.error("needs --bin-dir when it is not started by benches/relay")
    return given


def say(words: str) -> None:
    """Tells the person who waits."""
    print(words, file=sys.stderr, flush=True)


def listing() -> None:
    """Prints the names that the command line takes."""
    for scenario in SCENARIOS:
        print(f"{scenario.name:24} {scenario.title}{'' if scenario.small else ' (full setting)'}")
    print(f"{START_UP:24} From exec to the first request\n")
    for contender in CONTENDERS.values():
        print(f"{contender.name:24} {contender.title.replace(chr(92), '')}")


def measure_once(stage: Stage, case: Case, contender: Contender) -> Sample:
    """One run from a fresh copy: timed, counted, and its result looked at."""
    fresh(case, contender)
    os.sync()
    sides = (stage.source, stage.target)
    positions = [side.log_position() for side in sides]
    sample, output = run_timed(stage.space, contender.command(case), stage.space.root)
    time.sleep(LOG_SECONDS)
    logs = [side.requests_since(position) for side, position in zip(sides, positions)]
    sample.source_requests, sample.target_requests = (len(log) for log in logs)
    if case.round_trip_millis:
        sample.request_chain = longest_chain([*logs[0], *logs[1]], case.round_trip_millis * 1000)
    if contender.reports:
        sample.report = parse_report(output)
    if contender.moves_refs and (wrong := wrong_refs(case)):
        raise Failed(f"{len(wrong)} references of the target are not the source's, {wrong[0]} among them")
    return sample


def measure(stage: Stage, scenario: Scenario, case: Case, given: argparse.Namespace) -> Dict[str, Summary]:
    """All runs of one scenario."""
    runs = given.runs or min(RUNS[given.setting], scenario.most_runs)
    left_out = () if given.setting == "full" else scenario.full_only
    wanted = given.contender or [name for name in scenario.contenders if name not in left_out]
    names = [name for name in scenario.contenders if name in wanted]
    summaries = {name: Summary(name) for name in names}
    warm([case.source, case.template])
    for run in range(runs):
        for name, summary in summaries.items():
            if summary.failure is not None:
                continue
            try:
                sample = measure_once(stage, case, CONTENDERS[name])
            except Failed as failure:
                # A contender with a failure has no figures at all: half of them would look like all of them.
                summary.failure, summary.samples = str(failure), []
                say(f"  {name}: {failure}")
                continue
            summary.samples.append(sample)
            say(f"  {name} {run + 1}/{runs}: {sample.seconds:.3f} s")
    return summaries


def chosen(given: argparse.Namespace) -> List[Scenario]:
    """The scenarios of this run."""
    if given.scenario:
        wanted = [scenario for scenario in SCENARIOS if scenario.name in given.scenario]
    else:
        wanted = [scenario for scenario in SCENARIOS if scenario.small or given.setting == "full"]
    if given.repo is None:
        return wanted
    name = given.repo.resolve().name
    return [dataclasses.replace(scenario, title=scenario.title.replace("10 MB", name)) for scenario in wanted]


def asked_for(given: argparse.Namespace) -> List[str]:
    """The options that say what was measured; where things lie on this machine says nothing to others."""
    options = [f"--setting={given.setting}"]
    options += [f"--scenario={name}" for name in given.scenario or []]
    options += [f"--contender={name}" for name in given.contender or []]
    options += [f"--runs={given.runs}"] if given.runs else []
    return options + ([f"--repo={given.repo.resolve().name}"] if given.repo else [])


def run_all(given: argparse.Namespace, stage: Stage) -> Report:
    """Everything that was asked for."""
    report = Report(machine.describe(stage.space, CHECKOUT), asked_for(given))
    scenarios = chosen(given)
    for place, scenario in enumerate(scenarios):
        say(f"{scenario.name}: {scenario.title}")
        case = stage.set_up(scenario)
        sizes = {"pack_bytes": pack_bytes(case.source), "refs": len(case.new)}
        report.add(scenario, measure(stage, scenario, case, given), sizes)
        stage.tear_down(case, scenarios[place + 1:])
        # What has been measured stays, whatever happens next.
        report.write(given.output)
    if not given.scenario or START_UP in given.scenario:
        say(f"{START_UP}: from exec to the first request")
        report.start_up = startup.measure(stage.space, START_UP_RUNS)
    report.write(given.output)
    return report


def check_disk(root: Path, given: argparse.Namespace) -> None:
    """Refuses to begin what would fill the disk."""
    wanted = FREE_BYTES["full" if any(not scenario.small for scenario in chosen(given)) else "small"]
    free = shutil.disk_usage(root).free
    if free < wanted:
        raise BenchError(f"{root} has {free >> 20} MiB free and {wanted >> 20} are needed: set TMPDIR to a larger disk")


def main() -> int:
    """The program; returns its exit code."""
    given = arguments()
    if given.list:
        listing()
        return 0
    # As ctrl-C: everything is stopped and removed on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as closing:
        root = Path(tempfile.mkdtemp(prefix="bench-relay-"))
        if not given.keep:
            closing.callback(shutil.rmtree, root, ignore_errors=True)
        check_disk(root, given)
        space = Workspace(root, require_tools(), given.bin_dir.resolve())
        for program in ("git-relay", "git-remote-relay"):
            # Else git would take one that happens to be installed.
            if not (space.bin_dir / program).exists():
                raise BenchError(f"{space.bin_dir} has no {program}")
        space.prepare()
        make_certificates(space)
        stage = Stage(space, Server(space, "source"), Server(space, "target"), given.repo)
        closing.callback(stage.stop)
        stage.source.start()
        stage.target.start()
        report = run_all(given, stage)
        print(report.markdown())
    say(f"written to {given.output}")
    if given.keep:
        say(f"kept: {root}")
    failed = any(summary.failure for _, summaries in report.measured for summary in summaries.values())
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as problem:
        sys.exit(f"benches/relay: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
