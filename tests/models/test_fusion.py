"""Fusion: its gate, its standardisation, and the whole road from tables and from faces."""

import shutil
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


def test_it_has_under_a_million_parameters() -> None:
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


def test_the_joint_vector_lies_between_those_of_face_and_voice() -> None:
    model, batch = fusion_of(), clips()
    face, voice = model.embeddings(batch).values()
    model.answer = torch.nn.Identity()
    joint = model(batch)
    assert ((joint >= torch.minimum(face, voice)) & (joint <= torch.maximum(face, voice))).all()
    assert not torch.allclose(joint, (face + voice) / 2)


@pytest.mark.parametrize("stream", ["video", "audio"])
def test_what_is_hidden_has_no_say(stream: str) -> None:
    model, batch = fusion_of(), clips()
    hidden = Batch(batch.inputs, batch.present | {stream: torch.zeros(6, dtype=torch.bool)})
    name = {"video": FACE, "audio": VOICE}[stream]
    junk = hidden.with_inputs(**{name: torch.full_like(batch.inputs[name], 9.0)})
    absent = Batch({n: x for n, x in batch.inputs.items() if n != name}, hidden.present)
    torch.testing.assert_close(model(hidden), model(junk))
    torch.testing.assert_close(model(hidden), model(absent))
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
    """A store with a table of each stream: the face tells half of the labels, the voice all."""
    folder = tmp_path_factory.mktemp("fusion")
    data = Path(shutil.copytree(small_store, folder / "features"))
    store, rng = FeatureStore(data), np.random.default_rng(0)
    for stream, known in (("video", 3), ("audio", 6)):
        lines = ["clip,x,y,always"]
        for row in store.rows:
            number = min(store.labels.index(row.emotion), known)
            x, y = 3 * np.cos(number), 3 * np.sin(number)
            lines.append(f"{row.clip},{x + rng.normal()},{1000 * (y + rng.normal())},7")
        (folder / "mine.csv").write_text("\n".join(lines))
        avemotion.embed(data, f"{stream}-table:{folder / 'mine.csv'}", progress=False)
    return data


def test_the_whole_road_by_tables(tables: Path, tmp_path: Path) -> None:
    """Values of any scale, also one that never changes; a table's width is that of the file."""
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
    np.testing.assert_allclose(branch.mean, values.mean(axis=0), rtol=1e-4, atol=1e-6)
    std = values.std(axis=0)
    np.testing.assert_allclose(branch.std, np.where(std == 0, 1, std), rtol=1e-4)
    right = probabilities(model, batch).argmax(axis=1) == batch.targets.numpy()
    assert right[~np.array(learned)].mean() > 0.6  # of actors that it did not learn; chance is 1/6
    assert metadata.answers == ("av", "video", "audio")


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
    assert stored.max() > 0.2
    video = small_corpus / row.video_file
    found = avemotion.Classifier(report.checkpoint).classify(video)
    np.testing.assert_allclose(list(found.probabilities.values()), stored, atol=1e-4)
    exported = avemotion.export(report.checkpoint, tmp_path / "fusion.onnx").file
    found = avemotion.Classifier(exported).classify(video)
    np.testing.assert_allclose(list(found.probabilities.values()), stored, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": "last"}, "--fusion.layers is 'last', but must be beside or weighted"),
        ({"features": 4}, "--fusion.features is 4, but must be from 8 to 4096"),
        ({"dropout": 1.0}, "--fusion.dropout is 1.0, but must be at least 0 and below 1"),
        ({"face": "moonshine-tiny"}, "--fusion.face is moonshine-tiny, which does not read"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fusion_of(**settings)
