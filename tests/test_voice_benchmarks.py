"""Benchmarks of voices in their smallest form: that they run and report, not what they measure."""

from pathlib import Path

import pytest
from benchmark_runner import positive, run
from media_maker import make_wav, speech_like, write_takes
from voices_maker import run as run_voices
from voices_maker import write_voices

import avemotion


def test_real_voices_stand_beside_people(tmp_path: Path):
    corpus = tmp_path / "crema"
    avemotion.synth(corpus, actors=5, clips_per_actor=6, progress=False)
    words = ("--work", tmp_path / "work", "--seeds", 1, "--epochs", 1)
    result = run("real_voices", tmp_path, "--crema", corpus, *words)
    assert positive(result, "recall", "people_recall")
    folds = result["recall_by_fold"].values()
    assert len(folds) == 5 and min(folds) <= result["recall"] <= max(folds)


def test_real_voices_are_tested_on_another_corpus(tmp_path: Path):
    corpus = tmp_path / "crema"
    avemotion.synth(corpus, actors=8, clips_per_actor=6, progress=False)
    for actor in range(1, 3):
        (folder := tmp_path / "ravdess" / f"Actor_{actor:02d}").mkdir(parents=True)
        for emotion in range(1, 9):
            name = f"03-01-{emotion:02d}-01-01-01-{actor:02d}.wav"
            make_wav(folder / name, speech_like(1.5, emotion))
    words = ("--work", tmp_path / "work", "--epochs", 1, "--ravdess", tmp_path / "ravdess")
    table = "real_voices_ravdess"
    result = run("real_voices", tmp_path, "--crema", corpus, *words, table=table)
    assert positive(result, "recall", "accuracy")
    assert "14 clips of all 2 actors" in (tmp_path / f"{table}.md").read_text(encoding="utf-8")


def test_recordings_are_compared_by_what_was_trained_with(tmp_path: Path):
    corpus = tmp_path / "crema"
    avemotion.synth(corpus, actors=5, clips_per_actor=6, progress=False)
    variant = "noise on a quarter"
    words = ("--work", tmp_path / "work", "--seeds", 1, "--epochs", 1, "--variants", variant)
    result = run("recordings", tmp_path, "--media", corpus, *words, table="recordings_crema_d")
    assert positive(result[variant], "clean", "gain +20 dB", "telephone band")
    kept = (tmp_path / "recordings_crema_d_noise-on-a-quarter.csv").read_text().splitlines()
    assert len(kept) > 20 * 5 and kept[0] == "condition,actor,emotion,right,answers"


def write_votes(table: Path, crema: Path) -> Path:
    """A checkout of CREMA-D without media: votes for the clips of a table of invented voices."""
    votes = ["", "fileName", "A", "D", "F", "H", "N", "S"]
    names = (table / "names.txt").read_text().split()[1:-1]
    (crema / "processedResults").mkdir(parents=True, exist_ok=True)
    rows = [f"1{n:05d},{name},1,1,1,1,4,1" for n, name in enumerate(names)]
    lines = "\n".join([",".join(votes), *rows]) + "\n"
    (crema / "processedResults" / "tabulatedVotes.csv").write_text(lines)
    return crema


def test_voices_goes_on_from_what_is_kept(tmp_path: Path):
    table = write_voices(tmp_path / "table")
    crema = write_votes(table, tmp_path / "crema")
    store = tmp_path / "store"
    made = run_voices(table, "--crema", crema, "--out", store)
    assert made.returncode == 0, made.stderr
    words = ("--data", store, "--epochs", 1)
    first = run("voices", tmp_path / "out", *words, "--work", tmp_path / "a")
    kept = (tmp_path / "out" / "voices" / "loso" / "seed-0.csv").read_bytes()
    assert positive(first, "recall", "people_recall") and kept.count(b"\n") == 1 + 144
    again = run("voices", tmp_path / "out", *words, "--work", tmp_path / "b")
    assert again == first and not list((tmp_path / "b").rglob("*.safetensors"))
    times = (tmp_path / "out" / "voices" / "times.csv").read_text().splitlines()
    assert len(times) == 2 and times[1].startswith("loso,6,")  # the second run trained nothing
    written = (tmp_path / "out" / "voices.md").read_text(encoding="utf-8")
    assert "| XX |" in written and "core-hours" in written


def test_landmark_video_needs_every_published_fold(tmp_path: Path):
    """An actor of each fold: the whole road, from landmarks to the table."""
    write_takes(tmp_path / "ravdess", actors=(2, 3, 10, 8, 1), emotions=range(1, 9))
    config = "training: {epochs: 1, early_stopping: false, validation: 0.0}\n"
    (tmp_path / "quick.yaml").write_text("ar5: {width: 0.25}\n" + config)
    result = run(
        "landmark_video", tmp_path, "--ravdess", tmp_path / "ravdess", "--work", tmp_path / "work",
        "--config", tmp_path / "quick.yaml", "--seeds", 2,
    )  # fmt: skip
    assert positive(result["ridge"], "av", "video", "audio")
    assert positive(result["together"], "av", "video", "audio")
    for pair in ("av_minus_video", "av_minus_audio", "av_minus_ridge"):
        assert abs(result[pair]["recall"]) <= 1
        assert result[pair]["low"] is result[pair]["high"] is None  # five actors: no interval


def test_encoders_are_learned_from_by_probe_and_fusion(tmp_path: Path):
    pytest.importorskip("moonshine_voice")
    takes, actors = tmp_path / "ravdess", (2, 3, 10, 8, 1)
    write_takes(takes, actors, emotions=range(1, 9), sentences=(1, 2))
    words = ("--ravdess", takes, "--work", tmp_path / "work", "--modalities", "av", "--jobs", 1)
    result = run("encoders", tmp_path, *words, table="encoders_ravdess")
    assert len(result) == 4 and all(0 <= recall <= 1 for recall in result.values())
    kept = {path.name for path in (tmp_path / "encoders").iterdir()}
    assert {"ravdess-luna-jimenez-fusion-av.csv", "ravdess-sentences-probe-av.csv"} <= kept


def test_encoders_go_from_corpus_to_corpus(small_corpus: Path, tmp_path: Path):
    pytest.importorskip("moonshine_voice")
    write_takes(tmp_path / "ravdess", actors=(1, 2, 3, 4), emotions=(1, 3, 4, 5, 6, 7))
    words = ("--crema", small_corpus, "--ravdess", tmp_path / "ravdess", "--jobs", 1)
    result = run("encoders_across", tmp_path, *words, "--work", tmp_path / "work")
    assert len(result) == 2 * (3 + 2) and all(0 <= recall <= 1 for recall in result.values())
    table = (tmp_path / "encoders_across.md").read_text()
    assert "48 of 4 actors" in table and "24 of 4 of RAVDESS" in table


def test_fine_tuning_is_compared_with_learning_from_scratch(tmp_path: Path):
    for number in (1, 2, 17, 18):
        folder = tmp_path / "ravdess" / f"Actor_{number:02d}"
        folder.mkdir(parents=True)
        for emotion in range(1, 9):
            name = f"03-01-{emotion:02d}-01-01-01-{number:02d}.wav"
            make_wav(folder / name, speech_like(1.0, seed=emotion))
    words = ("--ravdess", tmp_path / "ravdess", "--work", tmp_path / "work", "--sizes", 2)
    result = run("fine_tuning", tmp_path / "out", *words, "--repeats", 1, "--epochs", 1)
    assert list(result) == ["2"] and set(result["2"]) == {"from scratch", "--init avemotion-1"}
    assert "| actors learned" in (tmp_path / "out" / "fine_tuning.md").read_text()
