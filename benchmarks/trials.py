"""Trials of `avemotion preprocess`: its files must stay whole, its store completable."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path

from avemotion.data.checksums import JOURNAL_NAME

CODES = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
"""Emotions of an actor's clips."""

UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
"""Before a command: root, too, then respects permissions."""


class Trials:
    """One corpus, its undisturbed store, and the result of every trial."""

    def __init__(self, corpus: Path, work: Path) -> None:
        """Make the undisturbed store."""
        self.corpus, self.work = corpus, work
        self.tried: Counter[str] = Counter()
        self.wrong: dict[str, list[str]] = {}
        self.observations = 0
        start = time.monotonic()
        self.finish(work / "undisturbed")
        self.seconds = time.monotonic() - start
        self.expected = contents(work / "undisturbed")

    def command(self, out: Path) -> list[str]:
        """Return the command's words."""
        return ["preprocess", str(self.corpus), "--out", str(out), "--workers", "2", "--views", "2"]

    def start(self, out: Path, before: list[str] | None = None, **how: object) -> subprocess.Popen:
        """Start the command in a session of its own."""
        words = [*(before or []), sys.executable, "-m", "avemotion", *self.command(out)]
        return subprocess.Popen(
            words, start_new_session=True, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
            text=True, **how,  # type: ignore[call-overload]
        )  # fmt: skip

    def finish(self, out: Path) -> None:
        """Run the command to its end, which must be a good one."""
        done = subprocess.run(
            [sys.executable, "-m", "avemotion", *self.command(out)], capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"a plain run fails: {done.stderr}")

    def shards(self, out: Path) -> int:
        """Count the actors whose arrays are written."""
        return len(list(out.glob("actors/*.safetensors")))

    @property
    def actors(self) -> int:
        """Count those of the undisturbed store."""
        return self.shards(self.work / "undisturbed")

    def check(self, kind: str, out: Path, *complaints: str) -> None:
        """Record a trial: its files must be whole, and another run must finish the store."""
        self.tried[kind] += 1
        found = [*complaints, *self.half_written(out)]
        self.finish(out)
        if contents(out) != self.expected:
            found.append("the store differs from the undisturbed one")
        self.wrong.setdefault(kind, []).extend(found)
        for complaint in found:
            print(f"{kind}: {complaint}", file=sys.stderr)

    def half_written(self, out: Path) -> list[str]:
        """Return files with a final name whose content is not final."""
        self.observations += 1
        bad = []
        for path in out.rglob("*"):
            name = path.relative_to(out).as_posix()
            if path.name.startswith(".") or path.is_dir():
                continue
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue  # replaced by the next one meanwhile
            if name == "manifest.csv":
                whole = set(content.splitlines()) <= set(self.expected[name].splitlines())
                whole &= content.endswith(b"\n")
            elif name == JOURNAL_NAME:  # what follows its last line break counts for nothing
                whole = all(map(json.loads, content.split(b"\n")[:-1]))
            else:
                whole = content == self.expected[name]
            bad += [] if whole else [f"{name} is half-written"]
        return bad


def contents(store: Path) -> dict[str, bytes]:
    return {
        path.relative_to(store).as_posix(): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def lay_out(corpus: Path, clips: list[Path], actors: int) -> None:
    (corpus / "VideoFlash").mkdir(parents=True)
    for number, (actor, code) in enumerate(product(range(1001, 1001 + actors), CODES)):
        video = corpus / "VideoFlash" / f"{actor}_DFA_{code}_XX.flv"
        shutil.copyfile(clips[number % len(clips)], video)


def wait_until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    while not condition() and process.poll() is None:
        time.sleep(0.002)


def members(session: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, number = entry.read_text().rsplit(")", 1)[1].split()[:4]
        except OSError:
            continue
        if int(number) == session and state != "Z":
            found.append(int(entry.parent.name))
    return found
