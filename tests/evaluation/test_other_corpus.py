"""`evaluate --protocol other-corpus`: models on a corpus that they did not learn from."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import QUICK
from network_maker import experiment_of
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

import avemotion
from avemotion.cli import main
from avemotion.config import PreprocessSettings
from avemotion.data.checksums import write_checksums
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.relabelled import RelabelledStore
from avemotion.data.store import FeatureStore
from avemotion.errors import UsageError
from avemotion.evaluation.other_corpus import partners_of
from avemotion.evaluation.plan import EvaluationPlan
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.features.corruptions import conditions_for
from avemotion.models.checkpoint import load_checkpoint, save_checkpoint

# RAVDESS' codes by hand: what each take counts as; 08 is surprise.
BY_HAND = {
    "01": "neutral", "02": "neutral", "03": "happiness", "04": "sadness", "05": "anger",
    "06": "fear",
}  # fmt: skip
MEDIA = {"01": "NEU", "02": "NEU", "03": "HAP", "04": "SAD", "05": "ANG", "06": "FEA", "08": "HAP"}
FOLDERS = {e: "upbeat" if e == "happiness" else e for e in EMOTIONS}


@pytest.fixture(scope="module")
def takes(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of RAVDESS: actors 01 to 03, all emotions but disgust; one view, unlike the model's.

    The media are those of the synthetic CREMA-D.
    """
    folder = tmp_path_factory.mktemp("ravdess")
    corpus, out = folder / "takes", folder / "features"
    corpus.mkdir()
    for actor in ("01", "02", "03"):
        for code, emotion in MEDIA.items():
            video = sorted((small_corpus / "VideoFlash").glob(f"10{actor}_*_{emotion}_*.flv"))
            shutil.copy(video[-(code == "02")], corpus / f"01-01-{code}-01-01-01-{actor}.mp4")
    settings = PreprocessSettings(views=1, seed=5)
    avemotion.preprocess(corpus, corpus="ravdess", out=out, settings=settings, progress=False)
    return out


@pytest.fixture(scope="module")
def own_clips(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic CREMA-D's sounds as a folder of clips; its ``upbeat`` is happiness."""
    corpus = tmp_path_factory.mktemp("own") / "clips"
    rows = ["file,actor"]
    for row in sounds_of(small_corpus):
        folder = corpus / FOLDERS[row["emotion"]]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(row["path"], folder)
        rows.append(f"{folder.name}/{Path(row['path']).name},{row['actor']}")
    (corpus / "clips.csv").write_text("\n".join(rows) + "\n")
    return corpus


def sounds_of(small_corpus: Path) -> list[dict[str, str]]:
    codes = dict(zip(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"), EMOTIONS, strict=True))
    return [
        {"path": str(path), "actor": path.stem[:4], "emotion": codes[path.stem[9:12]]}
        for path in sorted((small_corpus / "AudioWAV").glob("*.wav"))
    ]


@pytest.fixture(scope="module")
def own_store(own_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("own-store") / "features"
    avemotion.preprocess(own_clips, corpus="folder", out=out, progress=False)
    return out


@pytest.fixture(scope="module")
def own_runs(own_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("own-runs") / "runs"
    avemotion.fit(
        data=own_store, modality="audio", out=runs / "ar5" / "audio", training=QUICK, progress=False
    )
    return runs


@pytest.fixture(scope="module")
def scored(takes: Path, fitted: Path, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("scored")
    return evaluate(takes, fitted, out, modalities=("av", "audio"), robustness=True)


def evaluate(data: Path, runs: Path, out: Path, **more: object) -> EvaluationResults:
    words: dict = {"robustness": False, "progress": False, "modalities": ("audio",)} | more
    return avemotion.evaluate(protocol="other-corpus", data=data, runs=runs, out=out, **words)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def edited(folder: Path, to: Path, name: str, **changes: object) -> Path:
    """A copy with some keys of a JSON file changed."""
    shutil.copytree(folder, to, symlinks=True)
    (to / name).write_text(json.dumps(json.loads((to / name).read_text()) | changes))
    if name == "store.json":
        write_checksums(to)
    return to


def test_the_figures_can_be_recomputed_with_a_mapping_by_hand(
    scored: EvaluationResults, takes: Path
) -> None:
    results = json.loads(Path(scored.out, "results.json").read_text())
    assert results["labels"] == list(EMOTIONS) and results["corpus"] == "ravdess"
    names = [row.clip for row in FeatureStore(takes).rows if row.clip[6:8] != "08"]
    assert len(names) == 18
    for system in ("ar5/av", "ar5/audio"):
        rows = [r for r in table(Path(scored.out, "predictions.csv")) if r["system"] == system]
        assert [r["clip"] for r in rows] == names
        truth = [BY_HAND[r["clip"][6:8]] for r in rows]
        assert [r["target"] for r in rows] == truth
        assert [r["actor"] for r in rows] == [name[-2:] for name in names]
        chances = np.array([[float(r[label]) for label in EMOTIONS] for r in rows])
        assert chances.sum(axis=1) == pytest.approx(1, abs=1e-6)
        predicted = [EMOTIONS[i] for i in chances.argmax(axis=1)]
        score = results["scores"][system]
        assert score["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
        assert score["recall"] == pytest.approx(balanced_accuracy_score(truth, predicted))
        assert score["confusion"] == confusion_matrix(truth, predicted, labels=EMOTIONS).tolist()


def test_what_counts_as_what_is_said(scored: EvaluationResults) -> None:
    metadata = json.loads(Path(scored.out, "evaluation.json").read_text())
    same = {e: e for e in ("neutral", "happiness", "sadness", "anger", "fear", "disgust")}
    assert metadata["mapping"] == {"calm": "neutral"} | same
    for said in (
        "calm counts as neutral",
        "3 clips of surprise are left out: the models have no such emotion",
        "no clip is of disgust: the models may answer so all the same, which is then wrong",
        "the models learned from CREMA-D, not from RAVDESS",
        "ar5/av, ar5/audio learned from SYNTHETIC DATA alone",
    ):
        assert said in scored.notes
    assert not any("folder of clips" in n or "not compared" in n for n in scored.notes)
    page = Path(scored.out, "report", "index.html").read_text()
    assert "another corpus than they learned from" in page and "calm counts as neutral" in page
    assert scored.reported == ()


def test_people_and_groups_are_those_of_the_store(scored: EvaluationResults) -> None:
    assert scored.humans == {} and scored.synthetic is None
    assert {group.group for group in scored.fairness["ar5/av"]} == {"Male", "Female"}


def test_the_same_clips_are_corrupted(scored: EvaluationResults) -> None:
    clean = {row["clip"] for row in table(Path(scored.out, "clips.csv"))}
    rows = table(Path(scored.out, "corrupted.csv"))
    for modality in ("av", "audio"):
        for condition in conditions_for(modality):
            key = (f"ar5/{modality}", condition.name)
            found = [r["clip"] for r in rows if (r["system"], r["condition"]) == key]
            assert sorted(found) == sorted(clean), key
    assert {row.condition for row in scored.robustness["ar5/audio"]} == {
        condition.name for condition in conditions_for("audio")
    }


def test_the_probabilities_are_those_that_classify_answers(
    scored: EvaluationResults, takes: Path, fitted: Path
) -> None:
    """From the very file; `classify` divides the logits by the temperature."""
    checkpoint = fitted / "ar5" / "audio" / "checkpoint.safetensors"
    rows = [r for r in table(Path(scored.out, "predictions.csv")) if r["system"] == "ar5/audio"]
    for row in (rows[0], rows[-1]):
        file = takes.parent / "takes" / f"{row['clip']}.mp4"
        answer = avemotion.classify_clip(file, checkpoint=checkpoint)
        plain = np.array([answer.probabilities[e] for e in EMOTIONS]) ** float(row["temperature"])
        found = [float(row[e]) for e in EMOTIONS]
        assert found == pytest.approx(list(plain / plain.sum()), abs=1e-4)


def test_the_printed_command_repeats_it(
    scored: EvaluationResults, takes: Path, fitted: Path, tmp_path: Path, capsys
) -> None:
    mapped = evaluate(takes, fitted, tmp_path / "a", mapping={"surprise": "happiness"})
    assert "3 clips of calm are left out: the models have no such emotion" in mapped.notes
    assert "surprise counts as happiness" in mapped.notes
    assert mapped.clips == 18
    words = mapped.command.split()
    assert words[words.index("--mapping") + 1] == "surprise=happiness"
    words[words.index("--out") + 1] = str(tmp_path / "b")
    assert main(words[1:]) == 0
    printed = capsys.readouterr().out
    assert "surprise counts as happiness" in printed
    for name in ("predictions.csv", "clips.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert "--mapping" not in scored.command
    targets = {r["clip"][6:8]: r["target"] for r in table(tmp_path / "b" / "clips.csv")}
    assert targets == {c: e for c, e in BY_HAND.items() if c != "02"} | {"08": "happiness"}


def test_an_experiment_file_gives_the_mapping(
    takes: Path, fitted: Path, tmp_path: Path, capsys
) -> None:
    for text in ("mapping: surprise=anger,calm=fear\n", "mapping: {surprise: anger, calm: fear}\n"):
        out = tmp_path / str(len(text))
        (tmp_path / "e.yaml").write_text("protocol: other-corpus\nrobustness: false\n" + text)
        words = ["--config", str(tmp_path / "e.yaml"), "--data", str(takes), "--runs", str(fitted)]
        assert main(["evaluate", *words, "--modalities", "audio", "--out", str(out)]) == 0
        assert "calm counts as fear" in capsys.readouterr().out
        assert json.loads((out / "evaluation.json").read_text())["mapping"]["surprise"] == "anger"


def test_an_empty_mapping_leaves_the_same_names_alone(
    takes: Path, fitted: Path, tmp_path: Path, capsys
) -> None:
    words = ["--data", str(takes), "--runs", str(fitted), "--modalities", "audio", "--mapping", ""]
    words += ["--protocol", "other-corpus", "--robustness", "false", "--out", str(tmp_path)]
    assert main(["evaluate", *words]) == 0
    assert "3 clips of calm are left out" in capsys.readouterr().out
    assert "--mapping ''" in json.loads((tmp_path / "evaluation.json").read_text())["command"]


@pytest.mark.parametrize(("mapping", "partners"), [
    (None, {"neutral": "neutral", "calm": "neutral", "fear": "fear"}),
    ({}, {"neutral": "neutral", "fear": "fear"}),
    ({"surprise": "fear"}, {"neutral": "neutral", "surprise": "fear", "fear": "fear"}),
    ({"fear": "neutral"}, {"neutral": "neutral", "fear": "neutral"}),
])  # fmt: skip
def test_stated_pairs_take_the_place_of_the_default_ones(
    takes: Path, mapping: dict[str, str] | None, partners: dict[str, str]
) -> None:
    assert partners_of(FeatureStore(takes), ("fear", "neutral", "bored"), mapping) == partners


def test_calm_is_calm_for_a_model_that_knows_it(takes: Path) -> None:
    found = partners_of(FeatureStore(takes), ("calm", "neutral"), None)
    assert found == {"neutral": "neutral", "calm": "calm"}
    assert partners_of(FeatureStore(takes), ("fear", "bored"), None) == {"fear": "fear"}


@pytest.mark.parametrize(("more", "message"), [
    ({"mapping": {"calm": "bored"}}, "calm=bored, but 'bored' is no emotion of the models: .*fear"),
    ({"mapping": {"bored": "fear"}}, "bored=fear, but 'bored' is no emotion of .*: .*surprise"),
    ({"mapping": ["calm"]}, r"mapping is \['calm'\], but must be a mapping of texts"),
    ({"mapping": {"calm": 3}}, "mapping is .*, but must be a mapping of texts"),
    ({"seeds": 2}, "other-corpus trains nothing"),
    ({"training": QUICK}, "other-corpus trains nothing"),
    ({"target": "crowd"}, "crowd needs votes on anger"),
    ({"modalities": ("audio", "video"), "models": ("ar6",)}, "ar6"),
])  # fmt: skip
def test_what_cannot_be_asked(
    takes: Path, fitted: Path, tmp_path: Path, more: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate(takes, fitted, tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()


def test_no_other_protocol_takes_a_mapping(
    takes: Path, fitted: Path, tmp_path: Path, capsys
) -> None:
    with pytest.raises(UsageError, match="choose --protocol other-corpus"):
        avemotion.evaluate(data=takes, runs=fitted, mapping={}, out=tmp_path / "out")
    for words, message in (("calm", "'calm' is no pair"), ("a=b,a=c", "names a twice")):
        assert main(["evaluate", "--protocol", "other-corpus", "--mapping", words]) == 2
        assert message in capsys.readouterr().err


def test_the_corpus_that_the_model_learned_from_is_refused(
    small_store: Path, takes: Path, fitted: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="trained on .* itself, .*--protocol holdout"):
        evaluate(small_store, fitted, out)
    again = edited(small_store, tmp_path / "again", "store.json", settings=settings(small_store, 9))
    with pytest.raises(UsageError, match="learned from crema_d, and .* is of crema_d: the same"):
        evaluate(again, fitted, out)
    drawn = tmp_path / "drawn"
    shutil.copytree(fitted, drawn, symlinks=True)
    path = drawn / "ar5" / "audio" / "checkpoint.safetensors"
    network, metadata = load_checkpoint(path)
    save_checkpoint(path, network, replace(metadata, corpus="ravdess_landmarks"))
    # Of a drawn corpus and a recorded one, whose names may be alike, the people differ.
    synthetic = edited(takes, tmp_path / "takes", "store.json", synthetic={"tables": "x"})
    with pytest.raises(UsageError, match="learned from ravdess_landmarks, and .* of ravdess: the"):
        evaluate(synthetic, drawn, out)
    assert not out.exists()


def settings(store: Path, seed: int = 0, **changes: object) -> dict[str, object]:
    return json.loads((store / "store.json").read_text())["settings"] | {"seed": seed} | changes


def test_systems_with_other_labels_than_one_another_are_refused(
    takes: Path, fitted: Path, own_runs: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(fitted / "ar5" / "av", runs / "ar5" / "av")
    shutil.copytree(own_runs / "ar5" / "audio", runs / "ar5" / "audio")
    with pytest.raises(UsageError, match=r"other labels than one another(?s:.*)upbeat"):
        evaluate(takes, runs, tmp_path / "out", modalities=("av", "audio"))


@pytest.mark.parametrize("name", ["crop_margin", "equalise", "grid", "reader"])
def test_features_made_otherwise_are_refused_where_the_model_reads_them(
    takes: Path, fitted: Path, tmp_path: Path, name: str
) -> None:
    value = {"crop_margin": 0.1, "equalise": True, "grid": "thesis", "reader": "decord"}[name]
    changed = settings(takes, **{name: value})
    data = edited(takes, tmp_path / "data", "store.json", settings=changed)
    with pytest.raises(UsageError, match=rf"other settings(?s:.*){name}: .* -> {value!r}"):
        evaluate(data, fitted, tmp_path / "out", modalities=("video",))
    assert evaluate(data, fitted, tmp_path / "out").clips == 18  # a voice has no frames


def test_a_feature_that_the_model_reads_must_be_there(
    takes: Path, fitted: Path, tmp_path: Path
) -> None:
    changed = settings(takes, features=["faces", "waveform"])
    data = edited(takes, tmp_path / "data", "store.json", settings=changed)
    with pytest.raises(UsageError, match="has no log_mel, which ar5 reads"):
        evaluate(data, fitted, tmp_path / "out")


def test_a_store_without_a_shared_emotion_is_refused(
    takes: Path, fitted: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(takes, data)
    for name in ("store.json", "manifest.csv"):
        text = (data / name).read_text()
        for emotion in ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust"):
            text = text.replace(emotion, f"{emotion}-like")
        (data / name).write_text(text)
    write_checksums(data)
    with pytest.raises(UsageError, match="No clip of .*--mapping neutral-like=anger"):
        evaluate(data, fitted, tmp_path / "out")


def test_votes_count_where_raters_chose_among_the_same_emotions(
    small_corpus: Path, small_store: Path, own_runs: Path, tmp_path: Path
) -> None:
    """The model's labels have another name and another order: anger ... sadness, upbeat."""
    found = evaluate(small_store, own_runs, tmp_path / "a", mapping={"happiness": "upbeat"})
    assert found.labels == ("anger", "disgust", "fear", "neutral", "sadness", "upbeat")
    assert found.clips == 48
    people = avemotion.ratings(small_corpus)
    assert found.humans.keys() == people.keys()
    for channel, score in people.items():
        mine = found.humans[channel]
        assert (mine.clips, mine.single_response) == (score.clips, score.single_response)
        assert mine.majority == pytest.approx(score.majority)
        each = {FOLDERS[g.name]: g.single_response for g in score.by_emotion}
        assert {g.name: g.single_response for g in mine.by_emotion} == pytest.approx(each)
    votes = table(tmp_path / "a" / "votes.csv")
    theirs = table(small_store / "ratings.csv")
    assert [r["upbeat"] for r in votes] == [r["happiness"] for r in theirs]
    assert [r["sadness"] for r in votes] == [r["sadness"] for r in theirs]
    assert any("folder of clips" in note for note in found.notes)
    assert "happiness counts as upbeat" in found.notes
    assert found.ceilings.keys() == {"ar5/audio"}  # the best possible on all its emotions


def test_the_crowd_can_be_the_target(small_store: Path, own_runs: Path, tmp_path: Path) -> None:
    mapping = {"happiness": "upbeat"}
    evaluate(small_store, own_runs, tmp_path / "b", mapping=mapping, target="crowd")
    targets = {r["clip"]: r["target"] for r in table(tmp_path / "b" / "clips.csv")}
    for row in table(small_store / "ratings.csv"):
        if row["channel"] == "av" and row["clip"] in targets:
            most = max(EMOTIONS, key=lambda emotion: int(row[emotion]))  # noqa: B023
            assert targets[row["clip"]] == FOLDERS[most]


def test_votes_are_left_out_where_an_emotion_has_no_partner(
    small_store: Path, own_runs: Path, tmp_path: Path
) -> None:
    found = evaluate(small_store, own_runs, tmp_path / "a")
    assert found.humans == {} and found.ceilings == {}
    assert not (tmp_path / "a" / "votes.csv").exists()
    assert any(note.startswith("people are not compared: the raters") for note in found.notes)
    happy = sum(row.emotion == "happiness" for row in FeatureStore(small_store).rows)
    assert (
        f"{happy} clips of happiness are left out: the models have no such emotion" in found.notes
    )
    assert found.clips == 48 - happy


def test_figures_published_on_the_corpus_are_of_models_that_learned_from_it(
    small_store: Path, tmp_path: Path
) -> None:
    recorded = edited(small_store, tmp_path / "recorded", "store.json", synthetic=None)
    store = RelabelledStore(recorded, EMOTIONS, {e: e for e in EMOTIONS})
    shown = {}
    for protocol in ("5fold", "other-corpus"):
        plan = EvaluationPlan(protocol, "intended", {"ar5/av": experiment_of("av")}, 1, False)
        shown[protocol] = plan.metadata(store, store.rows, tmp_path, tmp_path)["reported"]
    assert shown["5fold"] and not shown["other-corpus"]


def test_votes_for_two_emotions_that_count_as_one_are_added(small_store: Path) -> None:
    partners = {e: e for e in EMOTIONS} | {"disgust": "anger"}
    labels = [e for e in EMOTIONS if e != "disgust"]
    store = RelabelledStore(small_store, labels, partners)
    theirs = FeatureStore(small_store).ratings()
    assert [r.votes for r in store.ratings()] == [
        (r.votes[0] + r.votes[1], *r.votes[2:]) for r in theirs
    ]
    assert store.synthetic is not None and "ceilings" not in store.synthetic


def test_a_folder_of_clips_may_hold_the_same_people(
    own_clips: Path, own_store: Path, own_runs: Path, tmp_path: Path
) -> None:
    """Here it does: some of the very clips, whose people are named alike, otherwise, or not at all.

    Where names are alike, the folder may be the same one, preprocessed with other settings.
    """
    corpus = tmp_path / "clips"
    shutil.copytree(own_clips, corpus)
    for emotion in ("disgust", "fear", "neutral", "upbeat"):
        shutil.rmtree(corpus / emotion)
    lines = (corpus / "clips.csv").read_text().splitlines()
    kept = [x for x in lines if x.startswith(("file", "anger", "sad"))]
    (corpus / "clips.csv").write_text("\n".join(kept))
    avemotion.preprocess(corpus, corpus="folder", out=tmp_path / "same", progress=False)
    with pytest.raises(UsageError, match="has the actors .* too, .*people who trained may be"):
        evaluate(tmp_path / "same", own_runs, tmp_path / "refused")
    others = [
        kept[0],
        *(f"{file},other {actor}" for file, actor in (x.split(",") for x in kept[1:])),
    ]
    (corpus / "clips.csv").write_text("\n".join(others))
    avemotion.preprocess(corpus, corpus="folder", out=tmp_path / "known", progress=False)
    found = evaluate(tmp_path / "known", own_runs, tmp_path / "a")
    (note,) = [note for note in found.notes if "does not say who" in note]
    assert "same names" not in note
    (corpus / "clips.csv").unlink()
    avemotion.preprocess(corpus, corpus="folder", out=tmp_path / "unknown", progress=False)
    unknown = evaluate(tmp_path / "unknown", own_runs, tmp_path / "b", robustness=True)
    assert unknown.actors == 1
    assert any("people who are not known" in note for note in unknown.notes)
    (note,) = [note for note in unknown.notes if "does not say who" in note]
    assert "same names" not in note
    right = [r.scores["ar5/audio"].accuracy for r in (found, unknown)]
    assert right[0] == pytest.approx(right[1])
