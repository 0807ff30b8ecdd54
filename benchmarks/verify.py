"""How long `verify` takes on as many files as CREMA-D has, and how fast it decodes."""

from __future__ import annotations

import csv
import os
import shutil
import statistics
import tempfile
import wave
from collections.abc import Iterable
from pathlib import Path

from decoding import decode, found_clips
from reporting import interleave, parser, publish, ratio, timing_table

import avemotion
from avemotion.data.corpora import crema_d
from avemotion.data.corpora.crema_d import EMOTION_BY_CODE, VOTE_LETTERS
from avemotion.media.reader import read_sound, read_streams
from avemotion.parallel.processes import cores


def corpus_names() -> list[str]:
    """Return as many names as CREMA-D has: 82 an actor, as there, but for the last 20."""
    endings = [
        f"{sentence}_{code}_{level}"
        for sentence in crema_d.SENTENCES
        for code in EMOTION_BY_CODE
        for level in (("LO", "MD", "HI") if sentence == "IEO" and code != "NEU" else ("XX",))
    ]
    names = [f"{actor}_{ending}" for actor in range(1001, 1092) for ending in endings]
    return names[: crema_d.CLIPS]


def write_table(path: Path, columns: list[str], rows: Iterable[list[object]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


def lay_out(clips: list[Path], names: list[str], folder: Path) -> Path:
    """Lay clips and their sound out as CREMA-D's, linked under these names, with its tables."""
    corpus, originals = folder / "crema", folder / "originals"
    for made in (corpus / crema_d.VIDEO_FOLDER, corpus / crema_d.AUDIO_FOLDER, originals):
        made.mkdir(parents=True)
    for number, clip in enumerate(clips):
        shutil.copyfile(clip, originals / f"{number}.flv")
        with wave.open(str(originals / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(read_sound(clip).samples.astype("<i2").tobytes())
    for number, name in enumerate(names):
        for where, suffix in ((crema_d.VIDEO_FOLDER, ".flv"), (crema_d.AUDIO_FOLDER, ".wav")):
            os.link(originals / f"{number % len(clips)}{suffix}", corpus / where / (name + suffix))
    write_table(corpus / crema_d.NAMES_FILE, ["Filename"], ([name] for name in names))
    votes = ([f"{c}{i:05d}", *[1] * 6, n] for c in (1, 2, 3) for i, n in enumerate(names))
    write_table(corpus / crema_d.VOTES_FILE, ["", *VOTE_LETTERS, "fileName"], votes)
    people = ([actor, 30, "Female", "Asian", "Not Hispanic"] for actor in range(1001, 1092))
    columns = ["ActorID", "Age", "Sex", "Race", "Ethnicity"]
    write_table(corpus / crema_d.DEMOGRAPHICS_FILE, columns, people)
    return corpus


def verify(corpus: Path, decode_files: bool = False) -> None:
    found = avemotion.verify(corpus, decode=decode_files, progress=False)
    wrong = found.unreadable + found.soundless + found.empty + found.missing_videos
    assert not wrong + found.missing_audio + found.unrecognised_files, found.summary()


def open_files(files: list[Path]) -> None:
    for file in files:
        read_streams(file, 16_384)


def decode_files(files: list[Path]) -> None:
    for file in files:
        is_video = file.suffix == ".flv"
        decode(file, frames=is_video, sound=not is_video)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--clips", type=Path, help="folder of FLV files")
    arguments.add_argument("--names", type=int, default=crema_d.CLIPS, help="clips checked")
    arguments.add_argument("--decoded", type=int, default=150, help="clips decoded")
    arguments.add_argument("--repeats", type=int, default=3, help="rounds")
    given = arguments.parse_args()
    names = corpus_names()[: given.names]
    with found_clips(given.clips) as (clips, called), tempfile.TemporaryDirectory() as temporary:
        whole = lay_out(clips, names, Path(temporary, "whole"))
        part = lay_out(clips, names[: given.decoded], Path(temporary, "part"))
        files = sorted(path for path in part.glob("*/*.*") if path.suffix in (".flv", ".wav"))
        seconds = interleave({"verify": lambda: verify(whole)}, given.repeats)["verify"]
        jobs = {
            "verify --decode": lambda: verify(part, True),
            "only decoding, one thread": lambda: decode_files(files),
            "only opening with PyAV, one thread": lambda: open_files(files),
        }
        timed = interleave(jobs, given.repeats)
    opening = [s / len(files) for s in timed["only opening with PyAV, one thread"]]
    glance = ratio(opening, [s / (2 * len(names)) for s in seconds])
    floor = ratio(timed["verify --decode"], timed["only decoding, one thread"])
    rate = len(files) / statistics.median(timed["verify --decode"])
    publish(
        given.out,
        "verify",
        "Checking a corpus as large as CREMA-D",
        [
            f"{called} and their sound, linked under {len(names):,} names each: few enough to be "
            f"in memory, so that no time goes to the disk. {given.repeats} rounds.",
            f"`avemotion.verify` checks {2 * len(names):,} files in "
            f"**{statistics.median(seconds):.1f} s** ({min(seconds):.1f} to {max(seconds):.1f}), "
            f"tables included. To open a file with PyAV takes {glance} times as long.",
            f"With `decode=True`, {len(files)} files in {cores()} worker processes, their start "
            "included; *only decoding*: one pass of PyAV over the same files. Milliseconds a file:",
            timing_table(timed, per=len(files)),
            f"{rate:.0f} files/s; **{floor}** times as long as only decoding them on one thread.",
        ],
        {
            "verify_seconds": statistics.median(seconds),
            "opening_over_verify": glance,
            "decode_files_per_second": rate,
            "decode_over_floor": floor,
        },
    )


if __name__ == "__main__":
    main()
