"""`evaluate`: the same clips for all, no leak, folds written once, the table."""

import csv
import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import QUICK

import avemotion
from avemotion.errors import UsageError
from avemotion.evaluation import EvaluationReport
from avemotion.folds import predict, read_predictions
from avemotion.humans import human_scores
from avemotion.models.checkpoint import load_checkpoint
from avemotion.store import FeatureStore

ONE_EPOCH = dataclasses.replace(QUICK, epochs=1)


@pytest.fixture(scope="module")
def holdout(small_store: Path, fitted: Path, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("holdout")
    return avemotion.evaluate(data=small_store, runs=fitted, out=out, progress=False)


def test_holdout_scores_actors_that_no_network_saw(
    holdout: EvaluationReport, fitted: Path, small_store: Path
) -> None:
    store = FeatureStore(small_store)
    tested = {
        p.actor
        for m in ("av", "video", "audio")
        for p in read_predictions(Path(holdout.out) / "folds" / m / "holdout.csv", store.labels)
    }
    for modality in ("av", "video", "audio"):
        split = load_checkpoint(fitted / modality / "checkpoint.safetensors")[1].split
        assert not tested & {*split.train, *split.validation}
    assert len(tested) == 1
    assert {s.clips for s in holdout.scores.values()} == {12}


def test_every_figure_comes_from_the_predictions(
    holdout: EvaluationReport, small_store: Path
) -> None:
    for modality, score in holdout.scores.items():
        with (Path(holdout.out) / "folds" / modality / "holdout.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        labels = list(rows[0])[5:]
        said = [labels[int(np.argmax([float(row[x]) for x in labels]))] for row in rows]
        right = [row["target"] == s for row, s in zip(rows, said, strict=True)]
        assert score.accuracy == pytest.approx(np.mean(right))
        assert all(sum(float(r[x]) for x in labels) == pytest.approx(1, abs=1e-6) for r in rows)
    store = FeatureStore(small_store)
    clips = {row["clip"]: row["target"] for row in rows}
    assert holdout.humans == human_scores(store.ratings(), clips, store.labels)
    assert holdout.humans["both"].clips == 12
    saved = json.loads((Path(holdout.out) / "results.json").read_text())
    assert saved["scores"]["av"]["accuracy"] == holdout.scores["av"].accuracy


def test_a_leak_is_refused(small_store: Path, fitted: Path) -> None:
    store = FeatureStore(small_store)
    network, facts = load_checkpoint(fitted / "audio" / "checkpoint.safetensors")
    for leaked in (facts.split.train[0], facts.split.validation[0]):
        rows = [row for row in store.rows if row.actor in (leaked, facts.split.test[0])]
        with pytest.raises(ValueError, match=leaked):
            predict(store, rows, network, facts, "fold")


LOSO = """
import sys
import time
from pathlib import Path
import avemotion
from avemotion.config import TrainingSettings
data, out = map(Path, sys.argv[1:])
training = TrainingSettings(epochs=1, batch_size=16, holdout=0.25)
avemotion.evaluate(data=data, protocol="loso", modalities=("audio",), out=out, training=training,
                   progress=False)
"""


def test_loso_tests_every_actor_once_and_goes_on_after_a_kill(
    small_store: Path, tmp_path: Path
) -> None:
    store = FeatureStore(small_store)
    words = [sys.executable, "-c", LOSO, str(small_store)]
    process = subprocess.Popen([*words, str(tmp_path / "killed")])
    folds = tmp_path / "killed" / "folds" / "audio"
    deadline = time.monotonic() + 120
    while not (folds / "1002.csv").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in folds.glob("1*.csv")}
    assert len(finished) >= 2
    subprocess.run([*words, str(tmp_path / "killed")], check=True)
    subprocess.run([*words, str(tmp_path / "whole")], check=True)
    assert all(path.stat().st_mtime_ns == before for path, before in finished.items())
    tested = []
    for actor in ("1001", "1002", "1003", "1004"):
        ours = (folds / f"{actor}.csv").read_bytes()
        assert ours == (tmp_path / "whole" / "folds" / "audio" / f"{actor}.csv").read_bytes()
        predictions = read_predictions(folds / f"{actor}.csv", store.labels)
        assert {p.actor for p in predictions} == {actor}
        tested += [p.clip for p in predictions]
        run = tmp_path / "killed" / "runs" / "audio" / actor / "checkpoint.safetensors"
        split = load_checkpoint(run)[1].split
        assert split.test == (actor,) and actor not in (*split.train, *split.validation)
    assert sorted(tested) == sorted(row.clip for row in store.rows)


def test_another_evaluation_in_the_folder_is_refused(small_store: Path, tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text('{"protocol": "5fold"}')
    with pytest.raises(UsageError, match="other protocol"):
        avemotion.evaluate(data=small_store, protocol="loso", out=tmp_path, training=ONE_EPOCH)


def test_folds_of_other_clips_are_never_mixed(small_store: Path, tmp_path: Path) -> None:
    words = {"data": small_store, "protocol": "loso", "modalities": ("audio",)}
    avemotion.evaluate(**words, out=tmp_path, training=ONE_EPOCH, progress=False)
    fold = tmp_path / "folds" / "audio" / "1001.csv"
    whole = fold.read_text()
    fold.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    with pytest.raises(UsageError, match="other clips"):
        avemotion.evaluate(**words, out=tmp_path, training=ONE_EPOCH, progress=False)
    fold.write_text(whole.replace("0.", "x."))
    with pytest.raises(UsageError, match="damaged"):
        avemotion.evaluate(**words, out=tmp_path, training=ONE_EPOCH, progress=False)
    facts = json.loads((tmp_path / "evaluation.json").read_text())
    (tmp_path / "evaluation.json").write_text(json.dumps(facts | {"clips": "others"}))
    with pytest.raises(UsageError, match="other clips"):
        avemotion.evaluate(**words, out=tmp_path, training=ONE_EPOCH, progress=False)


def test_holdout_takes_no_settings(small_store: Path, fitted: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="trains nothing"):
        avemotion.evaluate(data=small_store, runs=fitted, out=tmp_path, training=ONE_EPOCH)


def test_too_few_actors_for_five_folds(small_store: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 5 actors; 4"):
        avemotion.evaluate(data=small_store, protocol="5fold", out=tmp_path, training=ONE_EPOCH)


def test_no_checkpoint_to_score(small_store: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="avemotion fit --modality av"):
        avemotion.evaluate(data=small_store, runs=tmp_path, out=tmp_path / "out")
