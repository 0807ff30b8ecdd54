"""The card beside a checkpoint: what the model is, its training data, figures and limits.

Markdown, after Mitchell et al., "Model cards for model reporting" (FAT* 2019). It holds no date and
no path, so that the same training gives the same text wherever it is run.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from avemotion.config import ExperimentSettings, PreprocessSettings, differences
from avemotion.data.corpora import PICTURES, TITLES, CorpusName, whole_corpus
from avemotion.data.splits import actors_of, part_of
from avemotion.data.store import USABLE, FeatureStore, ManifestRow
from avemotion.data.types import UNKNOWN_ACTOR
from avemotion.features.table import feature, reads_frames, shows_motion
from avemotion.models.inputs import names_of
from avemotion.models.metadata import CheckpointMetadata
from avemotion.models.registry import default_training, defaults_of, model_class, settings_of
from avemotion.training.initial_weights import initial_notes
from avemotion.training.provenance import changed_options, versions

if TYPE_CHECKING:
    from avemotion.models.late import Pooled

CARD_NAME = "model_card.md"
"""File name of the card in the folder of a run."""

# All but what is plain within a line; a point may stand in a number and at a word's end, but not
# where it could make a link.
_MARKS = re.compile(r"[^\w\s.,'+-]|_|\.(?=\S)(?!(?<=\d\.)\d)")


def model_card(
    store: FeatureStore,
    metadata: CheckpointMetadata,
    parameters: int,
    pooled: Sequence[Pooled] = (),
) -> str:
    """Write the card of a trained network.

    Args:
        store: Feature store that it was trained on.
        metadata: Metadata of its checkpoint.
        parameters: Number of trained parameters.
        pooled: Its members, of `late`.

    Returns:
        Markdown. Labels and names of actors may hold anything: they are shown as text, never as
        Markdown or HTML.
    """
    environment = Environment(
        loader=PackageLoader("avemotion.training"),
        autoescape=False,  # that is for HTML; `finalize` does as much for Markdown
        finalize=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = lambda share: Markup(f"{100 * share:.1f}")
    environment.filters["thousands"] = lambda number: Markup(f"{number:,}")
    learned = [one.experiment for one in pooled] or [metadata.experiment]
    return environment.get_template("model_card.md").render(
        metadata=metadata,
        modality=metadata.experiment.modality,
        about=model_class(metadata.experiment.model).about,
        training=metadata.experiment.training,
        members=[(one, model_class(one.experiment.model).about) for one in pooled],
        chose_members=_chose_members(metadata),
        of_votes=any(one.training.labels == "votes" for one in learned),
        parameters=parameters,
        nobody_known={row.actor for row in store.rows} == {UNKNOWN_ACTOR},
        votes_share=max(one.settings.get("votes_share", 0.0) for one in learned),
        official=metadata.split.unit == "part",
        in_epochs=model_class(metadata.experiment.model).learns_in_epochs,
        reads_motion=shows_motion(names_of(metadata.inputs)),
        reads_frames=reads_frames(names_of(metadata.inputs)),
        sound_part=_sound_part(names_of(metadata.inputs)),
        titles=TITLES,
        of_pictures=store.info["corpus"] in PICTURES,
        corpus=store.info["corpus"],
        clips=store.info["clips"],
        initial_notes=initial_notes(store, metadata),
        parts_note=store.info["parts_note"],
        whole=_whole(store),
        parts=_parts(store, metadata),
        lacking=_lacking(store, metadata.experiment.modality),
        worse=[(c.name, c.uar) for known in metadata.recordings for c in known.conditions],
        changed=_changed(metadata),
        commands=Markup("\n".join(_commands(store, metadata))),
        data=store.content_hash(),
        versions=Markup(", ".join(f"{name} {value}" for name, value in versions().items())),
    )


def escaped(value: Any) -> Any:
    """Escape a text for Markdown and HTML: each mark that could mean something is an entity.

    Invisible characters (line ends, marks that change the direction of writing) are spelled out.

    >>> escaped("a|b <i>"), escaped(3)
    ('a&#124;b &#60;i&#62;', 3)
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
    return _MARKS.sub(lambda mark: f"&#{ord(mark[0])};", shown)


def _chose_members(metadata: CheckpointMetadata) -> bool:
    """Return whether the validation clips chose the epoch of a member."""
    given = metadata.experiment.settings.get("members", ())
    return any(
        one.training.early_stopping and model_class(one.model).learns_in_epochs
        for one in map(ExperimentSettings.from_dict, given)
    )


def _parts(store: FeatureStore, metadata: CheckpointMetadata) -> list[dict[str, Any]]:
    """Return each part of the split: its use, its actors, the clips they have for the network."""
    usable, split = store.usable(metadata.experiment.modality), metadata.split
    kind = model_class(metadata.experiment.model)
    chose = metadata.experiment.training.early_stopping and kind.learns_in_epochs
    uses = {
        "train": "trained the weights",
        "validation": "chose the epoch" if chose else "were scored, but chose nothing",
        "test": "were left out of training",
    }
    if kind.composed:
        uses["train"] = "trained a member"
        uses["validation"] = "fitted temperatures and weights" + (
            ", and chose the members' epochs" if _chose_members(metadata) else ""
        )
    return [
        {
            "use": use,
            "rows": (rows := part_of(usable, split, part)),
            "actors": getattr(split, part) if split.unit == "actor" else actors_of(rows),
            "emotions": _by_emotion(rows, store.labels),
        }
        for part, use in uses.items()
    ]


def _sound_part(names: Sequence[str]) -> str:
    """Return which part of a longer sound is read."""
    return next((f.part_read for f in map(feature, names) if f.stream == "audio"), "middle")


def _by_emotion(rows: Sequence[ManifestRow], labels: Sequence[str]) -> list[int]:
    counts = Counter(row.emotion for row in rows)
    return [counts[label] for label in labels]


def _whole(store: FeatureStore) -> int | None:
    """Return the size of the corpus of which the store holds a part; None where it holds all."""
    whole = None if store.synthetic else whole_corpus(store.info["corpus"])
    return whole if whole and store.info["clips"] < whole else None


def _lacking(store: FeatureStore, modality: str) -> int:
    """Count the usable clips of the store that lack a modality of the network."""
    return sum(row.status in USABLE for row in store.rows) - len(store.usable(modality))


def _changed(metadata: CheckpointMetadata) -> list[tuple[Markup, str, str]]:
    """List the settings that are not defaults, or the model's recipe: name, default, value."""
    ours = {"preprocessing": asdict(metadata.preprocessing), **metadata.experiment.to_dict()}
    model = metadata.experiment.model
    default = {"preprocessing": asdict(PreprocessSettings()), model: defaults_of(model)}
    default["training"] = asdict(default_training(metadata.experiment))
    del ours["model"], ours["modality"]  # they stand at the top of the card
    ours[model] = ours.pop("settings")
    ours[model].pop("members", None)  # they have a section of their own
    lines = (re.split(": | -> ", line, maxsplit=2) for line in differences(default, ours))
    return [(Markup(f"`{name}`"), standard, value) for name, standard, value in lines]


def _commands(store: FeatureStore, metadata: CheckpointMetadata) -> list[str]:
    """Return the commands that make the model anew, with placeholders for the folders."""
    corpus, default = store.info["corpus"], asdict(PreprocessSettings())
    commands = []
    if corpus in get_args(CorpusName):  # else another program wrote the store
        words = ["avemotion", "preprocess", "CORPUS", "--out", "FEATURES", "--corpus", corpus]
        for name, value in asdict(metadata.preprocessing).items():
            plain = ",".join(value) if isinstance(value, tuple) else str(value)
            words += [f"--{name}", plain] if value != default[name] else []
        commands.append(shlex.join(words))
    experiment = metadata.experiment
    initialised = bool(metadata.initialised_from)
    if not model_class(experiment.model).composed:
        return [*commands, _fit_command(experiment, initialised)]
    members = settings_of(experiment.model, experiment.settings).experiments
    runs = [f"MEMBER-{number}" for number in range(1, len(members) + 1)]
    if initialised:  # which of them, their own cards say
        commands.append("# Members that began with other weights need --init, too.")
    commands += [f"{_fit_command(one)} --out {run}" for one, run in zip(members, runs, strict=True)]
    words = ["avemotion", "fit", "--data", "FEATURES", "--model", experiment.model]
    return [*commands, shlex.join([*words, "--members", ",".join(runs)])]


def _fit_command(experiment: ExperimentSettings, initialised: bool = False) -> str:
    words = ["avemotion", "fit", "--data", "FEATURES", "--model", experiment.model]
    words += ["--init", "INITIAL"] if initialised else []
    words += ["--modality", experiment.modality, *changed_options(experiment, initialised)]
    return shlex.join(words)
