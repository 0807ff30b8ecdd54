"""Clips as strangers have them: every row of docs/inputs.md, and what else a source may be."""

from pathlib import Path

import pytest
from awkward_inputs import PAGE, SECTIONS, Row, face, film, page, speaking
from network_maker import EXPERIMENTS, facts_of, untrained

import avemotion
from avemotion.models.checkpoint import save_checkpoint
from avemotion.types import Box, Prediction

ROWS = [row for rows in SECTIONS.values() for row in rows]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> avemotion.Classifier:
    """Random weights, of a model that is not said to be synthetic: no warning but the clip's."""
    import dataclasses

    path = tmp_path_factory.mktemp("model") / "checkpoint.safetensors"
    facts = dataclasses.replace(facts_of(EXPERIMENTS["av"]), synthetic=None)
    save_checkpoint(path, untrained(EXPERIMENTS["av"]), facts)
    return avemotion.Classifier(path, device="cpu")


@pytest.fixture(scope="module")
def plain_box(classifier: avemotion.Classifier, tmp_path_factory: pytest.TempPathFactory) -> Box:
    clip = film(tmp_path_factory.mktemp("plain") / "plain.mp4", face(), speaking())
    box = classifier.classify(clip).face_box
    assert box is not None
    return box


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    shared = max(0, width) * max(0, height)
    return shared / (a.width * a.height + b.width * b.height - shared)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_awkward_input(
    row: Row, classifier: avemotion.Classifier, plain_box: Box, tmp_path: Path
) -> None:
    if not isinstance(row.gives, str):
        with pytest.raises(row.gives) as caught:
            classifier.classify(row.make(tmp_path))
        assert type(caught.value) is row.gives
        assert all(said in str(caught.value) for said in row.says)
        return
    prediction = classifier.classify(row.make(tmp_path))
    assert isinstance(prediction, Prediction)
    assert prediction.modality == row.gives
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert len(prediction.warnings) == len(row.says), prediction.warnings
    for warning, said in zip(prediction.warnings, row.says, strict=True):
        assert said in warning
    assert (prediction.face_box is None) == (row.gives == "audio")
    if row.box is not None:
        assert prediction.face_box is not None
        assert overlap(prediction.face_box, row.box(plain_box)) > 0.75, prediction.face_box


def test_the_page_shows_these_rows() -> None:
    assert len(ROWS) >= 40 and len({row.what for row in ROWS}) == len(ROWS)
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tests/awkward_inputs.py"
