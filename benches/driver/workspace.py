"""The one temporary directory of a run, the environment that every program in it gets, and the tools it needs.

Nothing here knows what is measured.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence

# Where system programs are when PATH of an ordinary user does not name it.
SYSTEM_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin", "/sbin")

GIT_CONFIG = """\
[user]
	name = Bench
	email = bench@example.com
[init]
	defaultBranch = main
# A server as root hands its repositories to another user; both may read them.
[safe]
	directory = *
# Housekeeping in the background would fall into somebody else's measurement.
[gc]
	auto = 0
[maintenance]
	auto = false
[receive]
	autogc = false
[advice]
	pushUpdateRejected = false
"""


class BenchError(Exception):
    """What stops the run, in words for the person who started it."""


def find_tool(*names: str) -> Optional[str]:
    """The path of the first program found under one of the names."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_DIRECTORIES])
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    return None


def require_tools() -> Dict[str, str]:
    """Paths of everything a run needs; says all that is missing at once."""
    wanted = {
        "git": ("git",),
        "apache2": ("apache2", "httpd"),
        "openssl": ("openssl",),
        "curl": ("curl",),
        "time": ("/usr/bin/time", "gtime"),
        "bash": ("bash",),
    }
    found = {name: find_tool(*names) for name, names in wanted.items()}
    missing = sorted(name for name, path in found.items() if path is None)
    if missing:
        # The server alone, without a service that starts at once.
        packages = " ".join(name.replace("apache2", "apache2-bin") for name in missing)
        raise BenchError(
            f"needs {', '.join(missing)}: on Debian, apt-get install --no-install-recommends {packages}"
        )
    return {name: path for name, path in found.items() if path is not None}


@dataclass
class Workspace:
    """A directory that goes away after the run, and how programs are run in it."""

    root: Path
    tools: Dict[str, str]
    bin_dir: Path

    def prepare(self) -> None:
        """Lays out the directory. A web server that runs as another user must get through it."""
        self.root.chmod(0o755)
        (self.root / "home").mkdir()
        (self.root / "gitconfig").write_text(GIT_CONFIG)

    @property
    def env(self) -> Dict[str, str]:
        """The environment of everything that is run: this machine's programs, nobody's configuration."""
        return {
            "PATH": os.pathsep.join([str(self.bin_dir), os.environ.get("PATH", ""), *SYSTEM_DIRECTORIES]),
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.root),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self.root / "gitconfig"),
            "GIT_TERMINAL_PROMPT": "0",
            # What generates repositories writes packed-refs.
            "GIT_DEFAULT_REF_FORMAT": "files",
            # curl has no other way to hear of it that fits into a short command line.
            "CURL_CA_BUNDLE": str(self.root / "tls" / "ca.pem"),
            "GIT_SSL_CAINFO": str(self.root / "tls" / "ca.pem"),
        }

    def run(self, command: Sequence[str], stdin: Optional[bytes] = None, cwd: Optional[Path] = None) -> bytes:
        """Runs a program of the preparation and returns what it printed."""
        done = subprocess.run(
            list(command), input=stdin, cwd=cwd or self.root, env=self.env, capture_output=True, check=False
        )
        if done.returncode != 0:
            words = done.stderr.decode(errors="replace").strip()
            raise BenchError(f"{' '.join(command)} failed with {done.returncode}: {words}")
        return done.stdout

    def git(self, *arguments: str, stdin: Optional[bytes] = None, cwd: Optional[Path] = None) -> bytes:
        """Runs git."""
        return self.run(["git", *arguments], stdin=stdin, cwd=cwd)


def copy_tree(source: Path, destination: Path) -> None:
    """A fresh copy with owners and times, as `cp -a` makes it; whatever stood there before is gone."""
    remove_tree(destination)
    destination.parent.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", "--", str(source), str(destination)], check=True)


def remove_tree(path: Path) -> None:
    """Removes a directory if it is there."""
    if path.exists():
        shutil.rmtree(path)


def warm(paths: List[Path]) -> None:
    """Reads every file once, so that all contenders find them in the page cache."""
    for path in paths:
        for file in sorted(path.rglob("*")):
            if file.is_file():
                with file.open("rb") as stream:
                    while stream.read(1 << 20):
                        pass
