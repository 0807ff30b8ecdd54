"""`classify --out`: one shape for answers and failures, going on where it stopped, data frames."""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from app_maker import save_model

import avemotion
from avemotion.cli import main
from avemotion.errors import UsageError
from avemotion.inference import predictions_file


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def clips(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two videos, a voice in a folder below, a damaged video, and notes."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "voices").mkdir()
    for clip in sorted((small_corpus / "VideoFlash").glob("*.flv"))[:2]:
        (folder / clip.name).write_bytes(clip.read_bytes())
    voice = sorted((small_corpus / "AudioWAV").glob("*.wav"))[0]
    (folder / "voices" / voice.name).write_bytes(voice.read_bytes())
    (folder / "damaged, as it is.mp4").write_bytes(b"no video")
    (folder / "notes.txt").touch()
    return folder


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_answers_and_failures_have_one_shape(
    clips: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["classify", str(clips), str(clips / "none.mp4"), "--parts", "--checkpoint", str(model)]
    assert main([*words, "--out", str(tmp_path / "a.csv")]) == 1
    printed = capsys.readouterr().out
    assert "5 clips: 3 answers (1 from audio, 2 from av), 2 failures." in printed
    assert "none.mp4: FAILED: no such file" in printed and "notes.txt" in printed
    assert main([*words, "--out", str(tmp_path / "a.jsonl")]) == 1
    capsys.readouterr()
    assert main([*words, "--json"]) == 1
    shown = capsys.readouterr()
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [json.loads(line) for line in shown.out.splitlines()] == lines
    assert "notes.txt" in shown.err
    assert len({tuple(line) for line in lines}) == 1  # the same keys in the same order
    table = read(tmp_path / "a.csv")
    assert [row["clip"] for row in table] == [line["clip"] for line in lines]
    assert [Path(row["clip"]).name for row in table][-1] == "none.mp4"
    for row, line in zip(table, lines, strict=True):
        assert row["reason"] == line["reason"] and row["label"] == (line["label"] or "")
        assert bool(line["reason"]) == (line["probabilities"] is None) == (row["modality"] == "")
        for name, value in (line["probabilities"] or {}).items():
            assert float(row[f"p_{name}"]) == pytest.approx(value, abs=1e-6)
        for part, values in (line["parts"] or {}).items():
            for name, value in values.items():
                assert float(row[f"{part}_p_{name}"]) == pytest.approx(value, abs=1e-6)
        assert row["face_width"] == (str(line["face_box"]["width"]) if line["face_box"] else "")
    voice = next(row for row in table if row["modality"] == "audio")
    assert voice["video_p_anger"] == "" and voice["audio_p_anger"] != ""


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_it_goes_on_where_it_stopped(
    suffix: str, clips: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, whole = tmp_path / f"a{suffix}", tmp_path / f"whole{suffix}"
    real, asked = predictions_file.classify_clips, []

    def stopping(sources: list[Path], *words: object, **named: object) -> Iterator[object]:
        asked.append(len(sources))
        for number, result in enumerate(real(sources, *words, **named)):
            if number == 3 and len(asked) == 1:
                raise KeyboardInterrupt
            yield result

    monkeypatch.setattr(predictions_file, "classify_clips", stopping)
    with pytest.raises(KeyboardInterrupt, match="The rows before it are in"):
        avemotion.write_predictions([clips], out, checkpoint=model, progress=False)
    assert not out.exists()
    with pytest.raises(UsageError, match="parts False, now True"):
        avemotion.write_predictions([clips], out, checkpoint=model, parts=True, progress=False)
    with pytest.raises(UsageError, match="over other clips, such as"):
        avemotion.write_predictions([clips / "voices"], out, checkpoint=model, progress=False)
    report = avemotion.write_predictions([clips], out, checkpoint=model, progress=False)
    avemotion.write_predictions([clips], whole, checkpoint=model, progress=False)
    # Of three answers the last one is not sure to be whole, and the one before it is held back.
    assert asked == [4, 3, 4] and report.earlier == 1
    assert out.read_bytes() == whole.read_bytes()
    assert (report.clips, sum(report.labels.values()), len(report.failures)) == (4, 3, 1)
    assert {path.name for path in tmp_path.iterdir()} == {out.name, whole.name}


def test_what_cannot_be_written_is_refused_first(
    clips: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["classify", str(clips), "--checkpoint", str(model), "--out"]
    for name, message in {
        "a.xlsx": "must end in .csv or .jsonl",
        "no/a.csv": "there is no folder",
    }.items():
        assert main([*words, str(tmp_path / name)]) == 2
        assert message in capsys.readouterr().err
    assert main([*words, str(tmp_path / "a.csv"), "--json"]) == 2
    assert "give one or the other" in capsys.readouterr().err
    assert main(["classify", str(tmp_path), "--checkpoint", str(model)]) == 2
    assert "is a folder without a video, sound or picture file" in capsys.readouterr().err


def test_a_data_frame_has_the_columns_of_the_table(
    clips: Path, model: Path, tmp_path: Path
) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    results = list(avemotion.classify([clips], checkpoint=model))
    avemotion.write_predictions([clips], tmp_path / "a.csv", checkpoint=model, progress=False)
    frame, table = avemotion.to_frame(results), pandas.read_csv(tmp_path / "a.csv")
    assert list(frame.columns) == list(table.columns) and len(frame) == len(table) == 4
    assert list(frame["clip"]) == list(table["clip"])
    assert frame["p_anger"].sub(table["p_anger"]).abs().max() < 1e-6
    assert list(frame["p_anger"].isna()) == list(frame["reason"] != "")
    video = next(path for path in clips.iterdir() if path.suffix == ".flv")
    rows = list(avemotion.timeline(video, checkpoint=model))
    avemotion.write_timeline(video, out=tmp_path / "t.csv", checkpoint=model, progress=False)
    frame, table = avemotion.to_frame(rows), pandas.read_csv(tmp_path / "t.csv")
    assert list(frame.columns) == list(table.columns) and len(frame) == len(table)
    assert frame["smoothed_p_anger"].sub(table["smoothed_p_anger"]).abs().max() < 1e-6
    assert list(avemotion.to_frame(results[0]).columns) == list(avemotion.to_frame(results).columns)
    with pytest.raises(UsageError, match="but got Prediction, TimelineRow"):
        avemotion.to_frame([results[0], rows[0]])


def test_without_pandas_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        UsageError, match="to_frame needs pandas, which is not installed: `pip inst"
    ):
        avemotion.to_frame([])
