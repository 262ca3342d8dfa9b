"""From starting a program to its first request: a listener on this machine takes the time.

The time runs from just before the process is made, so making it is part of the figure; a program that does nothing but
connect (curl) stands beside ours for comparison.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any, Dict, List

from workspace import BenchError, Workspace

ACCEPT_SECONDS = 10
ANSWER = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def commands(space: Workspace, empty: Path, port: int) -> Dict[str, List[str]]:
    """What is started, by the name in the report."""
    source, target = (f"http://127.0.0.1:{port}/{side}.git" for side in ("source", "target"))
    own = str(space.bin_dir / "git-relay")
    return {
        "`git-relay sync`": [own, "sync", source, target],
        "`git relay sync`": ["git", "relay", "sync", source, target],
        "`git push relay::`": ["git", "-C", str(empty), "push", f"relay::{source}=>{target}", "refs/heads/*"],
        "`git ls-remote`": ["git", "ls-remote", source],
        "`curl`": [space.tools["curl"], "-s", source],
    }


def first_request(space: Workspace, command: List[str], listener: socket.socket) -> float:
    """Milliseconds until the first byte of the first request."""
    before = time.perf_counter()
    process = subprocess.Popen(
        command, env=space.env, cwd=space.root, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )
    try:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(ACCEPT_SECONDS)
            if not connection.recv(1):
                raise BenchError(f"{command[0]} connected and asked nothing")
            millis = (time.perf_counter() - before) * 1000
            connection.sendall(ANSWER)
    except socket.timeout as error:
        raise BenchError(f"{' '.join(command)} made no request within {ACCEPT_SECONDS} s") from error
    finally:
        end(process)
    return millis


def end(process: "subprocess.Popen[bytes]") -> None:
    """Stops what was started and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def measure(space: Workspace, runs: int) -> List[Dict[str, Any]]:
    """Every command, so many times; one row for each."""
    empty = space.root / "start-up.git"
    space.git("init", "-q", "--bare", str(empty))
    rows = []
    for place, name in enumerate(commands(space, empty, 0)):
        millis = []
        for _ in range(runs + 1):
            # A listener of its own each time: what a stopped program left in the queue is gone.
            with socket.create_server(("127.0.0.1", 0)) as listener:
                listener.settimeout(ACCEPT_SECONDS)
                command = list(commands(space, empty, listener.getsockname()[1]).values())[place]
                millis.append(first_request(space, command, listener))
        # The first one filled the page cache.
        millis = millis[1:]
        rows.append({"command": name, "median_millis": statistics.median(millis), "min_millis": min(millis),
                     "max_millis": max(millis)})
    return rows
