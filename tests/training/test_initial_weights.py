"""`fit --init`: which weights are taken over, what is refused, and who is no longer unseen."""

import hashlib
import html
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from network_maker import EXPERIMENTS, metadata_of
from safetensors.torch import load_file

import avemotion
from avemotion.cli import main
from avemotion.cli.text_output import fit_text
from avemotion.config import ExperimentSettings, Modality, PreprocessSettings, TrainingSettings
from avemotion.data.batch import Batch
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.data.store_writer import StoreWriter
from avemotion.data.task import Task
from avemotion.data.types import Clip, Corpus, Split
from avemotion.errors import UsageError
from avemotion.evaluation.checkpoints import find_trained
from avemotion.evaluation.holdout import notes_on_initial_weights, unseen
from avemotion.evaluation.other_corpus import open_other
from avemotion.features.types import ClipFeatures
from avemotion.models.base import EmotionModel, probabilities
from avemotion.models.checkpoint import load_checkpoint, save_checkpoint
from avemotion.models.fer_cnns import CNN3Settings
from avemotion.models.inputs import Input
from avemotion.models.registry import create, inputs_of, with_settings
from avemotion.training.fit import FitReport
from avemotion.training.initial_weights import InitialWeights, initial_notes, seen_before
from avemotion.training.lightning_module import EmotionModule

SMALL = CNN3Settings(width=0.1, units=8, dropout=0.0)
LAST = ("layers.5.weight", "layers.5.bias")
"""CNN3's only weights whose shape depends on the labels."""
QUICK = TrainingSettings(
    epochs=2, batch_size=8, holdout=0.34, precision="float32", learning_rate=0.01
)
STILL = replace(QUICK, learning_rate=1e-30)
"""Training that changes no weight: the smallest step is lost in rounding."""
ACTORS = tuple(f"10{number:02}" for number in range(1, 9))


def store_of(
    folder: Path,
    labels: Sequence[str] = EMOTIONS,
    actors: Sequence[str] = ACTORS,
    corpus: str = "crema_d",
    feature: str = "image",
    **cut: Any,
) -> FeatureStore:
    """A store with a random picture of each emotion and actor."""
    settings = PreprocessSettings(views=1, features=(feature,), **cut)
    names = {f"{actor}_{label}": (actor, label) for actor in actors for label in sorted(labels)}
    clips = tuple(
        Clip(name, actor, "", label, "", folder / "v", None)
        for name, (actor, label) in names.items()
    )
    writer = StoreWriter.open(folder, Corpus(corpus, folder, tuple(labels), clips), settings)
    rng = np.random.default_rng(0)
    for actor in actors:
        rows = [
            ManifestRow(
                clip=name, actor=actor, sentence="", emotion=label, level="", part="",
                shard=actor, status="video", reason="", frames_decoded=1, faces_found=1,
                searched_frames=1, searched_frames_with_face=1, face_box="1 2 80 98",
                video_file="v", video_bytes=7, audio_file="", audio_bytes=0,
            )
            for name, (who, label) in names.items() if who == actor
        ]  # fmt: skip
        shape = (1, *settings.crop_size) if feature == "image" else (1, 20, 98, 80)
        pictures = [rng.integers(0, 255, shape, dtype=np.uint8) for _ in rows]
        writer.add(actor, rows, [ClipFeatures({feature: each}, {}) for each in pictures])
    return FeatureStore(folder)


def fitted_on(store: FeatureStore, out: Path, **words: Any) -> FitReport:
    words = {"training": STILL, **words}
    return avemotion.fit(data=store.directory, out=out, progress=False, **words)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return store_of(tmp_path_factory.mktemp("store") / "features")


@pytest.fixture(scope="module")
def first(store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that the others begin with."""
    run = tmp_path_factory.mktemp("first") / "runs" / "cnn3" / "video"
    fitted_on(store, run, model="cnn3", settings=SMALL, training=QUICK)
    return run


def weights_in(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoint.safetensors")


def equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in theirs if torch.equal(ours[name], theirs[name])}


class TestTraining:
    def test_begins_with_all_weights_of_the_checkpoint(
        self, store: FeatureStore, first: Path, tmp_path: Path
    ) -> None:
        report = fitted_on(store, tmp_path / "run", init=first)
        theirs = weights_in(first)
        assert equal(weights_in(tmp_path / "run"), theirs) == theirs.keys()
        metadata = report.metadata
        assert metadata.experiment.system == "cnn3/video"
        assert metadata.experiment.settings == {"width": 0.1, "units": 8, "dropout": 0.0}
        assert metadata.experiment.training == STILL
        checkpoint = first / "checkpoint.safetensors"
        (origin,) = metadata.initialised_from
        sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        assert (origin.name, origin.sha256, origin.made_anew) == ("cnn3/video", sha256, ())
        card = (tmp_path / "run" / "model_card.md").read_text()
        whole = f"of cnn3&#47;video &#40;SHA-256 {sha256[:12]}&#41;, which learned from"
        assert f"Training began with the weights {whole}" in card
        assert f"of cnn3/video (SHA-256 {sha256[:12]}), which" in fit_text(report)
        assert "--init INITIAL" in card and "--cnn3.units 8" in card

    def test_changes_them(self, store: FeatureStore, first: Path, tmp_path: Path) -> None:
        fitted_on(store, tmp_path / "run", init=first / "checkpoint.safetensors", training=QUICK)
        assert not equal(weights_in(tmp_path / "run"), weights_in(first))

    @pytest.mark.parametrize("labels", [("calm", "happy", "sad"), tuple("abcdef")])
    def test_makes_the_last_layer_anew_where_labels_differ(
        self, labels: tuple[str, ...], first: Path, tmp_path: Path
    ) -> None:
        store = store_of(tmp_path / "features", labels, corpus="ravdess")
        report = fitted_on(store, tmp_path / "run", init=first)
        ours, theirs = weights_in(tmp_path / "run"), weights_in(first)
        assert equal(ours, theirs) == theirs.keys() - {*LAST}
        assert len(ours[LAST[1]]) == len(labels) and report.metadata.labels == labels
        assert f"were made anew: {', '.join(LAST)}." in fit_text(report)
        assert "were made anew: layers.5.weight" in _unescaped(tmp_path / "run" / "model_card.md")

    def test_takes_over_the_rows_of_labels_in_another_order(
        self, store: FeatureStore, first: Path, tmp_path: Path
    ) -> None:
        labels = tuple(np.random.default_rng(1).permutation(EMOTIONS))
        other = store_of(tmp_path / "features", labels)
        report = fitted_on(other, tmp_path / "run", init=first)
        assert report.metadata.labels == labels != store.labels
        assert "anew" not in fit_text(report)
        pictures = torch.randint(0, 255, (5, 98, 80), dtype=torch.uint8)
        batch = Batch({"image": pictures}, {"video": torch.ones(5, dtype=torch.bool)})
        ours, theirs = (
            dict(zip(metadata.labels, probabilities(network, batch).T.tolist(), strict=True))
            for network, metadata in (
                load_checkpoint(run / "checkpoint.safetensors") for run in (tmp_path / "run", first)
            )
        )
        assert ours == {label: pytest.approx(theirs[label], rel=1e-5) for label in labels}
        assert len({tuple(answers) for answers in theirs.values()}) == len(labels)


def _unescaped(card: Path) -> str:
    return html.unescape(card.read_text())


class TestResuming:
    def test_ends_like_a_run_that_was_not_interrupted(
        self, store: FeatureStore, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fitted_on(store, tmp_path / "a", init=first, training=QUICK)
        step = EmotionModule.training_step

        def interrupted(module: EmotionModule, batch: Any, number: int) -> torch.Tensor:
            if module.current_epoch == 1:
                raise ZeroDivisionError
            return step(module, batch, number)

        with monkeypatch.context() as patch:
            patch.setattr(EmotionModule, "training_step", interrupted)
            with pytest.raises(ZeroDivisionError):
                fitted_on(store, tmp_path / "b", init=first, training=QUICK)
        assert (tmp_path / "b" / "state").exists()
        report = fitted_on(store, tmp_path / "b", init=first, training=QUICK)
        theirs = weights_in(tmp_path / "a")
        assert equal(weights_in(tmp_path / "b"), theirs) == theirs.keys()
        again = fitted_on(store, tmp_path / "b", init=first, training=QUICK)
        assert again.was_finished and again.initial == report.initial != ()

    def test_refuses_other_initial_weights(
        self, store: FeatureStore, first: Path, tmp_path: Path
    ) -> None:
        fitted_on(store, tmp_path / "run", init=first)
        other = tmp_path / "other.safetensors"
        network, metadata = load_checkpoint(first / "checkpoint.safetensors")
        save_checkpoint(other, network, replace(metadata, epoch=metadata.epoch + 1))
        ours, theirs = (
            hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (other, first / "checkpoint.safetensors")
        )
        words = "holds a run with other settings .*\n  init: "
        with pytest.raises(UsageError, match=f"{words}'{theirs}' -> '{ours}'\nGive another --out"):
            fitted_on(store, tmp_path / "run", init=other)
        with pytest.raises(UsageError, match=f"{words}'{theirs}' -> None"):
            fitted_on(store, tmp_path / "run", model="cnn3", settings=SMALL)
        shutil.copytree(first, tmp_path / "plain")
        with pytest.raises(UsageError, match=f"{words}None -> '{ours}'"):
            fitted_on(store, tmp_path / "plain", init=other, training=QUICK)


class TestRefused:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ({"model": "cnn5"}, "--model is cnn5, but --init .* of cnn3/video. Leave --model out"),
            ({"modality": "av"}, "--modality is av, but --init .* of cnn3/video. Leave --mod"),
            (
                {"settings": CNN3Settings(width=0.2, units=8, dropout=0.5)},
                r"do not fit: the shape of layers.0.0.weight is another here.*\n"
                r"  --cnn3.width: 0.1 -> 0.2\n  --cnn3.dropout: 0.0 -> 0.5\nLeave out those",
            ),
        ],
    )
    def test_another_network(
        self, words: dict[str, Any], message: str, store: FeatureStore, first: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(UsageError, match=message):
            fitted_on(store, tmp_path / "run", init=first, **words)
        assert not (tmp_path / "run").exists()

    def test_a_store_without_what_the_network_reads(self, first: Path, tmp_path: Path) -> None:
        faces = store_of(tmp_path / "features", feature="faces")
        with pytest.raises(UsageError, match="image"):
            fitted_on(faces, tmp_path / "run", init=first)
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("cut", "message"),
        [
            ({"crop_margin": 0.05}, r"crop_margin: 0.0 -> 0.05\nPreprocess .* --crop_margin 0.0,"),
            (
                {"crop_rows": 48, "crop_columns": 48, "equalise": True},
                r"crop_rows: 98 -> 48\n  crop_columns: 80 -> 48\n  equalise: False -> True\nPr.*"
                "with --crop_rows 98 --crop_columns 80 --equalise false, or leave --init out",
            ),
        ],
    )
    def test_faces_that_are_cut_otherwise(
        self, cut: dict[str, Any], message: str, first: Path, tmp_path: Path
    ) -> None:
        other = store_of(tmp_path / "features", **cut)
        with pytest.raises(UsageError, match=f"cut otherwise than those in .*\n  {message}"):
            fitted_on(other, tmp_path / "run", init=first)
        assert not (tmp_path / "run").exists()

    def test_what_no_picture_shows_may_differ(self, first: Path, tmp_path: Path) -> None:
        """Frames and reader of a clip are nothing to a picture; a whole one may be a face."""
        other = store_of(tmp_path / "features", grid="thesis", face="whole", seed=3)
        initial = InitialWeights.of(first)
        initial.check_reads(other, initial.metadata.inputs)
        with pytest.raises(UsageError, match="grid: 'even' -> 'thesis'"):
            initial.check_reads(other, [Input("stills")])
        voice = store_of(tmp_path / "voice", crop_margin=0.5)
        initial.check_reads(voice, [Input("mel")])

    def test_other_inputs_of_the_same_shape(self, store: FeatureStore, tmp_path: Path) -> None:
        """The power spectrogram of 64 rows has as many weights as the log-mel."""
        experiment, labels = _experiment("ar5", "audio", width=0.1), Task(EMOTIONS)
        path = _saved(tmp_path / "log_mel", create(labels, experiment), experiment)
        power = {"spectrogram": "power", "spectrogram_rows": 64, "width": 0.1}
        with pytest.raises(UsageError, match="what the model reads is another here.*\n.*--ar5.spe"):
            InitialWeights.of(path).check_fits(labels, _experiment("ar5", "audio", **power))

    def test_learners_without_epochs(self, store: FeatureStore, tmp_path: Path) -> None:
        fitted_on(store, tmp_path / "first", model="naive_bayes", training=QUICK)
        with pytest.raises(UsageError, match="naive_bayes is fitted once, .* Leave --init out"):
            fitted_on(store, tmp_path / "run", init=tmp_path / "first")
        assert not (tmp_path / "run").exists()

    def test_what_is_no_checkpoint(self, store: FeatureStore, tmp_path: Path) -> None:
        (tmp_path / "x.safetensors").write_text("weights")
        for name, message in (("x.safetensors", "not a checkpoint"), ("none", "No checkpoint at")):
            with pytest.raises(UsageError, match=message):
                fitted_on(store, tmp_path / "run", init=tmp_path / name)

    def test_a_run_in_its_own_folder(
        self, store: FeatureStore, first: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = weights_in(first)
        monkeypatch.chdir(first.parents[2])
        for out in (first, None):  # the second is runs/cnn3/video
            with pytest.raises(UsageError, match="the folder that the new run.*tuned/cnn3/video"):
                avemotion.fit(data=store.directory, init=first, out=out, training=STILL)
        assert equal(weights_in(first), before) == before.keys()

    def test_a_checkpoint_that_is_being_trained(self, first: Path, tmp_path: Path) -> None:
        network, metadata = load_checkpoint(first / "checkpoint.safetensors")
        save_checkpoint(path := tmp_path / "x.safetensors", network, metadata)
        initial = InitialWeights.of(path)
        save_checkpoint(path, network, replace(metadata, epoch=9))
        with pytest.raises(UsageError, match="changed while it was read"):
            initial.take_over(create(metadata.task, metadata.experiment))


def _experiment(model: str, modality: str, **settings: Any) -> ExperimentSettings:
    return with_settings(ExperimentSettings(model, modality, settings))


def _saved(run: Path, network: EmotionModel, experiment: ExperimentSettings) -> Path:
    like = metadata_of(_experiment("ar5", "video"))
    metadata = replace(like, experiment=experiment, task=network.task, inputs=inputs_of(experiment))
    run.mkdir()
    save_checkpoint(run / "checkpoint.safetensors", network, metadata)
    return run / "checkpoint.safetensors"


UNITS = ("AU1", "AU2", "AU4")
THREE = ("anger", "fear", "sadness")
MODELS = [
    ("miene", "video", {"channels": (8, 8)}, ()),
    ("stimme", "audio", {"channels": (8, 8)}, ()),
    ("ar5", "video", {"width": 0.1, "video_features": 4}, ()),
    ("bilstm", "video", {"units": 4}, UNITS),
    ("units_perceptron", "video", {"width": 0.0625, "hidden": 5}, UNITS),
]
ANSWERING = {
    "miene": ({f"heads.{h}.{p}" for h in ("label", "votes") for p in ("weight", "bias")}, set()),
    "stimme": ({"answer.1.weight", "answer.1.bias"}, set()),
    "ar5": ({"classifier.3.weight", "classifier.3.bias"}, set()),
    "bilstm": ({"layers.2.weight", "layers.2.bias"},) * 2,
    "units_perceptron": (
        {"head.perceptron.2.weight", "head.perceptron.2.bias"},
        {"head.units.weight", "head.units.bias", "head.perceptron.0.weight"},
    ),
}
"""By hand: the weights that are made anew where labels, and where units, are others."""


@pytest.mark.parametrize(("model", "modality", "settings", "units"), MODELS)
class TestEachKindOfNetwork:
    @pytest.fixture(autouse=True)
    def _images(self, model: str) -> None:
        if model == "units_perceptron":
            pytest.importorskip("timm", reason="timm is not installed")

    @pytest.fixture
    def saved(
        self, model: str, modality: str, settings: dict[str, Any], units: tuple[str, ...],
        tmp_path: Path,
    ) -> tuple[EmotionModel, InitialWeights]:  # fmt: skip
        experiment = _experiment(model, modality, **settings)
        torch.manual_seed(3)
        network = create(Task(THREE, units), experiment)
        for values in network.state_dict().values():  # no row is like another
            if values.is_floating_point():
                values.copy_(torch.rand_like(values))
        return network, InitialWeights.of(_saved(tmp_path / "run", network, experiment))

    def test_another_order(self, saved: tuple[EmotionModel, InitialWeights]) -> None:
        theirs, initial = saved
        task = Task((THREE[1], THREE[2], THREE[0]), theirs.task.units[::-1])
        ours = create(task, initial.metadata.experiment)
        (origin,) = initial.take_over(ours)
        assert origin.made_anew == ()
        batch = _clips(ours)
        with torch.inference_mode():
            answers, expected = (
                dict(zip(net.task.outputs, net.eval()(net.read(batch)).T, strict=True))
                for net in (ours, theirs)
            )
        for name in task.outputs:
            torch.testing.assert_close(answers[name], expected[name])
        values = torch.stack(list(expected.values()))
        assert len(values.unique(dim=0)) == len(values)

    @pytest.mark.parametrize("which", ["labels", "units"])
    def test_other_names(
        self, which: str, saved: tuple[EmotionModel, InitialWeights], model: str
    ) -> None:
        theirs, initial = saved
        task = theirs.task
        if which == "units" and not task.units:
            return
        for names in (("x", "y", "z"), ("x", "y"), (*getattr(task, which), "x")):
            ours = create(replace(task, **{which: names}), initial.metadata.experiment)
            before = {name: values.clone() for name, values in ours.state_dict().items()}
            (origin,) = initial.take_over(ours)
            anew = ANSWERING[model][("labels", "units").index(which)]
            assert {*origin.made_anew} == anew
            for name, values in ours.state_dict().items():
                source = before if name in anew else theirs.state_dict()
                assert torch.equal(values, source[name]), name


def _clips(network: EmotionModel) -> Batch[torch.Tensor]:
    """Random clips as a store holds them, of all that a network could read."""
    g = torch.Generator().manual_seed(5)
    name = network.inputs[0].name
    shape = {"image": (98, 80), "faces": (20, 98, 80), "mel": (128, 130)}[name]
    values = torch.randint(0, 80, (4, *shape), generator=g)
    dtype = torch.float32 if name == "mel" else torch.uint8
    there = torch.ones(4, dtype=torch.bool)
    return Batch(
        {name: values.to(dtype)},
        {"video": there, "audio": there},
        {"mel": torch.full((4,), 130)} if name == "mel" else {},
    )


class TestUnseen:
    @pytest.fixture(scope="class")
    @staticmethod
    def tuned(
        store: FeatureStore, first: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> FitReport:
        """Other actors are held out than from the training of the initial weights."""
        run = tmp_path_factory.mktemp("tuned") / "cnn3" / "video"
        return fitted_on(store, run, init=first, training=replace(STILL, seed=1))

    def test_held_out_actors_who_trained_the_initial_weights_are_counted(
        self, first: Path, tuned: FitReport
    ) -> None:
        before = load_checkpoint(first / "checkpoint.safetensors")[1].split
        learned = {*before.train, *before.validation}
        text, split = fit_text(tuned), tuned.metadata.split
        card = _unescaped(tuned.checkpoint.parent / "model_card.md")
        for kind, actors in (("held-out", split.test), ("validation", split.validation)):
            seen = sorted(learned & {*actors})
            s = "" if len(actors) == 1 else "s"
            expected = (
                f"By their names, {len(seen)} of {len(actors)} {kind} actor{s} ({', '.join(seen)}) "
                "trained the initial weights or chose their epoch: they are not unseen"
                if seen
                else f"the initial weights learned from none of the {kind} actors."
            )
            assert expected in text and expected in card
        assert 0 < len(learned & {*split.test}) < len(split.test)  # both kinds are there

    def test_evaluate_does_not_test_on_them(
        self, store: FeatureStore, first: Path, tuned: FitReport
    ) -> None:
        trained = find_trained(tuned.checkpoint.parents[2], ("cnn3",), ())
        before = load_checkpoint(first / "checkpoint.safetensors")[1].split
        expected = {*before.test} & {*tuned.metadata.split.test}
        rows = unseen(store, trained, store.usable("video"))
        assert {row.actor for row in rows} == expected
        notes = notes_on_initial_weights(store, trained)
        assert "training of cnn3/video began with weights that had learned from" in notes[0]
        lost = len(tuned.metadata.split.test) - len(expected)
        assert f"{6 * lost} held-out clips of {lost} actor" in notes[1]

    def test_the_same_actors_held_out_stay_unseen(
        self, store: FeatureStore, first: Path, tmp_path: Path
    ) -> None:
        report = fitted_on(store, tmp_path / "cnn3" / "video", init=first)
        text = fit_text(report)
        assert "By their names, the initial weights learned from none of the held-out" in text
        trained = find_trained(tmp_path, (), ())
        tested = {row.actor for row in unseen(store, trained, store.usable("video"))}
        assert tested == {*report.metadata.split.test}

    def test_those_who_trained_what_these_had_begun_with_count_too(
        self, store: FeatureStore, first: Path, tmp_path: Path
    ) -> None:
        """From CREMA-D to other people, and back to CREMA-D."""
        other = store_of(tmp_path / "other", actors=("21", "22", "23"), corpus="ravdess")
        between = fitted_on(other, tmp_path / "between", init=first)
        assert "not unseen" not in fit_text(between) and len(between.initial) == 1
        last = fitted_on(
            store, tmp_path / "last", init=tmp_path / "between", training=replace(STILL, seed=1)
        )
        names = [origin.name for origin in last.metadata.initialised_from]
        assert names == ["between", "cnn3/video"]
        assert "Those had begun with the weights of cnn3/video" in fit_text(last)
        assert "they are not unseen" in fit_text(last)

    def test_other_corpora_refuse_what_the_initial_weights_learned(
        self, store: FeatureStore, first: Path, tmp_path: Path
    ) -> None:
        other = store_of(tmp_path / "other", actors=("21", "22", "23"), corpus="ravdess")
        fitted_on(other, tmp_path / "cnn3" / "video", init=first)
        with pytest.raises(UsageError, match="learned from crema_d, .* the same people would be"):
            open_other(store, find_trained(tmp_path, (), ()), None)

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, {"1001", "1002"}),
            ({"synthetic": True}, set()),  # drawn people of the same names
            ({"corpus": "ravdess"}, set()),
            ({"split": Split(("train",), (), ("test",), "part")}, set()),  # this store has no parts
        ],
    )
    def test_people_are_the_same_by_corpus_and_name(
        self,
        store: FeatureStore,
        tuned: FitReport,
        changes: dict[str, Any],
        expected: set[str],
    ) -> None:
        (origin,) = tuned.metadata.initialised_from
        origin = replace(origin, **{"split": Split(("1001",), ("1002",), ("1003",))} | changes)
        metadata = replace(tuned.metadata, initialised_from=(origin,))
        assert {clip[:4] for clip in seen_before(store, metadata)} == expected

    def test_of_an_official_split_clips_count(self, store: FeatureStore, tuned: FitReport) -> None:
        rows = [
            replace(row, part=("train", "test")[number % 2])
            for number, row in enumerate(store.rows)
        ]
        official = FeatureStore(store.directory)
        official.rows = rows
        split = Split(("train",), (), ("test",), "part")
        (origin,) = tuned.metadata.initialised_from
        metadata = replace(
            tuned.metadata, split=split, initialised_from=(replace(origin, split=split),)
        )
        assert seen_before(official, metadata) == {r.clip for r in rows if r.part == "train"}
        notes = initial_notes(official, metadata)
        assert notes[-1].endswith("learned from none of the held-out clips.")
        actors = replace(origin, split=Split(("1001",), (), ()))
        notes = initial_notes(official, replace(metadata, initialised_from=(actors,)))
        assert "3 of 24 held-out clips trained the initial weights" in notes[-1]

    def test_folders_may_hold_the_same_people_under_other_names(
        self, first: Path, tmp_path: Path
    ) -> None:
        own = store_of(tmp_path / "features", actors=("Anna", "Ben", "Cleo"), corpus="folder")
        text = fit_text(fitted_on(own, tmp_path / "run", init=first))
        assert "Whether the same people are in both corpora is not known" in text


class TestCommandLine:
    def run(
        self, capsys: pytest.CaptureFixture[str], store: FeatureStore, out: Path, *words: object
    ) -> tuple[int, str, str]:
        command = ["fit", "--data", store.directory, "--out", out, "--training.batch_size", 8]
        command += ["--training.epochs", 1, "--training.precision", "float32"]
        code = main([*map(str, command), *map(str, words)])
        return code, *capsys.readouterr()

    def test_model_and_settings_are_those_of_the_checkpoint(
        self, capsys: pytest.CaptureFixture[str], store: FeatureStore, first: Path, tmp_path: Path
    ) -> None:
        words = ["--init", first, "--cnn3.dropout", 0.3]
        code, out, _ = self.run(capsys, store, tmp_path / "run", *words)
        assert code == 0 and "Training began with the weights of cnn3/video" in out
        found = json.loads((tmp_path / "run" / "run.json").read_text())
        assert found["experiment"]["settings"] == {"width": 0.1, "units": 8, "dropout": 0.3}

    def test_an_experiment_file_may_name_it(
        self, capsys: pytest.CaptureFixture[str], store: FeatureStore, first: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "x.yaml").write_text(f"init: {first}\ncnn3:\n  dropout: 0.1\n")
        code, out, _ = self.run(capsys, store, tmp_path / "run", "--config", tmp_path / "x.yaml")
        assert code == 0 and "Training began with" in out

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--model", "cnn5"], "--model is cnn5, but --init"),
            (["--cnn3.units", "9"], "--cnn3.units: 8 -> 9"),
            (["--ar5.width", "1"], "Settings of ar5 go with --model ar5"),
            (
                ["--init", "nowhere"],
                "No checkpoint at nowhere. Give the file of one,",
            ),
        ],
    )
    def test_mistakes_are_said(
        self, words: list[str], message: str, capsys: pytest.CaptureFixture[str],
        store: FeatureStore, first: Path, tmp_path: Path,
    ) -> None:  # fmt: skip
        code, _, err = self.run(capsys, store, tmp_path / "run", "--init", first, *words)
        assert code == 2 and message in err and "Traceback" not in err
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", 3, "initialised_from.name is 3"),
        ("synthetic", "yes", "initialised_from.synthetic is 'yes'"),
        ("corpus_clips", "many", "initialised_from.corpus_clips is 'many'"),
        ("made_anew", "layer", "initialised_from.made_anew is 'layer'"),
        ("split", {}, "initialised_from.split lacks train"),
    ],
)
def test_damaged_metadata_of_initial_weights_are_refused(
    key: str, value: object, message: str, store: FeatureStore, first: Path, tmp_path: Path
) -> None:
    _, metadata = load_checkpoint(first / "checkpoint.safetensors")
    (origin,) = InitialWeights.of(first).take_over(create(metadata.task, metadata.experiment))
    whole = replace(metadata, initialised_from=(origin,))
    plain = json.loads(json.dumps(whole.to_dict()))
    assert type(metadata).from_dict(plain) == whole
    plain["initialised_from"][0][key] = value
    with pytest.raises(UsageError, match=message):
        type(metadata).from_dict(plain)


class TestAPart:
    """Of a model for face and voice, the part for one of them begins with its own weights."""

    def saved(self, tmp_path: Path, model: str, **settings: object) -> Path:
        torch.manual_seed(0)
        experiment = with_settings(ExperimentSettings(model, "av", settings))
        network = create(Task(EMOTIONS), experiment)
        ours = replace(metadata_of(EXPERIMENTS["av"]), experiment=experiment, inputs=network.inputs)
        save_checkpoint(tmp_path / "both.safetensors", network, ours)
        return tmp_path / "both.safetensors"

    @pytest.mark.parametrize(("modality", "part"), [("audio", "voice."), ("video", "face.")])
    def test_is_taken_over(self, tmp_path: Path, modality: Modality, part: str) -> None:
        sizes = {"face_channels": [8], "voice_channels": [8]}
        init = InitialWeights.of(self.saved(tmp_path, "miene_stimme", **sizes))
        init.check_asked("miene_stimme", modality, tmp_path / "run")
        torch.manual_seed(1)
        network = create(Task(EMOTIONS), ExperimentSettings("miene_stimme", modality, dict(sizes)))
        (origin,) = init.take_over(network)
        theirs = {n: w for n, w in load_file(init.path).items() if n.startswith(part)}
        assert equal(network.state_dict(), theirs) == theirs.keys() == network.state_dict().keys()
        assert origin.made_anew == ()

    def test_that_does_not_fit_is_refused(self, tmp_path: Path) -> None:
        """AR5's last layers are of both embeddings."""
        init = InitialWeights.of(self.saved(tmp_path, "ar5", width=0.25))
        network = create(Task(EMOTIONS), ExperimentSettings("ar5", "audio", {"width": 0.25}))
        with pytest.raises(UsageError, match="do not fit: the shape of classifier"):
            init.take_over(network)

    def test_a_part_does_not_begin_another(self, first: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="--modality is audio, but --init"):
            InitialWeights.of(first).check_asked(None, "audio", tmp_path / "run")
