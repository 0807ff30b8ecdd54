"""Clips, ratings, corpora and splits; each is checked when built."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from avemotion.config import MODALITIES
from avemotion.errors import UsageError

UNKNOWN_ACTOR = "unknown"
"""The actor of clips whose actor nobody named; they cannot be used in training or tests."""

UNKNOWN_GROUPS = 200
"""Groups into which clips of unknown people are put where intervals need a unit."""

PARTS = ("train", "validation", "test")
"""Parts of a split; also the names of a corpus' official ones."""

COLUMNS_BESIDE_LABELS = (
    "system", "condition", "seed", "fold", "clip", "actor", "target", "temperature", "channel",
    "other_votes",
)  # fmt: skip
"""Columns of the tables that have one for each label too: no label may be called so."""

_ACTOR = re.compile(r"[^\W_](?:[\w .-]{0,48}[\w-])?")


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording of a corpus: its labels, and the paths of its media."""

    name: str
    """Unique in the corpus; CREMA-D: ``1001_IEO_ANG_HI``. Any text that UTF-8 can hold."""
    actor: str
    """Who is seen and heard; no actor is ever in both training and test. Names files: at most 50
    letters, digits, ``_ - .`` and spaces, a letter or digit first, no dot or space last."""
    sentence: str
    """Code of what is said; empty where unknown."""
    emotion: str
    """The intended emotion, one of the corpus' labels."""
    level: str
    """Intended intensity; CREMA-D: LO, MD, HI, or XX where unspecified. Empty where unknown."""
    video: Path | None
    """The file with the face (and perhaps the voice), if any."""
    audio: Path | None
    """The file with the voice alone, if any; preferred to the video's own track."""
    part: str = ""
    """Its part in the corpus' official split: ``train``, ``validation`` or ``test``; else empty."""
    image: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)
    """The picture itself, grey, uint8 (row, column), where `video` is a table of pixels."""

    def absolute(self) -> Clip:
        """Return the clip with absolute paths, as other machines need them."""
        video, audio = (path and path.absolute() for path in (self.video, self.audio))
        return replace(self, video=video, audio=audio)


@dataclass(frozen=True, slots=True)
class Rating:
    """The crowd's votes on one clip, given one channel."""

    clip: str
    """Name of the clip."""
    channel: str
    """Modality that the raters were given: ``audio``, ``video`` or ``av``."""
    votes: tuple[int, ...]
    """Answers for each emotion, in the order of the corpus' labels."""
    other_votes: int = 0
    """Answers that name none of the labels."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a corpus' folder holds, read from names and tables alone: no media is opened.

    Every reader in `avemotion.data.corpora` returns one, the same each time for the same folder.
    What would do harm later is refused when it is built: actors are names of files,
    clips are looked up by name, emotions are indices of a network's outputs.
    """

    name: str
    """Key of the corpus module: ``crema_d``."""
    directory: Path
    """The folder that was read; all media are in it."""
    labels: tuple[str, ...]
    """The emotions in the order of a network's outputs."""
    clips: tuple[Clip, ...]
    """All clips, sorted by name; those in `excluded` too."""
    excluded: dict[str, str] = field(default_factory=dict)
    """Clips known to be bad, and why."""
    unrecognised_files: tuple[Path, ...] = ()
    """Files in the media's folders whose names do not follow the corpus' scheme."""
    units: tuple[str, ...] = ()
    """The action units that it comes with, as ``AU12``; none where they are not annotated."""
    units_of: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """By clip, 1 or 0 for each of `units`."""
    ratings: tuple[Rating, ...] = ()
    """The crowd's votes on these clips; empty where the corpus has none."""
    demographics: dict[str, dict[str, str]] = field(default_factory=dict)
    """By actor: ``Age``, ``Sex``, ``Race``, ``Ethnicity`` and the like; empty where unknown."""
    synthetic: dict[str, Any] | None = None
    """Description of a synthetic corpus (tables, ceilings); None for a recorded one."""
    notes: tuple[str, ...] = ()
    """What was left out on purpose, in sentences for the user."""
    parts_note: str = ""
    """Where the clips' parts come from, if they are not those that the corpus is published with."""
    remedy: str = "Put the media files themselves there."
    """Advice for a user whose folder holds Git LFS pointers instead of media."""

    def __post_init__(self) -> None:
        """Refuse what would corrupt a store or a score.

        Raises:
            ValueError: There is no clip, or one has a name that is not unique, sorted and UTF-8, an
                emotion that is no label, an actor that cannot name a file, or media outside of
                `directory`; or exclusions or ratings do not fit the clips and labels.
        """
        check_labels(self.labels)
        if not self.clips:
            raise ValueError("a corpus must have clips")
        for clip in self.clips:
            self._check_clip(clip)
        for before, clip in pairwise(self.clips):
            if before.name >= clip.name:
                raise ValueError(
                    "clips must be sorted by unique names, "
                    f"but {clip.name!r} follows {before.name!r}"
                )
        _check_actors({clip.actor for clip in self.clips})
        names = {clip.name for clip in self.clips}
        if others := self.excluded.keys() - names:
            raise ValueError(f"excluded names no clip: {min(others)!r}")
        if self.units or self.units_of:
            self._check_units(names)
        for rating in self.ratings:
            if rating.clip not in names or rating.channel not in MODALITIES:
                raise ValueError(f"a rating of no clip, or of no channel of {MODALITIES}: {rating}")
            if len(rating.votes) != len(self.labels):
                raise ValueError(f"a rating must have {len(self.labels)} votes: {rating}")

    def only(self, labels: Sequence[str]) -> Corpus:
        """Return the corpus with the clips of some labels alone: two, to tell these apart.

        Votes for other labels become votes that name none.

        Raises:
            UsageError: There are fewer than two, or one is no label of the corpus.
        """
        kept = tuple(label for label in self.labels if label in labels)
        if len(kept) < 2 or len(kept) < len(set(labels)):
            raise UsageError(
                f"--labels is {', '.join(labels) or 'empty'}, but must be two or more of "
                f"{', '.join(self.labels)}."
            )
        clips = tuple(clip for clip in self.clips if clip.emotion in kept)
        if not clips:
            raise UsageError(f"{self.directory} has no clip of {', '.join(kept)}.")
        names, columns = {clip.name for clip in clips}, [self.labels.index(k) for k in kept]
        ratings = []
        for rating in (r for r in self.ratings if r.clip in names):
            votes = tuple(rating.votes[i] for i in columns)
            others = rating.other_votes + sum(rating.votes) - sum(votes)
            ratings.append(replace(rating, votes=votes, other_votes=others))
        left_out = len(self.clips) - len(clips)
        return replace(
            self,
            labels=kept,
            clips=clips,
            excluded={name: why for name, why in self.excluded.items() if name in names},
            units_of={name: has for name, has in self.units_of.items() if name in names},
            ratings=tuple(ratings),
            synthetic=self.synthetic and without_ceilings(self.synthetic),
            notes=(
                *self.notes,
                f"Clips of other labels than {', '.join(kept)}, left out: {left_out}.",
            ),
        )

    def _check_units(self, names: set[str]) -> None:
        check_labels(self.units)
        if both := {*self.labels} & {*self.units}:
            raise ValueError(f"{min(both)!r} is both an emotion and a unit")
        if self.units_of.keys() != names:
            raise ValueError("units_of must have each clip, and no other")
        for name, values in self.units_of.items():
            if len(values) != len(self.units) or not {*values} <= {0.0, 1.0}:
                raise ValueError(f"clip {name!r} must have 0 or 1 for {len(self.units)} units")

    def _check_clip(self, clip: Clip) -> None:
        if not clip.name or not is_utf8(clip.name):
            raise ValueError(f"a clip's name must be text that UTF-8 can hold, not {clip.name!r}")
        if clip.emotion not in self.labels:
            raise ValueError(f"clip {clip.name!r} has the emotion {clip.emotion!r}, no label")
        if clip.part not in ("", *PARTS):
            raise ValueError(f"clip {clip.name!r} is of the part {clip.part!r}, none of {PARTS}")
        for path in (clip.video, clip.audio):
            if path is not None and not path.is_relative_to(self.directory):
                raise ValueError(f"clip {clip.name!r} has {path}, outside of {self.directory}")


def without_ceilings(synthetic: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a synthetic corpus without the best possible accuracies.

    They are those on all of its labels.
    """
    return {name: value for name, value in synthetic.items() if name != "ceilings"}


def unit_of(actor: str, clip: str) -> str:
    """Return the unit that intervals and tests draw: the actor, or a random group of clips.

    Clips of unknown people are drawn in groups, which gives the intervals of single clips; over
    people, who may be in several groups, they would be wider.
    """
    if actor != UNKNOWN_ACTOR:
        return actor
    return f"{UNKNOWN_ACTOR}-{zlib.crc32(clip.encode()) % UNKNOWN_GROUPS:03d}"


def is_group(unit: str) -> bool:
    """Tell whether a unit is a group of clips of unknown people; no actor is called so."""
    return unit.startswith(f"{UNKNOWN_ACTOR}-")


def is_utf8(text: str) -> bool:
    """Tell whether a text can be written; names of files may hold bytes that are no UTF-8."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def check_labels(labels: tuple[str, ...]) -> None:
    """Refuse labels that a table, a terminal or a page could not show.

    Raises:
        ValueError: There is none, or one is not unique, not printable, or the name of a column.
    """
    if not labels or len(set(labels)) < len(labels):
        raise ValueError(f"labels must be unique, and at least one: {labels}")
    for label in labels:
        if not label or not is_utf8(label):
            raise ValueError(f"a label must be text that UTF-8 can hold, not {label!r}")
        if not label.isprintable() or label != label.strip():
            raise ValueError(
                f"a label must be printable, without spaces around it; {label!r} is not"
            )
        if label in COLUMNS_BESIDE_LABELS:
            raise ValueError(
                f"{label!r} is the name of a column, so no label can be called so; nor can "
                f"{', '.join(name for name in COLUMNS_BESIDE_LABELS if name != label)}"
            )


def _check_actors(actors: set[str]) -> None:
    """Refuse actors that cannot name a file on every system, where two may not differ in case."""
    seen: dict[str, str] = {}
    for actor in sorted(actors):
        if not _ACTOR.fullmatch(actor):
            raise ValueError(
                f"the actor {actor!r} cannot name a file: an actor is at most 50 letters, digits, "
                "'_', '-', '.' and spaces, a letter or digit first, no '.' or space last"
            )
        if actor.casefold().startswith(f"{UNKNOWN_ACTOR}-"):
            raise ValueError(f"the actor {actor!r} has a name that is kept for unknown actors")
        if (other := seen.setdefault(actor.casefold(), actor)) != actor:
            raise ValueError(
                f"the actors {other!r} and {actor!r} differ in capitals alone, so that their files "
                "would be the same on some systems"
            )


@dataclass(frozen=True, slots=True)
class Split:
    """Disjoint sets of actors; or, of a corpus' official split, of its parts."""

    train: tuple[str, ...]
    """Those the weights are fitted on."""
    validation: tuple[str, ...]
    """Those that choose the epoch; empty where nothing is chosen."""
    test: tuple[str, ...]
    """Those held out from training; may be empty."""
    unit: Literal["actor", "part"] = "actor"
    """What the three hold: names of actors, or of `PARTS`; then people may be in several."""
    held_out_sentences: tuple[str, ...] = ()
    """Codes of sentences that are neither trained nor validated on; empty where all are."""

    def __post_init__(self) -> None:
        """Refuse an actor or a part that is named twice."""
        everyone = [*self.train, *self.validation, *self.test]
        twice = sorted({name for name in everyone if everyone.count(name) > 1})
        if twice:
            raise ValueError(f"{self.unit}s in two parts of a split: {', '.join(twice)}")
