"""The probe: what it learns, how it chooses, and what it answers with a modality missing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

import avemotion
from avemotion.config import ExperimentSettings, TrainingSettings
from avemotion.data.batch import Batch
from avemotion.data.task import Task
from avemotion.errors import UsageError
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.probe import Probe
from avemotion.models.registry import create, inputs_of

LABELS = ("calm", "happy", "sad")
VOICE, FACE = "embedding:moonshine-tiny", "embedding:video-table.mine"
SETTINGS = {"voice": "moonshine-tiny", "face": "video-table.mine", "strengths": [0.01, 0.1]}


def probe_of(modality: str = "av", **settings: object) -> Probe:
    experiment = ExperimentSettings("probe", modality, SETTINGS | settings)  # type: ignore[arg-type]
    made = create(Task(LABELS), experiment)
    assert isinstance(made, Probe)
    return made


def clips(
    seed: int = 0, each: int = 40, face: float = 1.0, voice: float = 1.0
) -> tuple[Batch[torch.Tensor], list[str]]:
    """Clouds of points, one a label, of which face and voice show more or less."""
    rng = np.random.default_rng(seed)
    targets = np.arange(3 * each) % 3
    way = rng.normal(0, 1, (3, 8))
    noise = rng.normal(0, 1, (2, len(targets), 8))
    seen = {FACE: face * way[targets] + noise[0], VOICE: voice * way[targets] + noise[1]}
    inputs = {name: torch.from_numpy(x.astype(np.float32)) for name, x in seen.items()}
    there = torch.ones(len(targets), dtype=torch.bool)
    batch = Batch(inputs, {"video": there, "audio": there}, targets=torch.from_numpy(targets))
    return batch, [str(i // 6) for i in range(len(targets))]


def only(batch: Batch[torch.Tensor], stream: str) -> Batch[torch.Tensor]:
    hidden = {s: there & (s == stream) for s, there in batch.present.items()}
    return Batch(batch.inputs, hidden, targets=batch.targets)  # type: ignore[arg-type]


def test_with_one_strength_it_is_the_regression_of_scikit_learn() -> None:
    batch, actors = clips()
    probe = probe_of("audio", strengths=[0.05])
    probe.learn_clips(batch, actors)
    vectors, targets = batch.inputs[VOICE].numpy().astype(np.float64), batch.targets.numpy()
    plain = LogisticRegression(C=0.05, class_weight="balanced", tol=1e-8)
    scaler = StandardScaler().fit(vectors)
    plain.fit(scaler.transform(vectors), targets)
    wanted = plain.predict_log_proba(scaler.transform(vectors))
    found = probe(batch).numpy()
    # They differ by the weight of the pooling, which is the inverse of a temperature.
    weight = float(probe.audio_pooling[0])
    scaled = weight * wanted
    scaled -= np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found, scaled, atol=0.05)


def test_the_weight_of_a_stream_fits_the_answers_to_actors_left_out() -> None:
    batch, actors = clips(voice=0.7)
    probe = probe_of("audio", strengths=[0.1], balanced=False)
    probe.learn_clips(batch, actors)
    vectors, targets = batch.inputs[VOICE].numpy(), batch.targets.numpy()
    left_out = np.zeros((len(targets), 3))
    split = StratifiedGroupKFold(4, shuffle=True, random_state=0)
    for learned, asked in split.split(vectors, targets, actors):
        scaler = StandardScaler().fit(vectors[learned])
        plain = LogisticRegression(C=0.1).fit(scaler.transform(vectors[learned]), targets[learned])
        left_out[asked] = plain.predict_log_proba(scaler.transform(vectors[asked]))

    def loss(weight: np.ndarray) -> float:
        logits = weight[0] * left_out
        logits = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return -float(logits[np.arange(len(targets)), targets].mean())

    wanted = minimize(loss, [1.0], method="Nelder-Mead").x[0]
    assert float(probe.audio_pooling[0]) == pytest.approx(wanted, rel=0.02)


def test_the_strength_is_chosen_by_actors_left_out() -> None:
    """Where each actor has a mark of its own, a weak regularisation learns the marks by heart."""
    rng = np.random.default_rng(3)
    targets = np.arange(120) % 3
    actors = [str(i // 3) for i in range(120)]
    marks = rng.normal(0, 1, (40, 200))
    vectors = marks[np.arange(120) // 3] + rng.normal(0, 0.3, (120, 200))
    vectors[:, :3] += 0.8 * np.eye(3)[targets]
    there = torch.ones(120, dtype=torch.bool)
    batch = Batch(
        {VOICE: torch.from_numpy(vectors.astype(np.float32))},
        {"audio": there, "video": ~there},
        targets=torch.from_numpy(targets),
    )
    chosen = probe_of("audio", strengths=[0.001, 1000.0])
    chosen.learn_clips(batch, actors)
    for strength in (0.001, 1000.0):
        alone = probe_of("audio", strengths=[strength])
        alone.learn_clips(batch, actors)
        same = torch.equal(alone.audio_coefficients, chosen.audio_coefficients)
        assert same == (strength == 0.001)


@pytest.mark.parametrize("better", ["face", "voice"])
def test_the_better_stream_weighs_more_and_both_are_better_than_one(better: str) -> None:
    shown = {"face": 0.4, "voice": 0.4} | {better: 0.9}
    learned, actors = clips(1, 200, **shown)
    asked, _ = clips(1, 200, **shown)
    probe = probe_of()
    probe.learn_clips(learned, actors)
    weights = {"face": float(probe.video_pooling[1]), "voice": float(probe.audio_pooling[1])}
    assert max(weights, key=weights.__getitem__) == better

    def right(batch: Batch[torch.Tensor]) -> float:
        return float((probe(batch).argmax(dim=1) == batch.targets).float().mean())

    assert right(asked) > max(right(only(asked, "video")), right(only(asked, "audio"))) > 0.5


def test_with_one_stream_missing_it_answers_from_the_other() -> None:
    batch, actors = clips()
    probe = probe_of()
    probe.learn_clips(batch, actors)
    alone = only(batch, "audio")
    junk = Batch(alone.inputs | {FACE: torch.full_like(batch.inputs[FACE], 9.0)}, alone.present)
    torch.testing.assert_close(probe(alone), probe(junk))
    single = probe_of("audio")
    single.learn_clips(batch, actors)
    torch.testing.assert_close(probe(alone), single(alone))
    nothing = Batch(batch.inputs, {s: torch.zeros(120, dtype=torch.bool) for s in batch.present})
    assert probe(nothing).exp().numpy() == pytest.approx(1 / 3)


def test_a_label_that_a_group_lacks_is_not_impossible() -> None:
    batch, actors = clips(each=40)
    assert batch.targets is not None
    batch.targets[batch.targets == 2] = 0
    batch.targets[0] = 2  # one clip of one actor
    probe = probe_of("audio")
    probe.learn_clips(batch, actors)
    assert torch.isfinite(probe(batch)).all()


def test_more_groups_than_clips_of_any_label_are_refused() -> None:
    batch, _ = clips(each=3)
    with pytest.raises(UsageError, match="--probe.groups is 4, but must be at most 3 clips"):
        probe_of("audio").learn_clips(batch, [str(i) for i in range(9)])


def test_too_few_actors_are_refused() -> None:
    batch, _ = clips()
    with pytest.raises(UsageError, match="--probe.groups is 4, but must be at most the 2 actors"):
        probe_of("audio").learn_clips(batch, ["a", "b"] * 60)


@pytest.mark.parametrize(
    ("modality", "settings", "message"),
    [
        ("av", {"face": ""}, "--probe.face is empty, but --modality av needs an encoder"),
        ("audio", {"voice": "dinov2-small"}, "--probe.voice is dinov2-small, which does not read"),
        ("video", {"face": "no-such"}, "There is no encoder 'no-such'"),
        ("audio", {"strengths": []}, "strengths is"),
        ("audio", {"groups": 1}, "groups is 1, but must be from 2 to 100"),
    ],
)
def test_wrong_settings_are_refused(
    modality: str, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        inputs_of(ExperimentSettings("probe", modality, SETTINGS | settings))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the synthetic corpus: its voices by the speech encoder, its faces by a table."""
    pytest.importorskip("moonshine_voice")
    import shutil

    from avemotion.data.store import FeatureStore

    folder = tmp_path_factory.mktemp("probe")
    data = Path(shutil.copytree(small_store, folder / "features"))
    avemotion.embed(data, views=2, progress=False)
    store = FeatureStore(data)
    rows = [
        f"{row.clip},{store.labels.index(row.emotion) + 0.3 * (i % 5)}"
        for i, row in enumerate(store.rows)
    ]
    (folder / "mine.csv").write_text("\n".join(["clip,x", *rows]))
    avemotion.embed(data, f"video-table:{folder / 'mine.csv'}", progress=False)
    return folder


TRAINING = TrainingSettings(holdout=0.25, validation=0.3)


def test_the_whole_road_by_voice(run: Path, small_corpus: Path, tmp_path: Path) -> None:
    """fit, a checkpoint that is read back, and the same answer from the store and from the file."""
    from avemotion.data.dataset import ClipDataset
    from avemotion.data.store import FeatureStore
    from avemotion.models.base import probabilities
    from avemotion.models.registry import settings_of

    report = avemotion.fit(
        data=run / "features", model="probe", modality="audio", out=run / "audio",
        settings=settings_of("probe", {"groups": 2, "strengths": [0.001]}), training=TRAINING,
        progress=False,
    )  # fmt: skip
    model, metadata = load_checkpoint(report.checkpoint)
    (identity,) = metadata.encoders
    assert identity.name == "moonshine-tiny" and report.without_effect == ""
    store = FeatureStore(run / "features")
    row = store.rows[3]
    batch = ClipDataset(store, [row], [VOICE])[[(0, 0)]]
    stored = probabilities(model, batch, metadata.temperature or 1.0)[0]
    found = avemotion.classify_clip(small_corpus / row.audio_file, report.checkpoint)
    asked = [found.probabilities[label] for label in store.labels]
    np.testing.assert_allclose(asked, stored, atol=1e-4)
    exported = avemotion.export(report.checkpoint, tmp_path / "checkpoint.onnx")
    found = avemotion.Classifier(exported.file).classify(small_corpus / row.audio_file)
    np.testing.assert_allclose(list(found.probabilities.values()), stored, atol=1e-4)


def test_another_revision_of_the_encoder_is_refused(run: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    path = run / "audio" / "checkpoint.safetensors"
    with safe_open(path, "pt") as file:
        header = file.metadata()
    sha = "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221"
    assert sha in header["metadata"]
    header["metadata"] = header["metadata"].replace(sha, "0" * 64)
    other = tmp_path / "checkpoint.safetensors"
    save_file(load_file(path), other, header)
    with pytest.raises(UsageError, match="(?s)other weights of moonshine-tiny.*SHA-256 0000"):
        avemotion.Classifier(other)


def test_arrays_of_wrong_sizes_are_refused(run: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    path = run / "audio" / "checkpoint.safetensors"
    with safe_open(path, "pt") as file:
        header = file.metadata()
    arrays = load_file(path)
    arrays["audio_mean"] = arrays["audio_mean"][:-1].clone()
    other = tmp_path / "checkpoint.safetensors"
    save_file(arrays, other, header)
    with pytest.raises(UsageError, match="is damaged: its arrays have the sizes"):
        load_checkpoint(other)


def test_a_model_of_a_table_answers_in_evaluations_alone(run: Path) -> None:
    from avemotion.models.registry import settings_of

    settings = settings_of(
        "probe", {"groups": 2, "strengths": [0.001, 1.0], "face": "video-table.mine"}
    )
    report = avemotion.fit(
        data=run / "features", model="probe", modality="av", out=run / "av",
        settings=settings, training=TRAINING, progress=False,
    )  # fmt: skip
    assert report.metadata.answers == ("av", "video", "audio")
    with pytest.raises(UsageError, match="is a table of features: other clips than those in it"):
        avemotion.Classifier(report.checkpoint)
    with pytest.raises(UsageError, match="cannot be computed anew from a corrupted clip"):
        avemotion.evaluate(
            data=run / "features", models=("probe",), modalities=("av",), protocol="loso",
            settings={"probe": settings}, training=TRAINING, out=run / "loso", progress=False,
        )  # fmt: skip
    results = avemotion.evaluate(
        data=run / "features", models=("probe",), modalities=("av",), protocol="loso",
        settings={"probe": settings}, training=TRAINING, out=run / "loso", robustness=False,
        progress=False,
    )  # fmt: skip
    assert results.scores["probe/av"].recall > 0.6  # the table tells the labels, nearly
