"""A voice alone, as arrays, through a network with random weights."""

from contextlib import closing
from pathlib import Path

import numpy as np
from media_maker import sine
from network_maker import EXPERIMENTS, metadata_of, untrained

from avemotion import Classifier, DecodedClip
from avemotion.errors import MediaError
from avemotion.inference.classifier import answer_or_prepare
from avemotion.inference.isolated_preparation import prepare_all, task_of
from avemotion.inference.preparation import prepare_clip
from avemotion.inference.request import InferenceRequest
from avemotion.models.checkpoint import save_checkpoint


def test_where_there_is_no_video_no_frames_are_sampled(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, untrained(EXPERIMENTS["av"]), metadata_of(EXPERIMENTS["av"]))
    sound = DecodedClip(waveform=sine(440, 2.0, 16_000), sample_rate=16_000)
    found = Classifier(path, "cpu").classify(sound)
    assert (found.modality, found.frames_sampled, found.faces_found) == ("audio", 0, 0)
    assert np.isclose(sum(found.probabilities.values()), 1) and found.face_box is None


def test_a_process_of_its_own_prepares_a_clip_or_says_why_not(tmp_path: Path) -> None:
    request = InferenceRequest(metadata_of(EXPERIMENTS["audio"]), "model")
    sound = DecodedClip(waveform=sine(440, 2.0, 16_000), sample_rate=16_000)
    broken = tmp_path / "a.wav"
    broken.write_bytes(b"RIFF")
    tasks = [task_of(sound, request), task_of(broken, request)]
    with closing(prepare_all(answer_or_prepare, tasks, workers=1)) as outcomes:
        (clip,), error = outcomes
    (same,) = prepare_clip(sound, request)
    np.testing.assert_array_equal(clip.arrays.inputs["power"], same.arrays.inputs["power"])
    assert isinstance(error, MediaError) and "a.wav" in str(error)
