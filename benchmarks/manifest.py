"""What the manifest of a very large corpus costs: a line an actor, and the whole table once."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from reporting import parser, publish, table

from avemotion.config import PreprocessSettings
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.store import ManifestRow, read_manifest
from avemotion.data.store_writer import StoreWriter
from avemotion.data.types import Clip, Corpus

PER_ACTOR = 76
"""CREMA-D has 76 to 82."""


def clip_of(number: int, folder: Path) -> Clip:
    """Return a clip with a name of the usual length."""
    actor, index = divmod(number, PER_ACTOR)
    name = f"{100_000 + actor}_DFA_ANG_{index:02}"
    return Clip(name, name[:6], "DFA", "anger", "XX", folder / "VideoFlash" / f"{name}.flv", None)


def row_of(clip: Clip) -> ManifestRow:
    """Return a row of the usual length, with a hash; no shard is written."""
    file = f"VideoFlash/{clip.name}.flv"
    about = (clip.name, clip.actor, clip.sentence, clip.emotion, clip.level, "", clip.actor)
    return ManifestRow(*about, "av", "", 75, 20, 5, 5, "102 88 190 233", file, 1, file, 1)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--clips", type=int, default=1_000_000, help="of the corpus")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clips = tuple(clip_of(number, folder) for number in range(given.clips))
        corpus = Corpus("crema_d", folder, EMOTIONS, clips)
        writer = StoreWriter.open(folder / "features", corpus, PreprocessSettings())
        lines = []
        for first in range(0, given.clips, PER_ACTOR):
            own = clips[first : first + PER_ACTOR]
            rows = [row_of(clip) for clip in own]
            start = time.process_time()
            writer.record(own[0].actor, rows, "0" * 64)
            lines.append(time.process_time() - start)
        whole = lines.pop()  # the last line completes the store
        start = time.process_time()
        assert len(read_manifest(folder / "features")) == given.clips
        read = time.process_time() - start
        size = (folder / "features" / "manifest.csv").stat().st_size
    actors = len(lines) + 1
    per_line = sum(lines) / len(lines)
    anew = whole * (actors + 1) / 2  # a table that grows, anew for each actor
    publish(
        given.out,
        "manifest",
        "The manifest of a very large corpus",
        [
            f"{given.clips:,} clips of {actors:,} actors; the processor's seconds, not the disk's:",
            table(
                ["", "seconds"],
                [
                    ["a line of the journal (an actor)", f"{per_line:.4f}"],
                    ["all lines of the journal", f"{sum(lines):.0f}"],
                    ["manifest.csv, once, at the end", f"{whole:.1f}"],
                    ["reading it, when a run goes on", f"{read:.1f}"],
                ],
            ),
            f"manifest.csv has {size / 1e6:.0f} MB. Written anew for each actor it would take "
            f"{anew / 3600:.0f} hours (extrapolated: half of the whole, as many times as there are "
            "actors).",
        ],
        {
            "journal_line_seconds": per_line,
            "manifest_seconds": whole,
            "read_seconds": read,
            "manifest_bytes": size,
            "anew_hours": anew / 3600,
        },
    )


if __name__ == "__main__":
    main()
