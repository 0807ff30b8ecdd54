"""The packaged model's face network as an encoder: its geometry, identity, and whole road."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from network_maker import EXPERIMENTS, metadata_of, untrained
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import avemotion
from avemotion.config import PreprocessSettings, TrainingSettings
from avemotion.data.dataset import ClipDataset
from avemotion.data.store import FeatureStore
from avemotion.encoders.registry import ENCODERS, encoder
from avemotion.errors import UsageError
from avemotion.features.crops import crop_faces, with_margin
from avemotion.features.extraction import extract
from avemotion.media.types import Box
from avemotion.models import face_encoder
from avemotion.models.base import probabilities
from avemotion.models.checkpoint import load_checkpoint, save_checkpoint
from avemotion.models.face_encoder import FaceEncoder, squares
from avemotion.models.inputs import names_of
from avemotion.models.packaged import packaged_file
from avemotion.models.registry import settings_of

NAME = "avemotion-1-face"
FEATURE = f"embedding:{NAME}"
PACKAGED = packaged_file(".safetensors")


def test_it_needs_nothing_but_the_package() -> None:
    found = encoder(NAME)
    assert found.shape == ENCODERS[NAME].shape
    identity = found.identity
    assert (identity.name, identity.revision, identity.precision) == (
        NAME,
        "avemotion-1",
        "float32",
    )


def test_squares_are_what_a_crop_with_the_margin_has_in_its_middle() -> None:
    rows, columns = np.mgrid[0:400, 0:400]
    frame = (127 + 60 * np.sin(rows / 23) + 60 * np.cos(columns / 31)).astype(np.uint8)[None]
    box = Box(120, 110, 160, 196)
    plain = crop_faces(frame, [box])
    wider = crop_faces(frame, [with_margin(box, 0.05)])
    wanted = crop_faces(wider, [Box(0, 9, 80, 80)], (48, 48)).astype(int)
    off = np.abs(squares(plain, 0.05).astype(int) - wanted)
    assert off[0, :, 3:-3].max() <= 3  # the three columns at each side are what the crop lacks
    without = crop_faces(plain, [Box(0, 9, 80, 80)], (48, 48)).astype(int)
    assert np.abs(without - wanted)[0, :, 3:-3].max() > 10


def test_real_faces_are_answered_as_from_the_models_own_pictures(real_videos: list[Path]) -> None:
    """Its last layer says of our embedding what it says of the clip, cut as the model asks for."""
    network, metadata = load_checkpoint(PACKAGED)
    head = network.face.heads["label"]
    ours = PreprocessSettings(views=1, features=("faces",))
    true = replace(metadata.preprocessing, views=1, features=("stills",))
    for video in real_videos:
        faces = extract(video.stem, video, None, ours).features.arrays["faces"][0]
        stills = extract(video.stem, video, None, true).features.arrays["stills"][0].astype(float)
        deviation = stills.std(axis=(1, 2), keepdims=True)
        pictures = (stills - stills.mean(axis=(1, 2), keepdims=True)) / deviation
        with torch.inference_mode():
            maps = network.face.trunk(torch.from_numpy(pictures).float()[:, None])
            wanted = maps.mean(dim=(2, 3)).numpy()
            found = encoder(NAME).encode(faces, video.stem)
            answers = [head(torch.from_numpy(x)).softmax(0) for x in (wanted.mean(0), found[0, 0])]
        assert np.corrcoef(wanted.mean(axis=0), found[0, 0])[0, 1] > 0.99
        assert np.corrcoef(wanted.std(axis=0), found[0, 1])[0, 1] > 0.95
        assert float((answers[0] - answers[1]).abs().sum()) / 2 < 0.1
        assert answers[0].argmax() == answers[1].argmax()


def with_weight_changed(folder: Path, name: str) -> Path:
    """A copy of the packaged model in which one number is another."""
    with safe_open(PACKAGED, "pt") as file:
        header = file.metadata()
    arrays = load_file(PACKAGED)
    arrays[name].view(-1)[0] += 0.5
    path = folder / "model.safetensors"
    save_file(arrays, path, header)
    return path


@pytest.mark.parametrize(
    ("weight", "same"), [("face.trunk.0.weight", False), ("voice.attention.bias", True)]
)
def test_its_identity_is_that_of_the_face_network(
    weight: str, same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_weight_changed(tmp_path, weight)
    monkeypatch.setattr(face_encoder, "packaged_file", lambda suffix: path)
    changed = FaceEncoder(NAME, "avemotion-1")
    faces = np.random.default_rng(0).integers(0, 255, (20, 98, 80), dtype=np.uint8)
    assert (changed.identity == encoder(NAME).identity) == same
    plain = encoder(NAME).encode(faces, "")
    assert np.array_equal(changed.encode(faces, ""), plain) == same


def test_a_packaged_model_without_a_face_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = EXPERIMENTS["audio"]
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, untrained(experiment), metadata_of(experiment))
    monkeypatch.setattr(face_encoder, "packaged_file", lambda suffix: path)
    with pytest.raises(UsageError, match="has no face network. Install avemotion anew"):
        FaceEncoder(NAME, "avemotion-1")


@pytest.fixture(scope="module")
def embedded(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("faces") / "features"
    shutil.copytree(small_store, data)
    report = avemotion.embed(data, NAME, progress=False)
    assert (report.feature, report.clips, report.views) == (FEATURE, 48, 1)
    return data


def test_a_probe_answers_a_file_as_the_store(
    embedded: Path, small_corpus: Path, tmp_path: Path
) -> None:
    report = avemotion.fit(
        data=embedded, model="probe", modality="video", out=tmp_path / "run",
        settings=settings_of("probe", {"groups": 2, "strengths": [0.01]}),
        training=TrainingSettings(holdout=0.25, validation=0.3), progress=False,
    )  # fmt: skip
    model, metadata = load_checkpoint(report.checkpoint)
    store = FeatureStore(embedded)
    row = store.rows[3]
    batch = ClipDataset(store, [row], [FEATURE])[[(0, 0)]]
    stored = probabilities(model, batch, metadata.temperature or 1.0)[0]
    assert stored.max() > 0.2
    classifier = avemotion.Classifier(report.checkpoint)
    found = classifier.classify(small_corpus / row.video_file)
    np.testing.assert_allclose(list(found.probabilities.values()), stored, atol=1e-4)
    rows = list(avemotion.timeline(small_corpus / row.video_file, checkpoint=report.checkpoint))
    assert rows and rows[0].label in store.labels


def test_a_probe_of_face_and_voice_answers_from_what_there_is(
    embedded: Path, small_corpus: Path, tmp_path: Path
) -> None:
    pytest.importorskip("moonshine_voice")
    avemotion.embed(embedded, progress=False)
    report = avemotion.fit(
        data=embedded, model="probe", modality="av", out=tmp_path / "run",
        settings=settings_of("probe", {"groups": 2, "strengths": [0.01]}),
        training=TrainingSettings(holdout=0.25, validation=0.3), progress=False,
    )  # fmt: skip
    model, metadata = load_checkpoint(report.checkpoint)
    store = FeatureStore(embedded)
    row = store.rows[5]
    batch = ClipDataset(store, [row], names_of(metadata.inputs))[[(0, 0)]]
    stored = probabilities(model, batch, metadata.temperature or 1.0)[0]
    classifier = avemotion.Classifier(report.checkpoint)
    found = classifier.classify(small_corpus / row.video_file)
    assert found.modality == "av"  # its sound is MP3, the store's the WAV beside it
    np.testing.assert_allclose(list(found.probabilities.values()), stored, atol=0.15)
    hidden = replace(batch, present=batch.present | {"video": torch.tensor([False])})
    alone = probabilities(model, hidden, metadata.temperature or 1.0)[0]
    assert np.abs(alone - stored).max() > 1e-3  # the face has its say
    heard = classifier.classify(small_corpus / row.audio_file)
    assert heard.modality == "audio"
    np.testing.assert_allclose(list(heard.probabilities.values()), alone, atol=1e-4)


def test_crops_with_a_margin_of_their_own_are_refused(small_corpus: Path, tmp_path: Path) -> None:
    cut = PreprocessSettings(views=1, features=("faces",), crop_margin=0.05)
    clips = tmp_path / "corpus"
    shutil.copytree(small_corpus, clips)
    store = avemotion.preprocess(clips, out=tmp_path / "store", settings=cut, progress=False).store
    with pytest.raises(UsageError, match="needs plain face crops, .* --crop_margin 0.05"):
        avemotion.embed(store, NAME, progress=False)
    assert not (store / "embeddings").exists()
