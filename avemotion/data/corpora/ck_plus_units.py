"""CK+ with action units: the sequences that have the units of the apex, and one of seven emotions.

Provenance, licence, names, and the frames that are taken: those of `ck_plus`, of which this reads
the same folder. The units and emotions are those of the thesis (Ristea 2019, section 6.1).
"""

from __future__ import annotations

from pathlib import Path

from avemotion.data.corpora import ck_plus
from avemotion.data.types import Corpus

NAME = "ck_plus_units"
TITLE = "CK+ with action units"
CITATION = ck_plus.CITATION
SETTINGS = ck_plus.SETTINGS

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 16, 17, 20, 23, 26)
"""The action units that the thesis predicts."""

EMOTIONS = tuple(emotion for emotion in ck_plus.EMOTIONS if emotion != "contempt")
"""The emotions beside them."""


def read_corpus(directory: Path) -> Corpus:
    """List apex and neutral pictures of the sequences with action units and one of seven emotions.

    Raises:
        UsageError: The folder holds no such sequence, or a damaged label.
    """
    found = list(ck_plus.sequences(directory))
    used = [s for s in found if s.is_long and s.units is not None and s.emotion in EMOTIONS]
    units_of: dict[str, tuple[float, ...]] = {}
    clips = []
    for sequence in used:
        for clip in ck_plus.clips_of(directory, sequence, sequence.emotion or ""):
            clips.append(clip)
            present = (sequence.units or frozenset()) if clip.video != sequence.frames[0] else ()
            units_of[clip.name] = tuple(float(unit in present) for unit in UNITS)
    clips = ck_plus.in_order(clips, directory, "action units and an emotion")
    return Corpus(
        name=NAME,
        directory=directory,
        labels=EMOTIONS,
        clips=tuple(clips),
        units=tuple(f"AU{unit}" for unit in UNITS),
        units_of={clip.name: units_of[clip.name] for clip in clips},
        unrecognised_files=ck_plus.unrecognised(directory),
        notes=ck_plus.notes_on(
            len(found) - len(used), "action units and one of the seven emotions"
        ),
    )
