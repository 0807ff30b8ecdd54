"""The card beside a checkpoint: each figure against the run's own files, and hostile names."""

import csv
import html
import json
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import markdown
import pytest
from conftest import QUICK
from hypothesis import given, settings
from hypothesis import strategies as st
from network_maker import experiment_of
from safetensors import safe_open

import avemotion
from avemotion.cli.options import Command, add_function, add_models, add_training
from avemotion.config import ExperimentSettings
from avemotion.data.checksums import write_checksums
from avemotion.data.corpora import CorpusName
from avemotion.data.store import FeatureStore
from avemotion.data.task import Task
from avemotion.data.types import PARTS
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.registry import training_for, with_settings
from avemotion.training.model_card import escaped, model_card
from avemotion.training.precision import uses_bfloat16

STATISTICS = ("running_mean", "running_var", "num_batches_tracked", "audio.mean", "audio.std")
"""Tensors of a checkpoint that are not trained by gradients."""


def table(card: str, first: str) -> list[list[str]]:
    """Rows of the table whose header has a cell."""
    lines = card.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("|") and first in line)
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return [rows[0], *rows[2:]]


@pytest.mark.parametrize("modality", ["av", "video", "audio"])
def test_each_figure_is_that_of_the_run(fitted: Path, small_store: Path, modality: str) -> None:
    run = fitted / "ar5" / modality
    card = (run / "model_card.md").read_text()
    with safe_open(run / "checkpoint.safetensors", "np") as file:
        metadata = json.loads(file.metadata()["metadata"])
        sizes = {name: file.get_tensor(name).size for name in file.keys()}  # noqa: SIM118
    fitted_numbers = sum(n for name, n in sizes.items() if not name.endswith(STATISTICS))
    labels = metadata["task"]["labels"]
    assert f"{fitted_numbers:,} parameters, 6 emotions ({', '.join(labels)})" in card

    with (small_store / "manifest.csv").open(newline="") as file:
        clips = list(csv.DictReader(file))
    header, *parts = table(card, "actors")
    assert header[3:] == labels
    split = [metadata["split"][part] for part in PARTS]
    for who, (_, actors, count, *emotions) in zip(split, parts, strict=True):
        theirs = Counter(row["emotion"] for row in clips if row["actor"] in who)
        assert (int(actors), int(count)) == (len(who), theirs.total())
        assert [int(n) for n in emotions] == [theirs[label] for label in labels]
        assert re.search(rf"^- Actors that .*: {', '.join(who)}\.$", card, re.MULTILINE)

    with (run / "metrics.csv").open(newline="") as file:
        best = list(csv.DictReader(file))[metadata["epoch"] - 1]
    _, figures = table(card, "cross-entropy")
    assert figures[0] == "holdout of actors, one split, one seed (0)"
    for shown, name in zip(figures[3:5], ("val_accuracy", "val_uar"), strict=True):
        assert shown == f"{100 * float(best[name]):.1f} %"
    assert float(figures[5]) == pytest.approx(float(best["val_loss"]), abs=6e-4)
    temperature = round(metadata["temperature"], 2)
    assert f"calibrated on these same clips (temperature {temperature})" in card
    assert "**no interval**" in card and "figures are optimistic" in card

    assert json.loads((run / "run.json").read_text())["data"] in card
    assert f"torch {__import__('torch').__version__}" in card
    assert card.endswith("\n") and "\n\n\n" not in card


def test_the_commands_make_this_very_model(fitted: Path) -> None:
    card = (fitted / "ar5/audio" / "model_card.md").read_text()
    preprocess, fit = re.findall(r"^avemotion (.*)$", card, re.MULTILINE)
    assert preprocess == "preprocess CORPUS --out FEATURES --corpus crema_d --views 2"
    name, *words = fit.split()
    command = Command(name, "", words)

    def add(parser: Any) -> None:
        add_function(parser, avemotion.fit, {"settings", "training"})
        add_models(parser, command.models())
        add_training(parser, command.models())

    values = command.parse(add)
    asked = ExperimentSettings(
        values["model"], values["modality"], training=training_for("ar5", values["training"])
    )
    made = with_settings(asked, values[values["model"]])
    used = "bfloat16" if uses_bfloat16(QUICK) else "float32"
    assert made == replace(experiment_of("audio"), training=replace(QUICK, precision=used))
    assert f"| `training.precision` | 'auto' | '{used}' |" in card
    assert [row[0] for row in table(card, "setting")[1:]] == [
        "`preprocessing.views`", "`training.epochs`", "`training.batch_size`", "`training.holdout`",
        "`training.precision`",
    ]  # fmt: skip


def described(fitted: Path, store: Path, modality: str = "av", **changes: object) -> str:
    """The card of a network with other metadata."""
    _, metadata = load_checkpoint(fitted / "ar5" / modality / "checkpoint.safetensors")
    return model_card(FeatureStore(store), replace(metadata, **changes), 1)


def other_store(store: Path, folder: Path, **changes: object) -> Path:
    """A store with the same manifest and other information in ``store.json``."""
    folder.mkdir()
    for name in ("manifest.csv", "store.json"):
        shutil.copy(store / name, folder)
    info = json.loads((folder / "store.json").read_text()) | changes
    (folder / "store.json").write_text(json.dumps(info))
    write_checksums(folder)
    return folder


def test_a_synthetic_run_says_so_and_no_other_does(
    fitted: Path, small_store: Path, tmp_path: Path
) -> None:
    card = (fitted / "ar5/av" / "model_card.md").read_text()
    assert card.index("SYNTHETIC DATA") < card.index("## ")
    assert "84.9 % of this synthetic corpus" in card and "Database License" not in card
    recorded = other_store(small_store, tmp_path / "recorded", synthetic=None)
    assert "synthetic" not in described(fitted, recorded, synthetic=None).lower()


@pytest.mark.parametrize("corpus", [*get_args(CorpusName), "ravdess_landmarks", "<b>new</b>"])
def test_the_licence_is_that_of_the_corpus(
    fitted: Path, small_store: Path, tmp_path: Path, corpus: str
) -> None:
    store = other_store(small_store, tmp_path / "store", synthetic=None, corpus=corpus)
    card = described(fitted, store, synthetic=None)
    expected = {
        "crema_d": "Open Database License 1.0",
        "ravdess": "CC BY-NC-SA 4.0",
        "ravdess_landmarks": "LANDMARK VIDEO",
        "fer2013": "For research alone",
        "ck_plus": "For research alone",
        "ck_plus_units": "For research alone",
    }
    assert expected.get(corpus, "must say so here") in card
    assert ("avemotion preprocess" in card) == (corpus in get_args(CorpusName))
    assert "<b>" not in card


def test_what_it_answers_from(fitted: Path, small_store: Path) -> None:
    needs_both = replace(QUICK, modality_dropout=0.0)
    experiment = replace(experiment_of("av"), training=needs_both)
    assert "predicts from the other" in described(fitted, small_store)
    assert "It needs both" in described(fitted, small_store, experiment=experiment)
    assert "It needs a face" in described(fitted, small_store, "video")
    assert "It needs sound" in described(fitted, small_store, "audio")


def test_without_validation_there_are_no_figures(fitted: Path, small_store: Path) -> None:
    card = described(fitted, small_store, scores={}, temperature=None)
    assert "No figures" in card and "UAR" not in card
    assert "**uncalibrated**" in card and "temperature" not in card


def shown(text: str) -> str:
    """What a reader of the rendered text sees, and whether anything in it is more than text."""
    page = markdown.markdown(f"x {text} x", extensions=["tables", "fenced_code"])
    assert page.startswith("<p>x ") and page.endswith(" x</p>") and "<" not in page[5:-6], page
    return html.unescape(page[5:-6])


MARKS = st.text("*_`[]()<>&|#\\!~:/.-+a1 \n\u202e", min_size=1)


@settings(deadline=None)  # the first rendering imports what it needs
@given(MARKS | st.text(min_size=1))
def test_names_are_shown_as_text(name: str) -> None:
    visible = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    assert shown(str(escaped(name))) == visible


HOSTILE = (
    "<script>alert(1)</script>", "a|b", "**x**", "[l](http://evil.example)", "www.evil.example",
    "&lt;# line",
)  # fmt: skip


def test_hostile_labels_stay_in_their_cells(
    fitted: Path, small_store: Path, tmp_path: Path
) -> None:
    labels: Sequence[str] = json.loads((small_store / "store.json").read_text())["labels"]
    store = other_store(small_store, tmp_path / "store", labels=list(HOSTILE), corpus="folder")
    manifest = (store / "manifest.csv").read_text()
    for ours, theirs in zip(HOSTILE, labels, strict=True):
        manifest = manifest.replace(f",{theirs},", f",{ours},")
    (store / "manifest.csv").write_text(manifest)
    write_checksums(store)
    card = described(fitted, store, task=Task(HOSTILE))
    page = markdown.markdown(card, extensions=["tables", "fenced_code"])
    for trace in ("<script", "<a ", "<strong>x", "http://", "www.evil"):
        assert trace not in page
    assert page.count("<h2>") == 5
    cells = re.findall(r"<th>(.*?)</th>", page)[3:9]
    assert [html.unescape(cell) for cell in cells] == list(HOSTILE)
