"""The ways of doing the same work: ours, git's own, and the bare limits of what git and the servers can do at all.

A contender brings the target from its old state to the source's. It gets a fresh copy of everything it changes before
each run; only its command is timed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Sequence, Tuple

from repositories import refs
from workspace import Workspace, copy_tree, remove_tree

ID_LENGTHS = {"sha1": 40, "sha256": 64}


@dataclass
class Case:
    """One scenario, ready to be run: where the two sides are and what has to change."""

    space: Workspace
    source: Path
    target: Path
    source_url: str
    target_url: str
    # The state that the target has before each run.
    template: Path
    old: Dict[str, str]
    new: Dict[str, str]
    forced: bool = False
    # Of the line to both sides; 0 where they are near.
    round_trip_millis: int = 0
    object_format: str = "sha1"

    @property
    def scratch(self) -> Path:
        """A place for what a contender needs beside the two sides."""
        return self.space.root / "scratch"

    def updates(self) -> List[Tuple[str, str, str]]:
        """What a push has to name: reference, old value, new value."""
        zeros = "0" * ID_LENGTHS[self.object_format]
        return [(name, self.old.get(name, zeros), oid) for name, oid in sorted(self.new.items())
                if self.old.get(name) != oid]

    def common(self) -> List[str]:
        """What the target's references name and the source has."""
        asked = "".join(f"{oid}\n" for oid in sorted(set(self.old.values())))
        answers = self.space.git("cat-file", "--batch-check=%(objectname)", stdin=asked.encode(), cwd=self.source)
        return [line for line in answers.decode().splitlines() if not line.endswith(" missing")]


@dataclass
class Contender:
    """A way of doing the work."""

    name: str
    title: str
    command: Callable[[Case], List[str]]
    prepare: Callable[[Case], None] = field(default=lambda case: None)
    # Whether its command prints our JSON report.
    reports: bool = False
    # Whether the target's references must be the source's afterwards.
    moves_refs: bool = True


def bash(script: str, *arguments: object) -> List[str]:
    """A pipeline that fails when a part of it fails."""
    return ["bash", "-euo", "pipefail", "-c", script, "bench", *map(str, arguments)]


def pkt(line: str) -> bytes:
    """A packet line (gitprotocol-common)."""
    data = line.encode()
    return b"%04x%s" % (len(data) + 4, data)


# --- ours ---


def sync_command(case: Case) -> List[str]:
    force = ["--force"] if case.forced else []
    return ["git", "relay", "sync", "--tags", *force, "--json", "--stats", "--measure-memory",
            case.source_url, case.target_url]


def push_prepare(case: Case) -> None:
    case.space.git("init", "-q", "--bare", str(case.scratch / "empty"))


def push_command(case: Case) -> List[str]:
    plus = "+" if case.forced else ""
    return ["git", "-C", str(case.scratch / "empty"), "push", "-q", f"relay::{case.source_url}=>{case.target_url}",
            f"{plus}refs/heads/*:refs/heads/*", f"{plus}refs/tags/*:refs/tags/*"]


# --- git's own ---


def mirror_command(case: Case) -> List[str]:
    return bash('git clone -q --mirror "$1" "$3" && git -C "$3" push -q --mirror "$2"',
                case.source_url, case.target_url, case.scratch / "mirror")


def warm_prepare(case: Case) -> None:
    clone = case.scratch / "warm"
    copy_tree(case.template, clone)
    for key, value in (("url", case.source_url), ("fetch", "+refs/*:refs/*"), ("mirror", "true")):
        case.space.git("config", f"remote.origin.{key}", value, cwd=clone)


def warm_command(case: Case) -> List[str]:
    return bash('git -C "$2" fetch -q --prune origin && git -C "$2" push -q --mirror "$1"',
                case.target_url, case.scratch / "warm")


# --- the bare limits ---


def bare_prepare(case: Case) -> None:
    changed = case.updates()
    wants = sorted({new for _, _, new in changed})
    lines = wants + [f"^{oid}" for oid in case.common()]
    (case.scratch / "revisions").write_text("\n".join(lines) + "\n")


def bare_command(case: Case) -> List[str]:
    thin = "--thin" if case.old else "--delta-base-offset"
    return bash('git -C "$1" pack-objects --revs --stdout --delta-base-offset "$4" -q <"$3" |'
                ' git -C "$2" index-pack --stdin --fix-thin',
                case.source, case.target, case.scratch / "revisions", thin)


def curl_prepare(case: Case) -> None:
    """Writes down both requests. Without a side band in either direction the bytes need no unpacking on the way."""
    changed, form = case.updates(), f"object-format={case.object_format} agent=bench"
    thin = " thin-pack" if case.old else ""
    wants = sorted({new for _, _, new in changed})
    fetch = [pkt(f"want {oid}{f' ofs-delta{thin} {form}' if place == 0 else ''}\n") for place, oid in enumerate(wants)]
    fetch += [b"0000", *(pkt(f"have {oid}\n") for oid in case.common()), pkt("done\n")]
    (case.scratch / "fetch-request").write_bytes(b"".join(fetch))
    push = []
    for place, (name, old, new) in enumerate(changed):
        push.append(pkt(f"{old} {new} {name}" + (f"\0report-status {form}" if place == 0 else "")))
    (case.scratch / "commands").write_bytes(b"".join(push) + b"0000")


def curl_command(case: Case) -> List[str]:
    # `NAK`, or `ACK` and the first object that both have (without multi_ack no more), and then nothing but the pack.
    head = len(pkt(f"ACK {next(iter(case.old.values()))}\n")) if case.old else len(pkt("NAK\n"))
    script = """
        { cat "$3/commands"
          curl -sSf -H 'Content-Type: application/x-git-upload-pack-request' \
              --data-binary @"$3/fetch-request" "$1/git-upload-pack" | tail -c "+$4"
        } | curl -sSf -X POST -T - -H 'Expect:' -H 'Content-Type: application/x-git-receive-pack-request' \
              -o "$3/report" "$2/git-receive-pack"
    """
    return bash(script, case.source_url, case.target_url, case.scratch, head + 1)


def ask_prepare(case: Case) -> None:
    body = pkt("command=ls-refs\n") + pkt("agent=bench") + pkt(f"object-format={case.object_format}") + b"0001"
    body += pkt("peel\n") + pkt("symrefs\n")
    body += b"".join(pkt(f"ref-prefix {prefix}\n") for prefix in ("HEAD", "refs/heads/", "refs/tags/"))
    (case.scratch / "ls-refs").write_bytes(body + b"0000")


def ask_command(case: Case) -> List[str]:
    v2 = ["-H", "Git-Protocol: version=2"]
    quiet = ["-sSf", "-o", "/dev/null"]
    return ["curl", *quiet, *v2, f"{case.source_url}/info/refs?service=git-upload-pack",
            "--next", *quiet, *v2, "-H", "Content-Type: application/x-git-upload-pack-request",
            "--data-binary", f"@{case.scratch / 'ls-refs'}", f"{case.source_url}/git-upload-pack",
            "--next", *quiet, f"{case.target_url}/info/refs?service=git-receive-pack"]


CONTENDERS = {contender.name: contender for contender in (
    Contender("relay", "`git relay sync`", sync_command, reports=True),
    Contender("push", "`git push relay::`", push_command, push_prepare),
    Contender("mirror", "`git clone --mirror`, `git push --mirror`", mirror_command),
    Contender("warm", "`git fetch`, `git push --mirror` in a kept clone", warm_command, warm_prepare),
    Contender("bare", "`pack-objects \\| index-pack`", bare_command, bare_prepare, moves_refs=False),
    Contender("curl", "`curl \\| curl`", curl_command, curl_prepare),
    Contender("ask", "three requests by `curl`", ask_command, ask_prepare),
)}


def fresh(case: Case, contender: Contender) -> None:
    """Everything that a run changes, as it was before."""
    copy_tree(case.template, case.target)
    remove_tree(case.scratch)
    case.scratch.mkdir()
    contender.prepare(case)


def wrong_refs(case: Case) -> Sequence[str]:
    """References of the target that are not the source's."""
    have = refs(case.space, case.target)
    return sorted(name for name in have.keys() | case.new.keys() if have.get(name) != case.new.get(name))
