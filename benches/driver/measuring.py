"""One timed run of a command, and the summary of several.

Time is the driver's clock around the whole command. CPU and memory are those of the command and all that it waited
for; memory is that of the largest process. `/usr/bin/time` stands in between because a process counts as its own what
the one that started it had in memory, and that one should be small.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from workspace import BenchError, Workspace

# Longer than anything here takes on a machine that is fit for it.
MAX_SECONDS = 600


@dataclass
class Sample:
    """What one run took."""

    seconds: float
    user_seconds: float
    system_seconds: float
    tree_peak_rss_bytes: int
    source_requests: Optional[int] = None
    target_requests: Optional[int] = None
    # Requests that had to wait for one another; without latency nobody could tell.
    request_chain: Optional[int] = None
    # Only from our own programs: the report of `git relay sync --json --stats --measure-memory`.
    report: Optional[Dict[str, Any]] = field(default=None, repr=False)

    @property
    def cpu_seconds(self) -> float:
        """User and system time together."""
        return self.user_seconds + self.system_seconds


class Failed(Exception):
    """A contender's command failed; the words are its own."""


def run_timed(space: Workspace, command: Sequence[str], cwd: Path) -> "tuple[Sample, bytes]":
    """Runs a command and returns what it took and what it printed."""
    rss_file, words_file, output_file = (space.root / f"run-{name}" for name in ("rss", "words", "output"))
    wrapped = [space.tools["time"], "-q", "-f", "%M", "-o", str(rss_file), *command]
    with words_file.open("wb") as words, output_file.open("wb") as output:
        before = time.perf_counter()
        process = subprocess.Popen(
            wrapped, cwd=cwd, env=space.env, stdin=subprocess.DEVNULL, stdout=output, stderr=words,
            start_new_session=True,
        )
        try:
            _, status, usage = wait(process)
            seconds = time.perf_counter() - before
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    if status != 0:
        tail = words_file.read_text(errors="replace").strip()[-2000:]
        raise Failed(f"{' '.join(command)[:300]}: {process.returncode}: {tail}")
    rss = int(rss_file.read_text().split()[-1]) * 1024
    return Sample(seconds, usage.ru_utime, usage.ru_stime, rss), output_file.read_bytes()


def wait(process: "subprocess.Popen[bytes]") -> "tuple[int, int, Any]":
    """Waits for the process with the account of what it used; by the clock if it never ends."""

    def too_long(_signal: int, _frame: object) -> None:
        raise Failed(f"still running after {MAX_SECONDS} s")

    previous = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(MAX_SECONDS)
    try:
        pid, status, usage = os.wait4(process.pid, 0)
        # Popen must not wait for it again.
        process.returncode = os.waitstatus_to_exitcode(status)
        return pid, status, usage
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


@dataclass
class Summary:
    """Several runs of one contender in one scenario, or why there are none."""

    contender: str
    samples: List[Sample] = field(default_factory=list)
    failure: Optional[str] = None

    @property
    def seconds(self) -> float:
        """The median time."""
        return statistics.median(sample.seconds for sample in self.samples)

    @property
    def fastest(self) -> float:
        """The shortest time."""
        return min(sample.seconds for sample in self.samples)

    @property
    def slowest(self) -> float:
        """The longest time."""
        return max(sample.seconds for sample in self.samples)

    @property
    def cpu_seconds(self) -> float:
        """The median CPU time of the command and its children."""
        return statistics.median(sample.cpu_seconds for sample in self.samples)

    @property
    def tree_peak_rss_bytes(self) -> int:
        """The most that a single process had in memory, over all runs."""
        return max(sample.tree_peak_rss_bytes for sample in self.samples)

    def own(self, *keys: str) -> Optional[float]:
        """The median of a number in our own report, the most for a peak, or nothing where there is none."""
        values = [value for sample in self.samples if (value := dig(sample.report, keys)) is not None]
        if not values:
            return None
        return max(values) if keys[-1].startswith("peak") else statistics.median(values)

    def count(self, name: str) -> Optional[int]:
        """The median of a request count."""
        values = [getattr(sample, name) for sample in self.samples if getattr(sample, name) is not None]
        return round(statistics.median(values)) if values else None

    def to_json(self) -> Dict[str, Any]:
        """Everything, for the JSON report."""
        if not self.samples:
            return {"contender": self.contender, "failure": self.failure}
        return {
            "contender": self.contender,
            "seconds": {"median": self.seconds, "min": self.fastest, "max": self.slowest},
            "cpu_seconds": self.cpu_seconds,
            "tree_peak_rss_bytes": self.tree_peak_rss_bytes,
            "own": {"peak_rss_bytes": self.own("measurement", "peak_rss_bytes"), "cpu_millis": self.own_cpu_millis()},
            "samples": [asdict(sample) for sample in self.samples],
        }

    def own_cpu_millis(self) -> Optional[float]:
        """CPU time of our own process, user and system."""
        user, system = (self.own("measurement", f"{kind}_cpu_millis") for kind in ("user", "system"))
        return None if user is None or system is None else user + system


def dig(report: Optional[Dict[str, Any]], keys: Sequence[str]) -> Optional[float]:
    """A value inside nested objects, or nothing."""
    value: Any = report
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, (int, float)) else None


def parse_report(output: bytes) -> Dict[str, Any]:
    """The JSON object that our programs print. Its refs are left out: 100,000 of them say nothing here."""
    try:
        report: Dict[str, Any] = json.loads(output)
    except ValueError as error:
        raise BenchError(f"the report of git relay is no JSON: {error}") from error
    report.pop("refs", None)
    return report
