"""Which run ``runs/latest`` points to."""

import json
from pathlib import Path

import pytest

from avemotion.training.runs import choose_latest


def make_run(folder: Path, modality: str, finished: bool = True) -> Path:
    folder.mkdir(parents=True)
    run = {"finished": finished, "experiment": {"modality": modality}}
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "checkpoint.safetensors").write_text("weights")
    return folder


def test_the_model_for_face_and_voice_that_was_fitted_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    audio = make_run(runs / "ar5" / "audio", "audio")
    video = make_run(runs / "ar5" / "video", "video")
    assert [choose_latest(audio), choose_latest(video)] == [audio, video]  # there is no other
    make_run(runs / "begun" / "av", "av", finished=False)
    assert choose_latest(audio) == audio
    both = make_run(runs / "ar5" / "av", "av")
    assert choose_latest(both) == choose_latest(audio) == choose_latest(video) == both
    assert (runs / "latest").readlink() == Path("ar5/av")
    other = make_run(runs / "mine", "av")  # a folder of another depth
    assert choose_latest(other) == choose_latest(audio) == other
    monkeypatch.chdir(tmp_path)
    assert choose_latest(Path("runs/ar5/audio")) == Path("runs/mine")
    for run in (both, other):
        (run / "checkpoint.safetensors").unlink()
    assert choose_latest(audio) == audio
    assert choose_latest(tmp_path / "elsewhere" / "run") is None
