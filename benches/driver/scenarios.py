"""What is measured: which repository, what has changed, over which kind of line; and how it is set up.

To add a scenario, add a line to SCENARIOS.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import repositories
from contenders import Case
from latency import LatencyProxy
from repositories import Shape
from servers import Server, give_to_server
from workspace import Workspace, copy_tree, remove_tree

LATENCY_MILLIS = 50

MOVE = ("relay", "push", "mirror", "bare", "curl")
CHANGE = ("relay", "push", "warm", "mirror", "bare", "curl")
LOOK = ("relay", "push", "warm", "mirror", "ask")

SHAPES = {
    "little": Shape(commits=400, files=150),
    "10mb": Shape(commits=4_000, files=2_000, edits=4),
    "200mb": Shape(commits=75_000, files=37_500, edits=4, branches=200, tags=100),
    # Most of it in files that do not compress, as in repositories of that size.
    "2gb": Shape(commits=75_000, files=37_500, edits=4, assets=450, branches=200, tags=100),
    "10k-refs": Shape(commits=10_000, files=200, edits=1, lines=40, every_commit=True),
    "100k-refs": Shape(commits=100_000, files=200, edits=1, lines=40, every_commit=True),
}


@dataclass(frozen=True)
class Scenario:
    """One table of the report."""

    name: str
    title: str
    repository: str
    # What the target lacks: "everything", "nothing", a number of commits, or ten commits in the place of ten others
    # that it has: "rewritten" on a branch that begins at the default branch, "rewritten-default" on that itself.
    lacks: str
    contenders: Tuple[str, ...]
    # Whether the small setting has it.
    small: bool = True
    filters: bool = True
    tls: bool = False
    latency: bool = False
    most_runs: int = 100
    # Left out in the small setting: too slow for it.
    full_only: Tuple[str, ...] = ()
    # The same without latency.
    twin: Optional[str] = None


SCENARIOS = [
    Scenario("bootstrap-small", "Bootstrap, 0.8 MB", "little", "everything", MOVE),
    Scenario("bootstrap-10mb", "Bootstrap, 10 MB", "10mb", "everything", MOVE),
    Scenario("bootstrap-200mb", "Bootstrap, 200 MB", "200mb", "everything", MOVE, small=False, most_runs=2),
    Scenario("bootstrap-2gb", "Bootstrap, 2 GB", "2gb", "everything", MOVE, small=False, most_runs=1),
    Scenario("up-to-date", "Up to date, 41 references", "10mb", "nothing", LOOK),
    Scenario("one-commit", "One commit", "10mb", "1", CHANGE),
    Scenario("thousand-commits", "1,000 commits", "10mb", "1000", CHANGE),
    Scenario("no-filters", "1,000 commits, source without filters", "10mb", "1000", CHANGE, filters=False),
    Scenario("forced", "Forced: a rebased branch of ten commits", "10mb", "rewritten", CHANGE),
    Scenario("forced-default", "Forced: ten commits of the default branch, whose parent no reference names", "10mb",
             "rewritten-default", CHANGE, small=False, most_runs=3),
    # Git's own push over http compares each reference with each: half a minute here, an hour with ten times as many.
    Scenario("bootstrap-10k-refs", "Bootstrap, 10,000 references", "10k-refs", "everything", MOVE, most_runs=2,
             full_only=("mirror",)),
    Scenario("up-to-date-10k-refs", "Up to date, 10,000 references", "10k-refs", "nothing", LOOK),
    Scenario("bootstrap-100k-refs", "Bootstrap, 100,000 references", "100k-refs", "everything",
             ("relay", "push", "bare", "curl"), small=False, most_runs=1),
    Scenario("up-to-date-100k-refs", "Up to date, 100,000 references", "100k-refs", "nothing", LOOK, small=False,
             most_runs=2),
    Scenario("latency-bootstrap", "Bootstrap, 0.8 MB, 50 ms each way", "little", "everything",
             ("relay", "push", "mirror", "curl"), latency=True, twin="bootstrap-small"),
    Scenario("latency-up-to-date", "Up to date, 50 ms each way", "10mb", "nothing",
             ("relay", "push", "warm", "ask"), latency=True, twin="up-to-date"),
    Scenario("latency-one-commit", "One commit, 50 ms each way", "10mb", "1",
             ("relay", "push", "warm", "curl"), latency=True, twin="one-commit"),
    Scenario("tls-bootstrap-10mb", "Bootstrap, 10 MB, TLS on both sides", "10mb", "everything", MOVE, tls=True),
    Scenario("tls-bootstrap-200mb", "Bootstrap, 200 MB, TLS on both sides", "200mb", "everything", MOVE, small=False,
             tls=True, most_runs=2),
]

# Scenarios that a repository given by --repo takes part in, in the place of the generated one of 10 MB.
REAL_REPOSITORY_FOR = "10mb"


@dataclass
class Stage:
    """The servers, the line between, and the repositories made so far."""

    space: Workspace
    source: Server
    target: Server
    real: Optional[Path] = None
    proxy: Optional[LatencyProxy] = None
    made: Dict[str, Path] = field(default_factory=dict)

    def start_proxy(self) -> LatencyProxy:
        """The latency proxy before both plain ports."""
        if self.proxy is None:
            self.proxy = LatencyProxy(self.space, LATENCY_MILLIS, [self.source.plain_port, self.target.plain_port])
            self.proxy.start()
        return self.proxy

    def stop(self) -> None:
        """Stops whatever runs."""
        if self.proxy is not None:
            self.proxy.stop()
        for server in (self.source, self.target):
            server.stop()

    def set_up(self, scenario: Scenario) -> Case:
        """Everything that the scenario needs, up to the fresh copies of each run."""
        source, template = self._states(scenario)
        self.space.git("config", "uploadpack.allowFilter", str(scenario.filters).lower(), cwd=source)
        source_url, target_url = self._urls(scenario, source.name)
        form = self.space.git("rev-parse", "--show-object-format", cwd=source).decode().strip()
        return Case(
            space=self.space, source=source, target=self.target.repositories / "target.git",
            source_url=source_url, target_url=target_url, template=template,
            old=repositories.refs(self.space, template), new=repositories.refs(self.space, source),
            forced=scenario.lacks.startswith("rewritten"), object_format=form,
            round_trip_millis=2 * LATENCY_MILLIS if scenario.latency else 0,
        )

    def tear_down(self, case: Case, later: List[Scenario]) -> None:
        """Gives back the disk that no later scenario needs."""
        remove_tree(case.target)
        remove_tree(case.scratch)
        still = {scenario.repository for scenario in later}
        for key in [key for key in self.made if key.split("/")[0] not in still]:
            shutil.rmtree(self.made.pop(key))

    def _urls(self, scenario: Scenario, source: str) -> Tuple[str, str]:
        if not scenario.latency:
            return self.source.url(source, scenario.tls), self.target.url("target.git", scenario.tls)
        near, far = self.start_proxy().ports
        return self.source.url(source, port=near), self.target.url("target.git", port=far)

    def _states(self, scenario: Scenario) -> Tuple[Path, Path]:
        """The source as it is, and the target as it is before each run."""
        base = self._base(scenario.repository)
        if scenario.lacks == "everything":
            return base, self._template(scenario.repository, None)
        if scenario.lacks == "nothing":
            return base, self._template(f"{scenario.repository}/same", base)
        if scenario.lacks.startswith("rewritten"):
            key = f"{scenario.repository}/{scenario.lacks}"
            branch = "refs/heads/rebased" if scenario.lacks == "rewritten" else None
            others = self._longer(f"{key}-theirs", base, 10, 3, branch)
            return self._longer(f"{key}-ours", base, 10, 2, branch), self._template(f"{key}-theirs", others)
        longer = self._longer(f"{scenario.repository}/{scenario.lacks}", base, int(scenario.lacks), 2)
        return longer, self._template(f"{scenario.repository}/same", base)

    def _base(self, name: str) -> Path:
        path = self.source.repositories / f"{name}.git"
        if name not in self.made:
            if name == REAL_REPOSITORY_FOR and self.real is not None:
                repositories.import_real(self.space, path, self.real)
            else:
                repositories.generate(self.space, path, SHAPES[name])
            self.made[name] = path
        return path

    def _longer(self, key: str, base: Path, commits: int, seed: int, branch: Optional[str] = None) -> Path:
        path = self.source.repositories / f"{key.replace('/', '-')}.git"
        if key not in self.made:
            copy_tree(base, path)
            repositories.append(self.space, path, commits, seed, branch)
            self.made[key] = path
        return path

    def _template(self, key: str, state: Optional[Path]) -> Path:
        key = f"{key}/template"
        path = self.space.root / "templates" / key.replace("/", "-")
        if key not in self.made:
            if state is not None:
                copy_tree(state, path)
            else:
                base = self.made[key.split("/")[0]]
                form = self.space.git("rev-parse", "--show-object-format", cwd=base).decode().strip()
                self.space.git("init", "-q", "--bare", f"--object-format={form}", str(path))
            self.space.git("config", "http.receivepack", "true", cwd=path)
            give_to_server(path)
            self.made[key] = path
        return path
