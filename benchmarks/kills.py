"""Kill `avemotion preprocess`, fill its disk, forbid it to write: is anything lost?

Each time the same command is given again afterwards, and the store must come out as if nothing had
happened, byte by byte. What lies under a final name must be whole at every moment.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from decoding import found_clips
from faulty_extraction import EXITS, HANGS, KILLED
from reporting import parser, publish, table
from trials import CODES, UNPRIVILEGED, Trials, lay_out, members, wait_until

from avemotion.data.store import read_manifest

IN_A_ROW = 30
"""Clips that kill, end or hold up their worker, one after the other."""

_DYING = """
import sys
from avemotion.data import preprocessing
from avemotion import cli
import faulty_extraction
preprocessing.CLIP_TIMEOUT_SECONDS = 1
preprocessing._extract = faulty_extraction.extract_or_fail
sys.exit(cli.main(sys.argv[1:]))
"""


def interrupt_at_random(trials: Trials, rng: np.random.Generator, out: Path, how: str) -> None:
    """Let a run come to a random actor, wait for a random moment, and kill it."""
    process = trials.start(out)
    done = int(rng.integers(0, trials.actors))
    wait_until(lambda: out.exists() and trials.shards(out) >= done, process)
    time.sleep(float(rng.random()) * trials.seconds / trials.actors)
    complaints = []
    if how == "only the parent killed":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGINT if how == "interrupted" else signal.SIGKILL)
    _, errors = process.communicate()
    if how == "interrupted" and "Traceback" in errors:
        complaints.append("a traceback")
    deadline = time.monotonic() + 30
    while (left := members(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if left:
        complaints.append(f"{len(left)} processes live on")
    trials.check(how, out, *complaints)


def watched(trials: Trials, out: Path) -> None:
    """Read all files again and again while an undisturbed run writes them."""
    process = trials.start(out)
    found: list[str] = []
    while process.poll() is None:
        found += trials.half_written(out) if out.exists() else []
        time.sleep(0.01)
    process.communicate()
    trials.check("watched while it writes", out, *found)


def two_at_once(trials: Trials, out: Path) -> None:
    first = trials.start(out)
    wait_until(lambda: (out / "store.json").exists(), first)
    second = trials.start(out)
    _, errors = second.communicate()
    complaints = []
    if second.returncode != 2 or "being written by another run" not in errors:
        complaints.append(f"the second run ended with {second.returncode}: {errors}")
    first.communicate()
    if first.returncode:
        complaints.append(f"the first run ended with {first.returncode}")
    trials.check("two runs at once", out, *complaints)


def refused(
    trials: Trials,
    kind: str,
    out: Path,
    process: subprocess.Popen,
    message: str,
    relieve: Callable[[], object] = lambda: None,
) -> None:
    """See that a run ended with one clear message, and that the store can be finished later."""
    _, errors = process.communicate()
    errors_shown = [line for line in errors.splitlines() if "error:" in line]
    complaints = []
    if process.returncode != 1 or len(errors_shown) != 1 or message not in errors_shown[0]:
        complaints.append(f"ended with {process.returncode}: {errors[-300:]}")
    if "Traceback" in errors:
        complaints.append("a traceback")
    relieve()
    trials.check(kind, out, *complaints)


@contextmanager
def small_disk(work: Path, kibibytes: int) -> Iterator[Path | None]:
    """Mount a file system in memory; None where that is not permitted."""
    folder = work / "disk"
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def full_disks(trials: Trials) -> None:
    """Fill the disk at several places of the run, and forbid large files."""
    size = sum(map(len, trials.expected.values())) // 1024
    for share in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98):
        with small_disk(trials.work, max(16, int(share * size))) as disk:
            if disk is None:
                print("mounting is not permitted: no disk is filled", file=sys.stderr)
                break
            out = disk / "features"
            refused(
                trials, "disk full", out, trials.start(out), "No space left on device. Free some",
                lambda disk=disk: remount(disk, f"size={4 * size}k"),
            )  # fmt: skip
    largest = max(map(len, trials.expected.values()))
    for limit in (100, largest // 2):
        out = trials.work / f"limited {limit}"
        process = trials.start(
            out,
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit,) * 2),
        )
        refused(trials, "files may not be that large", out, process, "File too large. Allow")


def forbidden(trials: Trials) -> None:
    """Take away the permission to write, from the start and in the middle of a run."""
    with small_disk(trials.work, 2**20) as disk:
        for begun in (False, True) if disk else ():
            out = disk / f"features {begun}"
            if begun:
                process = trials.start(out)
                wait_until(lambda out=out: trials.shards(out) > 0, process)
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                while members(process.pid):
                    time.sleep(0.05)
            remount(disk, "ro")
            message = "Read-only file system. Allow writing there"
            relieve = partial(remount, disk, "rw")
            refused(trials, "read-only", out, trials.start(out), message, relieve)
    before = UNPRIVILEGED if os.geteuid() == 0 else []
    for begun in (False, True):
        out = trials.work / f"locked {begun}"
        out.mkdir()
        process = trials.start(out, before) if begun else None
        if process is not None:
            wait_until(lambda out=out: trials.shards(out) > 0, process)
        folders = [out, *out.glob("actors")]
        for folder in folders:
            folder.chmod(0o555)
        refused(
            trials, "no permission to write", out, process or trials.start(out, before),
            "Permission denied. Allow writing there",
            lambda folders=folders: [folder.chmod(0o755) for folder in folders],
        )  # fmt: skip


def dying_workers(work: Path, clips: list[Path]) -> tuple[dict[str, int], list[str]]:
    """Run on clips that take their worker with them, many in a row; return ends and complaints."""
    corpus, out = work / "dying", work / "dying features"
    lay_out(corpus, clips, 2 + 3 * IN_A_ROW // len(CODES))
    videos = sorted((corpus / "VideoFlash").iterdir())
    faults = [None] * 6 + [KILLED] * IN_A_ROW + [EXITS] * IN_A_ROW + [HANGS] * IN_A_ROW + [None] * 6
    reasons = {
        KILLED: "crashed (SIGKILL",
        EXITS: "crashed (exit code 3",
        HANGS: "took longer than 1 s",
    }
    for video, fault in zip(videos, faults, strict=True):
        if fault is not None:
            video.write_bytes(fault)
    words = ["preprocess", str(corpus), "--out", str(out), "--workers", "2", "--views", "1"]
    done = subprocess.run(
        [sys.executable, "-c", _DYING, *words],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        capture_output=True,
        text=True,
    )
    rows = read_manifest(out)
    wrong = [] if done.returncode == 1 else [f"exit code {done.returncode}: {done.stderr[-500:]}"]
    wrong += ["clips are missing"] * (len(rows) != len(videos))
    for row, fault in zip(rows, faults, strict=False):
        expected = row.status == "av" if fault is None else reasons[fault] in row.reason
        wrong += [] if expected else [f"{row.clip}, {fault!r}: {row.status}, {row.reason}"]
    return dict(Counter(row.reason or row.status for row in rows)), wrong


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--clips", type=Path, help="folder of FLV files")
    arguments.add_argument("--actors", type=int, default=5, help="of the corpus; 6 clips each")
    arguments.add_argument("--kills", type=int, default=20, help="of the whole process group")
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    rng = np.random.default_rng(given.seed)
    with found_clips(given.clips) as (clips, called), tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        lay_out(work / "crema", clips, given.actors)
        trials = Trials(work / "crema", work)
        ways = ["killed"] * given.kills + ["only the parent killed", "interrupted"] * 3
        for number, how in enumerate(ways):
            interrupt_at_random(trials, rng, work / f"out {number}", how)
        watched(trials, work / "watched")
        for number in range(3):
            two_at_once(trials, work / f"two {number}")
        full_disks(trials)
        forbidden(trials)
        ends, wrong = dying_workers(work, clips)
    trials.tried["workers killed, ended, held up"] = 3 * IN_A_ROW
    trials.wrong["workers killed, ended, held up"] = wrong
    for complaint in wrong:
        print(complaint, file=sys.stderr)
    publish(
        given.out,
        "kills",
        "What a killed, full or forbidden run loses",
        [
            f"`avemotion preprocess` on {given.actors} actors with {len(CODES)} clips each (from "
            f"{called}), 2 workers, 2 views; seed {given.seed}. Each trial is followed by the same "
            "command, and right where its store equals the undisturbed one in every byte (but the "
            "lock), nothing half-written lay under a final name, no process lived on, and a "
            "refusal was one message without a traceback.",
            table(
                ["what was done", "tried", "wrong"],
                [[kind, n, len(trials.wrong[kind])] for kind, n in trials.tried.items()],
            ),
            f"All files of a store were looked at {trials.observations:,} times. "
            f"{IN_A_ROW} clips each that kill, end and hold up their worker, in a row, 1 s a clip:",
            table(["end", "clips"], sorted(ends.items())),
        ],
        {
            "tried": dict(trials.tried),
            "wrong": sum(map(len, trials.wrong.values())),
            "observations": trials.observations,
        },
    )
    sys.exit(any(trials.wrong.values()))


if __name__ == "__main__":
    main()
