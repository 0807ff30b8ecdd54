"""Write a synthetic corpus that is laid out, named and encoded like CREMA-D.

It stands in for the corpus wherever a whole run must be shown or tested, and because the best
possible accuracy follows from its tables, it shows whether a network learns all that it can.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from avemotion.data.corpora.crema_d import (
    AUDIO_FOLDER,
    EMOTIONS,
    SYNTHETIC_FILE,
    VIDEO_FOLDER,
    VOTES_FILE,
)
from avemotion.data.corpora.synthetic.names import (
    FIRST_ACTOR,
    MAX_ACTORS,
    MAX_CLIPS_PER_ACTOR,
    PlannedClip,
    actor_names,
    clip_name,
)
from avemotion.data.corpora.synthetic.performance import (
    SHOWN_STREAM,
    cast_actor,
    media_paths,
    record,
)
from avemotion.data.corpora.synthetic.records import write_records
from avemotion.data.corpora.synthetic.tables import (
    ConfusionTables,
    TableName,
    ceilings,
    find_tables,
)
from avemotion.errors import UsageError
from avemotion.files import read_json, write_json
from avemotion.parallel.processes import SPAWN, cores, one_thread
from avemotion.progress import progress_bar

_GENERATOR = 1  # counts the changes to how a clip is rendered, so that no corpus mixes two ways
_MIN_CLIPS_PER_ACTOR = 6  # one of every emotion


@dataclass(frozen=True)
class SyntheticCorpus:
    """Result of `synth`."""

    directory: Path
    """The corpus; give it to ``preprocess`` as one would CREMA-D."""
    clips: int
    """Number of clips in it, those of an earlier run included."""
    ceilings: dict[str, float]
    """Best possible accuracy in [0, 1] for ``video``, ``audio`` and ``av``."""
    tables: str
    """Name of the pair of confusion tables."""


def plan_clips(
    actors: int, clips_per_actor: int, seed: int, tables: ConfusionTables
) -> list[PlannedClip]:
    """Decide on every clip: its name, and what its face and its voice show."""
    clips = []
    for actor_index in range(actors):
        actor = FIRST_ACTOR + actor_index
        names = actor_names(
            actor_index, clips_per_actor, np.random.default_rng([seed, actor, 0, 0, 0])
        )
        for index, (intended, sentence, level) in enumerate(names, start=1):
            clip_seed = (seed, actor, index)
            rng = np.random.default_rng([*clip_seed, SHOWN_STREAM])
            row = EMOTIONS.index(intended)
            clips.append(
                PlannedClip(
                    name=clip_name(actor, intended, sentence, level),
                    actor=actor,
                    sentence=sentence,
                    level=level,
                    intended=intended,
                    face=EMOTIONS[int(rng.choice(len(EMOTIONS), p=tables.face[row]))],
                    voice=EMOTIONS[int(rng.choice(len(EMOTIONS), p=tables.voice[row]))],
                    seed=clip_seed,
                )
            )
    return clips


def _check_number(name: str, value: object, lowest: int, highest: int | None, why: str) -> None:
    """Check that a value is a whole number in the range.

    Raises:
        UsageError: It is not one.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and lowest <= value and (highest is None or value <= highest):  # type: ignore[operator]
        return
    allowed = f"from {lowest} to {highest}" if highest is not None else f"of {lowest} or more"
    raise UsageError(f"--{name} is {value!r}, but must be a whole number {allowed} ({why}).")


def _prepare(directory: Path, settings: dict[str, object]) -> None:
    """Make the folders of a new corpus, or accept one begun with the same settings.

    Raises:
        UsageError: the folder holds something else, or a corpus with other settings.
    """
    marker = directory / SYNTHETIC_FILE
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is a file; give a new or empty folder.")
    if marker.exists():
        found = read_json(marker, "Delete the folder or give another one.")
        if found != settings:
            different = [
                f"{name} there {found.get(name)!r}, asked for {value!r}"
                for name, value in settings.items()
                if found.get(name) != value and not name.endswith("_table")
            ]
            raise UsageError(
                f"{directory} holds a synthetic corpus with other settings "
                f"({'; '.join(different) or 'other tables'}). Ask for the same ones to finish it, "
                "or give a new or empty folder."
            )
    elif directory.exists() and any(directory.iterdir()):
        raise UsageError(
            f"{directory} is not empty and holds no {SYNTHETIC_FILE}; give a new or empty folder, "
            "or one that an earlier run with the same settings began."
        )
    for folder in (VIDEO_FOLDER, AUDIO_FOLDER, VOTES_FILE.parent):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    write_json(marker, settings)


@contextmanager
def _mapper(workers: int) -> Iterator[Callable[..., Iterator[None]]]:
    """Yield a `map` over `workers` processes, or the plain one for a single worker."""
    if workers == 1:
        yield map
        return
    pool = ProcessPoolExecutor(workers, mp_context=SPAWN, initializer=one_thread)
    try:
        yield partial(pool.map, chunksize=4)
    finally:
        pool.shutdown(cancel_futures=True)


def _record_all(
    directory: Path, clips: Sequence[PlannedClip], workers: int, progress: bool
) -> None:
    """Record the clips, with a progress bar if asked for."""
    with _mapper(min(workers, max(1, len(clips) // 4))) as mapped:
        recorded = mapped(partial(record, directory), clips)
        for _ in progress_bar(
            recorded, total=len(clips), desc="synth", unit="clip", disable=not progress
        ):
            pass


def _settings(
    tables: ConfusionTables, seed: int, actors: int, clips_per_actor: int
) -> dict[str, object]:
    """Return the content of ``synthetic.json``: all that the files depend on, and the ceilings."""
    return {
        "tables": tables.name,
        "seed": seed,
        "actors": actors,
        "clips_per_actor": clips_per_actor,
        "labels": list(EMOTIONS),
        "face_table": tables.face.tolist(),
        "voice_table": tables.voice.tolist(),
        "ceilings": ceilings(tables.face, tables.voice),
        "generator": _GENERATOR,
    }


def synth(
    directory: Path,
    *,
    actors: int = 6,
    clips_per_actor: int = 24,
    seed: int = 0,
    tables: TableName = "complementary",
    workers: int | None = None,
    progress: bool = True,
) -> SyntheticCorpus:
    """Write a synthetic corpus laid out like CREMA-D: talking faces, voices, ratings.

    The files depend on the settings alone, not on the number of workers. An interrupted run goes
    on where it stopped when called again with the same settings.

    Args:
        directory: a new or empty folder, or one that an earlier run began.
        actors: number of actors, 1 to 91; they are called 1001 and up.
        clips_per_actor: 6 to 82, spread over the emotions as equally as the names allow.
        seed: 0 or more; another seed draws other actors and other clips.
        tables: ``complementary``: face and voice make up for one another (ceilings 0.65, 0.55,
            together 0.85); ``human``: they are confused as people confuse CREMA-D's (0.58, 0.41,
            together 0.62).
        workers: processes; by default one for each core.
        progress: show a progress bar.

    Returns:
        The folder, its clips, and the best possible accuracies.

    Raises:
        UsageError: an argument is out of range, or the folder holds something else.

    Examples:
        >>> from pathlib import Path
        >>> from avemotion import synth
        >>> synth(Path("crema"), actors=6, clips_per_actor=6, progress=False).clips
        36
    """
    chosen = find_tables(tables)
    workers = workers if workers is not None else cores()
    _check_number("actors", actors, 1, MAX_ACTORS, "CREMA-D has 91")
    names = "one of each emotion up to every name that CREMA-D has"
    _check_number(
        "clips_per_actor", clips_per_actor, _MIN_CLIPS_PER_ACTOR, MAX_CLIPS_PER_ACTOR, names
    )
    _check_number("seed", seed, 0, None, "it seeds NumPy's generators")
    _check_number("workers", workers, 1, None, "processes")
    directory = Path(directory)
    settings = _settings(chosen, seed, actors, clips_per_actor)
    _prepare(directory, settings)
    clips = plan_clips(actors, clips_per_actor, seed, chosen)
    cast = [cast_actor(seed, FIRST_ACTOR + index) for index in range(actors)]
    write_records(directory, clips, cast, chosen)
    missing = [
        clip
        for clip in clips
        if not all(path.exists() for path in media_paths(directory, clip.name))
    ]
    if missing:
        _record_all(directory, missing, workers, progress)
    best = ceilings(chosen.face, chosen.voice)
    return SyntheticCorpus(directory, len(clips), best, chosen.name)
