"""What the figures were measured on: a figure without this means nothing later."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from pathlib import Path
from typing import Dict

from workspace import Workspace, find_tool


def first_line(*command: str) -> str:
    """The first line that a program prints, or nothing if there is no such program."""
    path = find_tool(command[0])
    if path is None:
        return ""
    done = subprocess.run([path, *command[1:]], capture_output=True, check=False, timeout=60)
    lines = (done.stdout or done.stderr).decode(errors="replace").strip().splitlines()
    return lines[0] if lines else ""


def processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def memory_bytes() -> int:
    """Memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def file_system(path: Path) -> str:
    """The kind of file system that the repositories lie on: what a push waits for in the end is its disk."""
    return first_line("stat", "--file-system", "--format=%T", str(path))


def revision(space: Workspace, checkout: Path) -> str:
    """The commit that this checkout is at, with a mark if there are changes, or nothing without a repository."""
    inside = subprocess.run(
        ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12"],
        env=space.env, capture_output=True, check=False,
    )
    return inside.stdout.decode().strip()


def describe(space: Workspace, checkout: Path) -> Dict[str, object]:
    """Everything about where and when, for the reports."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "revision": revision(space, checkout),
        "relay": space.run([str(space.bin_dir / "git-relay"), "--version"]).decode().strip(),
        "processor": processor(),
        "cores": os.cpu_count() or 0,
        "memory_bytes": memory_bytes(),
        "file_system": file_system(space.root),
        "load_at_start": round(os.getloadavg()[0], 2),
        # What follows the version is the name that somebody gave to a kernel of their own.
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "git": first_line("git", "--version"),
        "apache": first_line(space.tools["apache2"], "-v"),
        "curl": " ".join(first_line("curl", "--version").split()[:2]),
        "openssl": first_line("openssl", "version"),
        "rustc": first_line("rustc", "--version"),
        "python": platform.python_version(),
    }
