"""A voice alone, as arrays, through a network with random weights."""

from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
from media_maker import sine
from network_maker import EXPERIMENTS, metadata_of, untrained

from avemotion import Classifier, DecodedClip
from avemotion.config import FaceChoice
from avemotion.errors import MediaError
from avemotion.features.frame_sampling import even_grid
from avemotion.inference.classifier import answer_or_prepare
from avemotion.inference.isolated_preparation import prepare_all, task_of
from avemotion.inference.preparation import prepare_clip
from avemotion.inference.request import InferenceRequest
from avemotion.media.reader import read_frames
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


def test_how_a_face_was_found_and_which_are_left_out_is_said(real_videos: list[Path]) -> None:
    """A small face, alone and for a while beside a large one."""
    frames = read_frames(real_videos[0], lambda n: even_grid(n, 0, 0.0)).frames
    far = np.full((20, 540, 960), 128, np.uint8)
    small = [cv2.resize(f, (120, 90), interpolation=cv2.INTER_AREA) for f in frames]
    far[:, 200:290, 700:820] = small
    near = np.where(np.arange(20)[:, None, None] < 8, far, 128).astype(np.uint8)
    near[:, :360, :480] = frames

    def warnings(shown: np.ndarray, face: FaceChoice) -> tuple[str, ...]:
        request = InferenceRequest(metadata_of(EXPERIMENTS["video"]), "model", face=face)
        (clip,) = prepare_clip(DecodedClip(shown, frame_rate=10.0), request)
        return clip.warnings

    assert "the face is small: 7% of the picture's height" in warnings(far, "main")
    left_out = "1 further face is left out: seen on too few frames"
    assert left_out in warnings(near, "all") and left_out not in warnings(near, "main")
