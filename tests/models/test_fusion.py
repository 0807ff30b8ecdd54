"""Fusion: its gate, its standardisation, and the whole road from tables and from faces."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import avemotion
from avemotion.config import ExperimentSettings, TrainingSettings
from avemotion.data.batch import Batch
from avemotion.data.dataset import ClipDataset
from avemotion.data.store import FeatureStore
from avemotion.data.task import Task
from avemotion.errors import UsageError
from avemotion.inference.runtimes.onnx_graph import random_clips
from avemotion.models.base import probabilities
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.fusion import Fusion
from avemotion.models.inputs import names_of
from avemotion.models.registry import create, settings_of
from avemotion.training.lightning_module import EmotionModule

LABELS = ("calm", "happy", "sad")
FACE, VOICE = "embedding:avemotion-1-face", "embedding:moonshine-tiny"
TRAINING = TrainingSettings(
    holdout=0.25, validation=0.0, early_stopping=False, epochs=12, learning_rate=0.01, batch_size=16
)


def fusion_of(modality: str = "av", **settings: object) -> Fusion:
    torch.manual_seed(0)
    experiment = ExperimentSettings("fusion", modality, settings)  # type: ignore[arg-type]
    made = create(Task(LABELS), experiment)
    assert isinstance(made, Fusion)
    return made.eval()


def clips(number: int = 6) -> Batch[torch.Tensor]:
    torch.manual_seed(1)
    there = torch.ones(number, dtype=torch.bool)
    inputs = {FACE: torch.randn(number, 1, 2, 160), VOICE: torch.randn(number, 4, 2, 288)}
    present = {"video": there, "audio": there}
    return Batch(inputs, present, targets=torch.arange(number) % 3)  # type: ignore[arg-type]


def test_it_is_small() -> None:
    assert sum(p.numel() for p in fusion_of().parameters()) < 500_000
    assert sum(p.numel() for p in fusion_of(layers="weighted").parameters()) < 200_000


def test_an_undecided_gate_takes_the_mean_of_face_and_voice() -> None:
    model, batch = fusion_of(), clips()
    assert model.gate is not None
    torch.nn.init.zeros_(model.gate.weight)
    torch.nn.init.zeros_(model.gate.bias)
    face, voice = model.embeddings(batch).values()
    _, last = model.answer
    torch.testing.assert_close(model(batch), last((face + voice) / 2))


def gate_shares(model: Fusion, batch: Batch[torch.Tensor]) -> torch.Tensor:
    """Return how much of each value of the joint vector is the face's; NaN where the two agree."""
    face, voice = model.embeddings(batch).values()
    answer, model.answer = model.answer, torch.nn.Identity()
    joint = model(batch)
    model.answer = answer
    return torch.where((face - voice).abs() > 1e-3, (joint - voice) / (face - voice), torch.nan)


def test_the_gate_decides_value_by_value_and_clip_by_clip() -> None:
    shares = gate_shares(fusion_of(), clips())
    known = shares[~shares.isnan()]
    assert len(known) > 100 and ((known > 0) & (known < 1)).all()
    for one in shares:  # a clip's values
        assert one[~one.isnan()].std() > 0.01
    for one in shares.T:  # a value's clips
        if (~one.isnan()).sum() > 3:
            assert one[~one.isnan()].std() > 0.001


@pytest.mark.parametrize("stream", ["video", "audio"])
def test_what_is_hidden_has_no_say(stream: str) -> None:
    model, batch = fusion_of(), clips()
    hidden = Batch(batch.inputs, batch.present | {stream: torch.zeros(6, dtype=torch.bool)})
    name, other = {"video": (FACE, "audio"), "audio": (VOICE, "video")}[stream]
    junk = hidden.with_inputs(**{name: torch.full_like(batch.inputs[name], 9.0)})
    absent = Batch({n: x for n, x in batch.inputs.items() if n != name}, hidden.present)
    _, last = model.answer
    alone = last(model.embeddings(batch)[other])  # type: ignore[index]
    for one in (hidden, junk, absent):
        torch.testing.assert_close(model(one), alone)
    assert not torch.allclose(model(hidden), model(batch))
    neither = {s: torch.zeros(6, dtype=torch.bool) for s in batch.present}
    assert torch.isfinite(model(Batch(batch.inputs, neither))).all()


def test_weighted_layers_can_be_one_of_them() -> None:
    model, batch = fusion_of("audio", layers="weighted"), clips()
    branch = model.branches["audio"]
    branch.layers.data = torch.tensor([-50.0, -50.0, 50.0, -50.0])
    third = batch.inputs[VOICE][:, 2].flatten(1)
    torch.testing.assert_close(model.embeddings(batch)["audio"], branch.vector(third))


def test_training_leaves_embeddings_of_faces_as_they_are() -> None:
    """Mirroring and the like are of pictures."""
    settings = TrainingSettings(mixup=0.0, modality_dropout=0.0, rotation_degrees=20.0, cutout=0.5)
    batch = clips()
    augmented, _ = EmotionModule(fusion_of(), settings).augmented(batch)
    torch.testing.assert_close(augmented.inputs[FACE], batch.inputs[FACE])


@pytest.fixture(scope="module")
def tables(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a table of each stream: the face tells what the voice does not."""
    folder = tmp_path_factory.mktemp("fusion")
    data = Path(shutil.copytree(small_store, folder / "features"))
    store, rng = FeatureStore(data), np.random.default_rng(0)
    for stream in ("video", "audio"):
        lines = ["clip,x,y,always"]
        for row in store.rows:
            number = store.labels.index(row.emotion)
            angle = number % 3 if stream == "video" else number // 3
            x, y = 4 * np.cos(2 * angle), 4 * np.sin(2 * angle)
            values = x + rng.normal(), 1e-8 * (y + rng.normal()), 44_100.7
            lines.append(",".join(map(str, (row.clip, *values))))
        (folder / "mine.csv").write_text("\n".join(lines))
        avemotion.embed(data, f"{stream}-table:{folder / 'mine.csv'}", progress=False)
    return data


def test_the_whole_road_by_tables(tables: Path, tmp_path: Path) -> None:
    """Values of any scale, one that never changes too; a table is as wide as its file."""
    settings = settings_of("fusion", {"face": "video-table.mine", "voice": "audio-table.mine"})
    report = avemotion.fit(
        data=tables, model="fusion", modality="av", out=tmp_path / "run", settings=settings,
        training=TRAINING, progress=False,
    )  # fmt: skip
    model, metadata = load_checkpoint(report.checkpoint)
    store = FeatureStore(tables)
    dataset = ClipDataset(store, store.rows, names_of(metadata.inputs))
    batch = dataset[[(i, 0) for i in range(len(dataset))]]
    learned = [row.actor in metadata.split.train for row in store.rows]
    values = batch.inputs["embedding:audio-table.mine"][torch.tensor(learned)].double().numpy()
    branch = model.branches["audio"]
    np.testing.assert_allclose(branch.mean, values.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(branch.std[:2], values.std(axis=0)[:2], rtol=1e-5)
    assert branch.std[2] == 1  # of the value that never changes
    assert metadata.answers == ("av", "video", "audio")
    right = {}
    for hidden in ("", "video", "audio"):
        there = {s: x & (s != hidden) for s, x in batch.present.items()}
        answers = probabilities(model, Batch(batch.inputs, there)).argmax(axis=1)
        right[hidden] = (answers == batch.targets.numpy())[~np.array(learned)].mean()
    assert right[""] > 0.6 and right[""] > right["video"] + 0.2 and right[""] > right["audio"] + 0.2


def test_training_goes_on_from_the_weights_of_a_table(tables: Path, tmp_path: Path) -> None:
    """Only they tell how wide it is; one stream of a model for both can be gone on with."""
    settings = settings_of("fusion", {"face": "video-table.mine", "voice": "audio-table.mine"})
    whole = avemotion.fit(
        data=tables, model="fusion", modality="av", out=tmp_path / "av", settings=settings,
        training=replace(TRAINING, epochs=1), progress=False,
    )  # fmt: skip
    more = replace(TRAINING, epochs=1, learning_rate=1e-9, weight_decay=0.0)
    for modality in ("av", "audio"):
        report = avemotion.fit(
            data=tables, model="fusion", modality=modality, out=tmp_path / f"more-{modality}",
            init=whole.checkpoint, settings=settings, training=more, progress=False,
        )  # fmt: skip
        before, after = (load_checkpoint(one.checkpoint)[0] for one in (whole, report))
        for name, weight in after.state_dict().items():
            torch.testing.assert_close(weight, before.state_dict()[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, "no weights for audio"),
        ({"mean": (0, 2, 2**40)}, "do not fit together"),
        ({"mean": ()}, "do not fit together"),
        ({"mean": (100_000,)}, "do not fit together"),
        ({"vector.1.weight": (128, 4)}, "do not fit together"),
        ({"more": (2,)}, "do not fit together"),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_memory_is_taken(
    changed: dict[str, tuple[int, ...]], message: str
) -> None:
    shapes = {"mean": (3,), "std": (3,), "vector.1.weight": (128, 3), "vector.1.bias": (128,)}
    model = fusion_of("audio", voice="audio-table.mine")
    weights = model.state_dict()
    if changed:
        for name, shape in (shapes | changed).items():
            weights[f"branches.audio.{name}"] = torch.empty(shape, device="meta")
    with pytest.raises(ValueError, match=message):
        model.load_state_dict(weights)
    assert not model.branches


def test_it_answers_a_file_as_the_store(
    small_store: Path, small_corpus: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(small_store, tmp_path / "features"))
    avemotion.embed(data, "avemotion-1-face", progress=False)
    report = avemotion.fit(
        data=data, model="fusion", modality="video", out=tmp_path / "run", training=TRAINING,
        progress=False,
    )  # fmt: skip
    model, metadata = load_checkpoint(report.checkpoint)
    store = FeatureStore(data)
    row = store.rows[3]
    stored = probabilities(model, ClipDataset(store, [row], [FACE])[[(0, 0)]])[0]
    video = small_corpus / row.video_file
    found = avemotion.Classifier(report.checkpoint).classify(video)
    np.testing.assert_allclose(list(found.probabilities.values()), stored, atol=1e-4)
    drawn = random_clips(metadata, 3, model)  # by which the exported graph is checked
    asked = probabilities(model, drawn.map(torch.from_numpy))
    assert asked.std(axis=0).max() > 0.01 and asked.max() < 0.9
    exported = avemotion.export(report.checkpoint, tmp_path / "fusion.onnx").file
    found = avemotion.Classifier(exported).classify(video)
    np.testing.assert_allclose(list(found.probabilities.values()), stored, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": "last"}, "--fusion.layers is 'last', but must be beside or weighted"),
        ({"features": 8}, "--fusion.features is 8, but must be from 32 to 4096"),
        ({"dropout": 1.0}, "--fusion.dropout is 1.0, but must be at least 0 and below 1"),
        ({"face": "moonshine-tiny"}, "--fusion.face is moonshine-tiny, which does not read"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fusion_of(**settings)
