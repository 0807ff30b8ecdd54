"""The demonstration, scaled down further: it ends with the table and the prediction."""

import doctest
from pathlib import Path

import pytest

import avemotion
from avemotion.cli import demonstration
from avemotion.cli.options import Command, add_function
from avemotion.config import TrainingSettings
from avemotion.data.corpora.crema_d import CODE_BY_EMOTION


def test_all_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demonstration, "ACTORS", 4)
    monkeypatch.setattr(demonstration, "CLIPS_PER_ACTOR", 6)
    training = TrainingSettings(epochs=1, batch_size=8, holdout=0.25)
    monkeypatch.setattr(demonstration, "TRAINING", training)
    lines: list[str] = []
    report = avemotion.demo(tmp_path / "demo", progress=False, echo=lines.append)
    text = "\n".join(lines)
    photograph = text[: text.index("$ avemotion synth")]
    assert (
        "astronaut.png --checkpoint avemotion-1" in photograph and "happiness (from" in photograph
    )
    steps = ["synth", "preprocess", "fit --modality av", "fit --modality video"]
    steps += ["fit --modality audio", "evaluate", "classify"]
    positions = [text.rindex(f"$ avemotion {step}") for step in steps]
    assert positions == sorted(positions)
    table = text[text.index("$ avemotion evaluate") :]
    systems = ("ar5/av  ", "ar5/video  ", "ar5/audio  ")
    for row in (*systems, "people, av: majority", "ceiling %", "84.86"):
        assert row in table
    assert "SYNTHETIC DATA" in table
    assert report.targets == report.evaluation.labels and len(report.predictions) == 6
    rows = table[table.index("A clip of each emotion") :].splitlines()[3:9]
    for row, target, prediction in zip(rows, report.targets, report.predictions, strict=True):
        clip, meant, label, _, verdict = row.split()
        assert CODE_BY_EMOTION[meant] in clip and clip in prediction.clip
        assert (meant, label) == (target, prediction.label)
        assert verdict == ("right" if label == meant else "wrong")
    right = sum(row.endswith("right") for row in rows)
    assert (
        f"Right: {right} of 6; of all 6 such clips" in table
        and "At best it would be 84.86 %" in table
    )
    assert report.evaluation.scores["ar5/av"].clips == 6

    # A second run finds everything done.
    again: list[str] = []
    assert avemotion.demo(tmp_path / "demo", progress=False, echo=again.append) == report
    assert sum("finished before" in line for line in again) == 4

    # So does the example of its docstring.
    monkeypatch.chdir(tmp_path)
    example = doctest.DocTestParser().get_doctest(avemotion.demo.__doc__, {}, "demo", None, None)
    assert example.examples and not doctest.DocTestRunner().run(example).failed


def test_what_is_shown_as_typed_is_what_is_run() -> None:
    words = demonstration.OPTIONS.split()
    command = Command("fit", "", words)
    values = command.parse(lambda p: add_function(p, avemotion.fit, {"settings"}))
    assert values["training"] == demonstration.TRAINING
