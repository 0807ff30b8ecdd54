"""Face and voice together: each answers as its own network does, and the answers are added."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import avemotion
from avemotion.config import ExperimentSettings, PreprocessSettings
from avemotion.data.batch import Batch
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.task import Task
from avemotion.data.types import Split
from avemotion.errors import UsageError
from avemotion.inference.runtimes.onnx_graph import random_clips
from avemotion.models.base import probabilities
from avemotion.models.checkpoint import save_checkpoint
from avemotion.models.metadata import CheckpointMetadata
from avemotion.models.miene_stimme import MieneStimme, MieneStimmeSettings
from avemotion.models.registry import create, with_settings

TASK = Task(EMOTIONS)
SMALL = {"face_channels": [8, 16], "voice_channels": [8, 16], "frames": 4}


def untrained(modality: str = "av", **settings: object) -> tuple[MieneStimme, CheckpointMetadata]:
    """A network whose answers depend on the clip, and metadata for it."""
    torch.manual_seed(1)
    experiment = with_settings(ExperimentSettings("miene_stimme", modality, SMALL | settings))
    network = create(TASK, experiment)
    assert isinstance(network, MieneStimme)
    metadata = CheckpointMetadata(
        experiment=experiment,
        corpus="crema_d",
        corpus_clips=10,
        task=TASK,
        inputs=network.inputs,
        preprocessing=PreprocessSettings(views=1, features=("stills", "mel")),
        split=Split(("1001",), (), ()),
        epoch=1,
        scores={},
        synthetic=None,
    )
    network.train()(network.read(tensors(metadata, 8)))  # statistics that are not the initial ones
    with torch.no_grad():
        for head in heads(network):
            head.weight *= 8
    return network.eval(), metadata


def heads(network: MieneStimme) -> list[torch.nn.Linear]:
    return [m for n, m in network.named_modules() if n in ("face.heads.label", "voice.answer.1")]


def tensors(metadata: CheckpointMetadata, clips: int) -> Batch[Tensor]:
    return random_clips(metadata, clips).map(torch.from_numpy)


def log_shares(network: torch.nn.Module, batch: Batch[Tensor]) -> np.ndarray:
    return np.log(probabilities(network, batch))


def hidden(batch: Batch[Tensor], *streams: str) -> Batch[Tensor]:
    return replace(batch, present={s: a & (s not in streams) for s, a in batch.present.items()})


def test_log_probabilities_are_added() -> None:
    network, metadata = untrained()
    clips = tensors(metadata, 6)
    clips = replace(clips, present={s: torch.ones(6, dtype=torch.bool) for s in clips.present})
    face, voice = (log_shares(network, hidden(clips, s)) for s in ("audio", "video"))
    both = np.exp(face + voice)
    expected = both / both.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities(network, clips), expected, atol=1e-5)
    assert (face.argmax(axis=1) != voice.argmax(axis=1)).any()


def test_a_clip_of_one_face_is_answered_as_the_face_network_answers_the_picture() -> None:
    network, metadata = untrained("video")
    clips = tensors(metadata, 5)
    clips.inputs["stills"][:] = clips.inputs["stills"][:, :1]
    picture = Batch({"image": clips.inputs["stills"][:, 0]}, {"video": clips.present["video"]})
    np.testing.assert_allclose(
        probabilities(network, clips), probabilities(network.face, picture), atol=1e-5
    )


@pytest.mark.parametrize("range_db", [40.0, 20.0])
def test_the_voice_is_heard_as_its_own_network_hears_it(range_db: float) -> None:
    network, metadata = untrained("audio", range_db=range_db)
    assert network.voice.settings.range_db == range_db
    clips = tensors(metadata, 5)
    np.testing.assert_allclose(
        probabilities(network, clips), probabilities(network.voice, clips), atol=1e-5
    )


def test_the_frames_that_look_least_neutral_count() -> None:
    network, metadata = untrained("video", expressive_share=0.5)
    clips = tensors(metadata, 7)
    seen = network.frames.tolist()
    assert seen == [0, 6, 13, 19]
    each = np.stack(
        [
            log_shares(network.face, Batch({"image": clips.inputs["stills"][:, i]}, clips.present))
            for i in seen
        ],
        axis=1,
    )
    order = each[..., EMOTIONS.index("neutral")].argsort(axis=1)[:, :2]
    pooled = np.exp(np.take_along_axis(each, order[..., None], axis=1).mean(axis=1))
    expected = pooled / pooled.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities(network, clips), expected, atol=1e-5)
    everything, _ = untrained("video")
    assert np.abs(probabilities(everything, clips) - expected).max() > 1e-3


def test_what_no_clip_has_need_not_be_computed() -> None:
    network, metadata = untrained()
    clips = hidden(tensors(metadata, 3), "audio")
    alone = Batch({"stills": clips.inputs["stills"]}, clips.present)
    np.testing.assert_allclose(
        probabilities(network, alone), probabilities(network, clips), atol=1e-6
    )


@pytest.mark.parametrize("modality", ["av", "video", "audio"])
def test_it_is_exported(modality: str, tmp_path: Path) -> None:
    network, metadata = untrained(modality, expressive_share=0.5)
    save_checkpoint(tmp_path / "x.safetensors", network, metadata)
    report = avemotion.export(tmp_path / "x.safetensors", tmp_path / "x.onnx")
    assert report.largest_difference is not None and report.largest_difference < 1e-4


@pytest.mark.parametrize(
    ("name", "value"), [("frames", 0), ("frames", 21), ("expressive_share", 0.0)]
)
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"--miene_stimme.{name} is {value}"):
        MieneStimmeSettings(**{name: value})


@pytest.mark.parametrize(("gain", "offset"), [(0.25, 0), (0.5, 100), (1.0, -20)])
def test_light_and_contrast_change_no_answer(gain: float, offset: int) -> None:
    network, metadata = untrained("video")
    clips = tensors(metadata, 4)
    faces = clips.inputs["stills"] // 4 * 4  # a quarter of them is whole again
    faces = faces.clamp(40, 220)
    changed = (faces * gain + offset).to(torch.uint8)
    assert torch.equal(changed.float(), faces * gain + offset)
    found = [probabilities(network, clips.with_inputs(stills=f)) for f in (faces, changed)]
    np.testing.assert_allclose(found[1], found[0], atol=1e-4)


def test_the_faster_copy_answers_the_same() -> None:
    network, metadata = untrained()
    fast, clips = network.folded(), tensors(metadata, 6)
    assert not [m for m in fast.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    np.testing.assert_allclose(probabilities(fast, clips), probabilities(network, clips), atol=1e-5)
    assert [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_a_clip_without_face_and_voice_says_nothing() -> None:
    """As where what one of them says alone is asked of a batch that has the other."""
    network, metadata = untrained()
    clips = hidden(tensors(metadata, 3), "audio", "video")
    for batch in (clips, Batch({}, clips.present)):
        np.testing.assert_allclose(probabilities(network, batch), 1 / 6, atol=1e-6)
