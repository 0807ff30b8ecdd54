"""How far a clip is from those of training: a closed form, and sounds that are no voice."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from media_maker import speech_like

from avemotion.errors import UsageError
from avemotion.features.signatures import face_signature, voice_signature
from avemotion.models.training_distance import (
    TrainingSpace,
    spaces_from,
    strangeness,
)


def space(values: int = 30, clips: int = 4000) -> TrainingSpace:
    """Of values that are drawn with standard deviations 1, 2, 3..."""
    drawn = np.random.default_rng(0).normal(5, np.arange(1, values + 1), (clips, values))
    return TrainingSpace.of("audio", drawn[: clips // 2], drawn[clips // 2 :])


def test_of_independent_values_it_is_the_length_in_standard_deviations() -> None:
    found = space()
    clip = np.full(30, 5.0)
    assert found.distance(clip) < 1.5
    clip[3] += 5 * 4  # five standard deviations of the fourth value
    assert found.distance(clip) == pytest.approx(5, rel=0.1)
    clip[20] += 5 * 21
    assert found.distance(clip) == pytest.approx(5 * np.sqrt(2), rel=0.1)


def test_the_limit_holds_for_99_of_100_held_out_clips() -> None:
    found = space()
    fresh = np.random.default_rng(1).normal(5, np.arange(1, 31), (4000, 30))
    beyond = np.mean([found.distance(one) > found.limit for one in fresh])
    assert 0.003 < beyond < 0.02


def test_without_held_out_clips_the_training_clips_give_the_limit() -> None:
    drawn = np.random.default_rng(0).normal(size=(300, 30))
    found = TrainingSpace.of("audio", drawn, drawn[:0])
    assert np.mean([found.distance(one) > found.limit for one in drawn]) == pytest.approx(
        0.01,
        abs=0.005,  # its digits are cut
    )


def test_values_that_never_differ_do_no_harm() -> None:
    drawn = np.random.default_rng(0).normal(size=(300, 30))
    drawn[:, 4] = 2.0
    found = TrainingSpace.of("audio", drawn, drawn)
    assert np.isfinite(found.limit) and found.limit < 20


def test_signatures_leave_out_level_brightness_and_contrast() -> None:
    voice = (8000 * speech_like(2.0)).astype(np.int16)
    assert voice_signature(voice) == pytest.approx(voice_signature(voice // 4), abs=1.0)
    rows, columns = np.mgrid[:48, :48] / 8
    face = (120 + 60 * np.sin(rows) * np.cos(columns))[None].astype(np.uint8)
    assert face_signature(face) == pytest.approx(face_signature(face // 2 + 60), abs=0.1)


def test_tones_and_clicks_are_unlike_voices() -> None:
    rng = np.random.default_rng(0)
    seconds = np.arange(2 * 16_000) / 16_000

    def voices(number: int) -> np.ndarray:
        drawn = []
        for _ in range(number):
            noise = np.cumsum(rng.standard_normal(len(seconds)))  # falls with the frequency
            slow = 0.2 + np.abs(np.sin(2 * np.pi * rng.uniform(2, 5) * seconds))
            fine = rng.standard_normal(len(seconds)) * rng.uniform(0.2, 2)
            sound = slow * (np.diff(noise, prepend=0) * 0.3 + fine)
            drawn.append(voice_signature((3000 * sound).astype(np.int16)))
        return np.array(drawn)

    known = TrainingSpace.of("audio", voices(60), voices(60))
    tone = (8000 * np.sin(2 * np.pi * 440 * seconds)).astype(np.int16)
    clicks = np.zeros(len(seconds), np.int16)
    clicks[::4000] = 20_000
    for strange in (tone, clicks):
        assert strangeness({"audio": strange}, [known])["audio"] > 1.5
    assert known.distance(voices(1)[0]) < 1.2 * known.limit
    assert strangeness({"video": np.zeros((1, 9, 9), np.uint8)}, [known]) == {}


def test_it_survives_json_and_damaged_ones_are_refused() -> None:
    found = space()
    plain = json.loads(json.dumps(asdict(found)))
    assert spaces_from([plain]) == (found,)
    damaged = [
        ("a text", "but must be a list"),
        ([plain | {"stream": "smell"}], "smell"),
        ([plain | {"limit": 0}], "above 0"),
        ([plain | {"mean": [1.0]}], "of one length"),
        ([plain | {"mean": 1.0}], "a list"),
        ([plain | {"directions": [1.0]}], "directions"),
        ([plain | {"spreads": ["x"] * len(plain["spreads"])}], "space of audio"),
        ([{"stream": "audio"}], "lacks"),
    ]
    for values, message in damaged:
        with pytest.raises(UsageError, match=message):
            spaces_from(values)
