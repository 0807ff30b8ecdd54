"""`evaluate`: the same clips for all, no leak, folds written once, the table."""

import base64
import csv
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy
from conftest import QUICK
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score

import avemotion
from avemotion.config import MODALITIES
from avemotion.data.checksums import write_checksums
from avemotion.data.store import FeatureStore
from avemotion.errors import UsageError
from avemotion.evaluation.metrics.human_baseline import clip_credit, human_scores
from avemotion.evaluation.predict import predict
from avemotion.evaluation.predictions import FORMAT, modality_of
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.features.corruptions import CONDITIONS, conditions_for
from avemotion.models.ar5 import AR5Settings
from avemotion.models.checkpoint import load_checkpoint

ONE_EPOCH = dataclasses.replace(QUICK, epochs=1)
SMALL = {"ar5": AR5Settings(width=0.25)}
SYSTEMS = [f"ar5/{modality}" for modality in MODALITIES]


@pytest.fixture(scope="module")
def holdout(small_store: Path, fitted: Path, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("holdout")
    return avemotion.evaluate(data=small_store, runs=fitted, out=out, progress=False)


@pytest.fixture(scope="module")
def loso(small_store: Path, tmp_path_factory: pytest.TempPathFactory):
    """Leave one actor out with all modalities and two seeds, two networks at a time."""
    out = tmp_path_factory.mktemp("loso")
    return avemotion.evaluate(
        data=small_store,
        protocol="loso",
        seeds=2,
        jobs=2,
        out=out,
        settings=SMALL,
        training=ONE_EPOCH,
        progress=False,
    )


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_holdout_scores_actors_that_no_network_saw(
    holdout: EvaluationResults, fitted: Path
) -> None:
    tested = {row["actor"] for row in table(Path(holdout.out) / "predictions.csv")}
    for modality in MODALITIES:
        split = load_checkpoint(fitted / "ar5" / modality / "checkpoint.safetensors")[1].split
        assert not tested & {*split.train, *split.validation}
    assert len(tested) == 1
    assert list(holdout.scores) == SYSTEMS
    assert {s.clips for s in holdout.scores.values()} == {12}
    assert holdout.humans["av"].clips == 12


def test_the_figures_can_be_recomputed_from_the_predictions(loso: EvaluationResults) -> None:
    """In ten lines, with nothing of this package."""
    results = json.loads(Path(loso.out, "results.json").read_text())
    rows = table(Path(loso.out, "predictions.csv"))
    labels = results["labels"]
    assert list(results["scores"]) == SYSTEMS
    for system, score in results["scores"].items():
        mine = [r for r in rows if r["system"] == system]
        truth = [r["target"] for r in mine]
        predicted = [max(labels, key=lambda x: float(r[x])) for r in mine]  # noqa: B023
        right = np.array(truth) == np.array(predicted)
        actors = np.array([r["actor"] for r in mine])
        each = {a: right[actors == a].mean() for a in sorted(set(actors))}
        low, high = scipy.stats.ttest_1samp(list(each.values()), 0).confidence_interval(0.95)
        chances = np.array([[float(r[x]) for x in labels] for r in mine])
        assert score["accuracy"] == pytest.approx(right.mean())
        assert score["recall"] == pytest.approx(balanced_accuracy_score(truth, predicted))
        assert score["f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
        assert score["confusion"] == confusion_matrix(truth, predicted, labels=labels).tolist()
        assert [score["low"], score["high"]] == pytest.approx([low, high])
        assert results["actor_accuracies"][system] == pytest.approx(each)
        plain = results["calibration"][system]["plain"]
        wanted = np.eye(len(labels))[[labels.index(t) for t in truth]]
        assert plain["log_loss"] == pytest.approx(-np.log((chances * wanted).sum(1)).mean(), 1e-5)
        assert plain["brier"] == pytest.approx(((chances - wanted) ** 2).sum(1).mean(), 1e-5)
        for seed in score["seeds"]:
            own = right[[int(r["seed"]) == seed["seed"] for r in mine]]
            assert seed["accuracy"] == pytest.approx(own.mean())
    for first, second in (("av", "video"), ("av", "audio"), ("video", "audio")):  # any two
        ours, theirs = (results["scores"][f"ar5/{m}"]["recall"] for m in (first, second))
        found = results["differences"][f"ar5/{first} - ar5/{second}"]
        assert found["recall"] == pytest.approx(ours - theirs)


def test_the_page_links_to_files_that_are_there(loso: EvaluationResults) -> None:
    page = Path(loso.out, "report", "index.html")
    links = set(re.findall(r'<a href="(\.\./[^"]+)" download', page.read_text(encoding="utf-8")))
    assert links >= {"../results.json", "../predictions.csv", "../corrupted.csv"}
    assert all((page.parent / link).is_file() for link in links)


def test_loso_tests_every_clip_once_a_seed_by_networks_that_never_saw_its_actor(
    loso: EvaluationResults, small_store: Path
) -> None:
    rows = table(Path(loso.out, "predictions.csv"))
    clips = sorted(row.clip for row in FeatureStore(small_store).rows)
    for system in SYSTEMS:
        for seed in ("0", "1"):
            mine = [r for r in rows if (r["system"], r["seed"]) == (system, seed)]
            assert sorted(r["clip"] for r in mine) == clips
            for row in mine:
                run = Path(loso.out, "runs", f"seed-{seed}", system, row["fold"])
                split = load_checkpoint(run / "checkpoint.safetensors")[1].split
                assert row["actor"] not in {*split.train, *split.validation}
    assert loso.seeds == (0, 1) and loso.folds == 4
    assert all(len(s.seeds) == 2 and s.seed_std is not None for s in loso.scores.values())


def test_the_report_is_written_and_can_be_drawn_anew(
    loso: EvaluationResults, tmp_path: Path
) -> None:
    page = Path(loso.out, "report", "index.html")
    assert "SYNTHETIC DATA" in page.read_text()
    copy = tmp_path / "copy"
    keep = ("evaluation.json", "*.csv")
    shutil.copytree(loso.out, copy, ignore=shutil.ignore_patterns("runs", "folds", "corrupted"))
    assert {p.name for p in copy.glob("*") if any(p.match(k) for k in keep)} == {
        "evaluation.json", "clips.csv", "predictions.csv", "corrupted.csv", "votes.csv",
        "actors.csv",
    }  # fmt: skip
    shutil.rmtree(copy / "report")
    (copy / "results.json").unlink()
    again = avemotion.report(copy)
    assert dataclasses.replace(again, out=loso.out) == loso
    assert (copy / "report" / "index.html").read_bytes() == page.read_bytes()


def test_the_report_shows_what_the_systems_saw(holdout: EvaluationResults, tmp_path: Path) -> None:
    image = Path(holdout.out, "preview.png").read_bytes()
    address = f'src="data:image/png;base64,{base64.b64encode(image).decode()}"'
    assert address in Path(holdout.out, "report", "index.html").read_text()
    assert len(address) < 1_500_000
    copy = tmp_path / "copy"
    shutil.copytree(holdout.out, copy)
    avemotion.report(copy)  # from the picture beside it: the store is not needed
    page = (copy / "report" / "index.html").read_text()
    assert address in page and '<a href="#preview">What the systems saw</a>' in page
    (copy / "preview.png").unlink()
    avemotion.report(copy)
    page = (copy / "report" / "index.html").read_text()
    assert "data:image/png" not in page and "What the systems saw" not in page


def test_a_report_without_an_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no finished evaluation"):
        avemotion.report(tmp_path)


def test_people_are_scored_on_the_very_clips(holdout: EvaluationResults, small_store: Path) -> None:
    store = FeatureStore(small_store)
    tested = {row["clip"] for row in table(Path(holdout.out, "predictions.csv"))}
    rows = {row.clip: row for row in store.rows if row.clip in tested}
    assert holdout.humans == human_scores(store.ratings(), rows, store.labels)
    for system in SYSTEMS:
        modality = modality_of(system)
        credit = clip_credit(store.ratings(), rows, store.labels, modality)
        (actor,) = {rows[clip].actor for clip in credit}
        people = np.mean(list(credit.values()))
        lead = holdout.actor_accuracies[system][actor] - people
        pair = holdout.differences[f"{system} - people ({modality}, majority)"]
        ours, theirs = holdout.scores[system].recall, holdout.humans[modality].recall
        assert pair.recall == pytest.approx(ours - theirs)
        group = holdout.fairness[system][0]
        assert (group.human, group.over_human) == pytest.approx((people, lead))


def test_the_crowd_can_be_the_target(small_store: Path, fitted: Path, tmp_path: Path) -> None:
    found = avemotion.evaluate(
        data=small_store, runs=fitted, out=tmp_path, target="crowd", robustness=False
    )
    votes = {r.clip: r.votes for r in FeatureStore(small_store).ratings() if r.channel == "av"}
    for row in table(tmp_path / "predictions.csv"):
        counts = votes[row["clip"]]
        assert counts[found.labels.index(row["target"])] == max(counts)
        assert counts.count(max(counts)) == 1
    assert not found.humans and not found.robustness
    assert not found.ceilings and all(c.tempered is None for c in found.calibration.values())
    left_out = 12 - found.clips
    note = f"clips not scored because the crowd has no single winner: {left_out}"
    assert (note in found.notes) == (left_out > 0)


def test_robustness_covers_what_each_network_can_notice(loso: EvaluationResults) -> None:
    for system in SYSTEMS:
        expected = [condition.name for condition in conditions_for(modality_of(system))]
        assert [score.condition for score in loso.robustness[system]] == expected
        for score in loso.robustness[system]:
            recall = loso.scores[system].recall
            assert score.recall - score.change == pytest.approx(recall)


def test_a_leak_is_refused(small_store: Path, fitted: Path) -> None:
    store = FeatureStore(small_store)
    network, metadata = load_checkpoint(fitted / "ar5" / "audio" / "checkpoint.safetensors")
    for leaked in (metadata.split.train[0], metadata.split.validation[0]):
        rows = [row for row in store.rows if row.actor in (leaked, metadata.split.test[0])]
        with pytest.raises(ValueError, match=leaked):
            predict(store, rows, network, metadata, "fold")


LOSO = """
import sys
from pathlib import Path
import avemotion
from avemotion.config import TrainingSettings
from avemotion.models.ar5 import AR5Settings
data, out, jobs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
training = TrainingSettings(epochs=8, batch_size=16)
avemotion.evaluate(data=data, protocol="loso", modalities=("audio",), out=out, training=training,
                   settings={"ar5": AR5Settings(width=0.25)}, jobs=jobs, robustness=False,
                   progress=False)
"""


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    tasks = Path(f"/proc/{process.pid}/task")
    children = [int(p) for t in tasks.iterdir() for p in (t / "children").read_text().split()]
    return [
        c for c in children if b"resource_tracker" not in Path(f"/proc/{c}/cmdline").read_bytes()
    ]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the processes are found in /proc")
def test_a_killed_evaluation_goes_on_to_the_same_bytes(small_store: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-c", LOSO, str(small_store)]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen([*words, str(killed), "2"])
    folds = killed / "folds" / "seed-0" / "ar5" / "audio"
    wait_for((folds / "1002.csv").exists, process)
    left = workers_of(process)
    process.kill()  # in the middle of a fold: two networks train at a time
    process.wait()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in left):  # nobody writes on unseen
        assert time.monotonic() < deadline
        time.sleep(0.1)
    finished = {path: path.stat().st_mtime_ns for path in folds.glob("1*.csv")}
    assert 1 <= len(finished) < 4 and not (killed / "predictions.csv").exists()

    process = subprocess.Popen([*words, str(killed), "1"])  # other jobs, the same result
    started = time.time()
    runs = killed / "runs" / "seed-0" / "ar5" / "audio"
    wait_for(
        lambda: any(p.stat().st_mtime > started for p in runs.glob("*/state/last.ckpt")), process
    )
    os.kill(workers_of(process)[0], signal.SIGKILL)  # a worker alone: its fold is tried again
    assert process.wait(120) == 0
    subprocess.run([*words, str(whole), "2"], check=True)
    assert all(path.stat().st_mtime_ns == before for path, before in finished.items())
    assert (killed / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()


UNGUARDED = """
import sys
import avemotion
from pathlib import Path
from avemotion.config import TrainingSettings
from avemotion.models.ar5 import AR5Settings
print("the script runs")
avemotion.evaluate(data=Path(sys.argv[1]), protocol="loso", modalities=("audio",), jobs=2,
                   out=Path("out"), settings={"ar5": AR5Settings(width=0.25)}, robustness=False,
                   training=TrainingSettings(epochs=1), progress=False)
avemotion.synth(Path("crema"), actors=2, clips_per_actor=6, workers=2, progress=False)
avemotion.preprocess(Path("crema"), out=Path("features"), workers=2, progress=False)
"""


def test_a_plain_script_needs_no_guard(small_store: Path, tmp_path: Path) -> None:
    """Worker processes do not run the caller's script again."""
    (tmp_path / "script.py").write_text(UNGUARDED)
    words = [sys.executable, "script.py", str(small_store)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the script runs") == 1


def test_another_evaluation_in_the_folder_is_refused(small_store: Path, tmp_path: Path) -> None:
    words = {"data": small_store, "protocol": "loso", "out": tmp_path, "training": ONE_EPOCH}
    (tmp_path / "asked.json").write_text(json.dumps({"format": FORMAT, "protocol": "5fold"}))
    with pytest.raises(UsageError, match="other protocol"):
        avemotion.evaluate(**words)
    (tmp_path / "asked.json").write_text('{"protocol": "loso"}')
    with pytest.raises(UsageError, match="written by avemotion 0.1, .* into another folder"):
        avemotion.evaluate(**words)


def test_an_evaluation_of_an_older_version_is_refused(
    holdout: EvaluationResults, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(holdout.out, copy)
    (copy / "corrupted.csv").rename(copy / "spoiled.csv")
    metadata = json.loads((copy / "evaluation.json").read_text())
    assert metadata.pop("format") == FORMAT
    (copy / "evaluation.json").write_text(json.dumps(metadata))
    with pytest.raises(UsageError, match="written by avemotion 0.1, .* into another folder"):
        avemotion.report(copy)
    (copy / "evaluation.json").write_text(json.dumps(metadata | {"format": FORMAT + 1}))
    with pytest.raises(UsageError, match="written by avemotion of another version"):
        avemotion.report(copy)


def test_folds_tested_under_other_conditions_are_not_continued(
    loso: EvaluationResults, small_store: Path, tmp_path: Path
) -> None:
    asked = json.loads(Path(loso.out, "asked.json").read_text())
    assert asked["conditions"] == list(CONDITIONS)
    (tmp_path / "asked.json").write_text(json.dumps(asked | {"conditions": ["thunder"]}))
    with pytest.raises(UsageError, match="other conditions: another version"):
        avemotion.evaluate(
            data=small_store,
            protocol="loso",
            seeds=2,
            out=tmp_path,
            settings=SMALL,
            training=ONE_EPOCH,
        )


def test_folds_of_other_clips_are_never_mixed(small_store: Path, tmp_path: Path) -> None:
    words = {
        "data": small_store,
        "protocol": "loso",
        "modalities": ("audio",),
        "settings": SMALL,
        "robustness": False,
    }
    avemotion.evaluate(**words, out=tmp_path, training=ONE_EPOCH, progress=False)
    fold = tmp_path / "folds" / "seed-0" / "ar5" / "audio" / "1001.csv"
    whole = fold.read_text()
    fold.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    with pytest.raises(UsageError, match="other clips"):
        avemotion.evaluate(**words, out=tmp_path, training=ONE_EPOCH, progress=False)
    fold.write_text(whole.replace("0.", "x."))
    with pytest.raises(UsageError, match="row 1 of .* is wrong .* Remove that file and evaluate"):
        avemotion.evaluate(**words, out=tmp_path, training=ONE_EPOCH, progress=False)
    metadata = json.loads((tmp_path / "asked.json").read_text())
    (tmp_path / "asked.json").write_text(json.dumps(metadata | {"clips": "others"}))
    with pytest.raises(UsageError, match="other clips"):
        avemotion.evaluate(**words, out=tmp_path, training=ONE_EPOCH, progress=False)


def test_holdout_takes_no_settings(small_store: Path, fitted: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="trains nothing"):
        avemotion.evaluate(data=small_store, runs=fitted, out=tmp_path, training=ONE_EPOCH)


def test_impossible_requests_are_refused_before_anything_is_trained(
    small_store: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "features"
    shutil.copytree(small_store, bare, ignore=shutil.ignore_patterns("ratings.csv"))
    write_checksums(bare)
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="--target crowd needs votes on anger"):
        avemotion.evaluate(data=bare, protocol="loso", target="crowd", out=out)
    with pytest.raises(UsageError, match="at least 5 actors"):
        avemotion.evaluate(data=bare, protocol="luna-jimenez", out=out)
    lines = (bare / "manifest.csv").read_text().splitlines(keepends=True)
    only_here = [line for line in lines if ",1001," in line or ",fear," not in line]
    (bare / "manifest.csv").write_text("".join(only_here))
    info = json.loads((bare / "store.json").read_text()) | {"clips": len(only_here) - 1}
    (bare / "store.json").write_text(json.dumps(info))
    write_checksums(bare)
    with pytest.raises(UsageError, match="no clip of fear"):
        avemotion.evaluate(data=bare, protocol="loso", out=out)
    assert not out.exists()


def test_an_interrupted_rerun_leaves_the_finished_report_as_it_is(
    loso: EvaluationResults, small_store: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "loso"
    shutil.copytree(loso.out, copy)
    (copy / "folds" / "seed-1" / "ar5" / "av" / "1003.csv").write_text("nothing")  # stops the run
    before = avemotion.report(copy)
    with pytest.raises(UsageError):
        avemotion.evaluate(
            data=small_store,
            protocol="loso",
            seeds=2,
            target="crowd",
            out=copy,
            settings=SMALL,
            training=ONE_EPOCH,
            progress=False,
        )
    assert avemotion.report(copy) == before


def test_holdout_never_takes_the_folder_of_trained_folds(
    loso: EvaluationResults, small_store: Path, fitted: Path
) -> None:
    with pytest.raises(UsageError, match="other protocol: there loso, asked holdout"):
        avemotion.evaluate(data=small_store, runs=fitted, out=Path(loso.out))


def test_an_interrupted_training_is_not_scored(
    small_store: Path, fitted: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(fitted, runs, symlinks=True)
    path = runs / "ar5" / "av" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"finished": False}))
    with pytest.raises(UsageError, match="was interrupted"):
        avemotion.evaluate(data=small_store, runs=runs, out=tmp_path / "out")


def test_checkpoints_with_other_settings_are_not_compared(
    small_store: Path, fitted: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(fitted / "ar5" / "av", runs / "ar5" / "av")
    avemotion.fit(
        data=small_store,
        modality="audio",
        out=runs / "ar5" / "audio",
        training=ONE_EPOCH,
        progress=False,
    )
    with pytest.raises(UsageError, match="training.epochs: 2 -> 1"):
        avemotion.evaluate(data=small_store, runs=runs, out=tmp_path / "out")


def test_a_checkpoint_in_the_folder_of_another_system_is_refused(
    small_store: Path, fitted: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(fitted / "ar5" / "av", runs / "ar5" / "video")
    with pytest.raises(UsageError, match="checkpoint of ar5/av, but its folder is called ar5/vid"):
        avemotion.evaluate(data=small_store, runs=runs, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_removed_checkpoint_is_trained_again_for_robustness(
    small_store: Path, tmp_path: Path
) -> None:
    words = {
        "data": small_store,
        "protocol": "loso",
        "modalities": ("audio",),
        "settings": SMALL,
        "training": ONE_EPOCH,
        "out": tmp_path,
        "progress": False,
    }
    avemotion.evaluate(**words, robustness=False)
    before = (tmp_path / "predictions.csv").read_bytes()
    shutil.rmtree(tmp_path / "runs" / "seed-0" / "ar5" / "audio" / "1002")
    found = avemotion.evaluate(**words, robustness=True)
    assert found.robustness["ar5/audio"]
    assert (tmp_path / "predictions.csv").read_bytes() == before


def test_too_few_actors_for_five_folds(small_store: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 5 actors; clips .* are of 4 actors"):
        avemotion.evaluate(data=small_store, protocol="5fold", out=tmp_path, training=ONE_EPOCH)


def test_no_checkpoint_to_score(small_store: Path, tmp_path: Path) -> None:
    for asked, words in (
        ({}, "No checkpoint in .*MODEL/MODALITY. Train it with `avemotion fit`, or give"),
        ({"modalities": ("video",)}, "No checkpoint of video .*`avemotion fit --modality video`"),
        ({"models": ("ar5",)}, "No checkpoint of ar5 .*`avemotion fit --model ar5`"),
    ):
        with pytest.raises(UsageError, match=words):
            avemotion.evaluate(data=small_store, runs=tmp_path, out=tmp_path / "out", **asked)


def test_models_and_modalities_that_cannot_be_trained_are_refused(
    small_store: Path, tmp_path: Path
) -> None:
    words = {"data": small_store, "protocol": "loso", "out": tmp_path / "out"}
    with pytest.raises(UsageError, match="There is no model 'ar6'. Models: ar5"):
        avemotion.evaluate(**words, models=("ar6",))
    with pytest.raises(UsageError, match="does not go with --protocol loso"):
        training = dataclasses.replace(ONE_EPOCH, split="official")
        avemotion.evaluate(**words, training=training)
    with pytest.raises(UsageError, match="no official split with a training and a test part"):
        avemotion.evaluate(**words | {"protocol": "official"}, training=ONE_EPOCH)
    assert not (tmp_path / "out").exists()


def test_settings_of_a_model_that_is_not_compared_are_refused(
    small_store: Path, tmp_path: Path
) -> None:
    how = {"data": small_store, "protocol": "loso", "out": tmp_path / "e", "progress": False}
    with pytest.raises(UsageError, match="settings are given for AR5, but the models are ar5"):
        avemotion.evaluate(**how, settings={"AR5": AR5Settings()})
    with pytest.raises(UsageError, match="settings are AR5Settings, but must be a mapping"):
        avemotion.evaluate(**how, settings=AR5Settings())
    assert not (tmp_path / "e").exists()


def test_a_store_that_robustness_cannot_use_is_refused_before_anything_is_trained(
    small_store: Path, tmp_path: Path
) -> None:
    store = FeatureStore(small_store)
    assert store.settings.features[-1] == "waveform"
    less = tmp_path / "features"
    shutil.copytree(small_store, less)
    info = json.loads((less / "store.json").read_text())
    info["settings"]["features"].remove("waveform")
    (less / "store.json").write_text(json.dumps(info))
    write_checksums(less)
    words = {"data": less, "protocol": "loso", "out": tmp_path / "out", "training": ONE_EPOCH}
    with pytest.raises(UsageError, match="no waveform, which --robustness"):
        avemotion.evaluate(**words, progress=False)
    assert not (tmp_path / "out").exists()
