from dataclasses import asdict, replace

import pytest

from avemotion.errors import UsageError
from avemotion.models.recording_conditions import (
    ConditionScore,
    TrainedRange,
    departures,
    ranges_from,
)

LEVEL = TrainedRange(
    quality="speech_level_db",
    low=-40.0,
    high=-15.0,
    uar=0.6,
    conditions=(
        ConditionScore("gain -20 dB", -48.0, 0.31),
        ConditionScore("gain -10 dB", -41.0, 0.52),
        ConditionScore("gain +10 dB", -12.0, 0.44),
    ),
)
NOISE = TrainedRange("loudness_range_db", 25.0, 70.0, 0.6, ())


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (-60.0, "quiet: its speech is at -60 dB of full scale, in 98 % of the training clips -40 to"
         " -15; under gain -20 dB, which is milder than this, mean recall on clips that "
         "it did not learn was 31 %, without 60 %"),
        (-43.5, "under gain -20 dB, mean recall on clips that it did not learn was 31 %"),
        # -12 is on the loud side, and the loudest that was measured.
        (-5.0, "loud: its speech is at -5 dB of full scale, in 98 % of the training clips -40 to "
         "-15; under gain +10 dB, which is milder than this, mean recall on clips that "
         "it did not learn was 44 %, without 60 %"),
    ],
)  # fmt: skip
def test_a_recording_far_from_training_is_told_the_score_of_a_condition_as_bad(
    level: float, expected: str
) -> None:
    (found,) = departures({"speech_level_db": level}, {}, [LEVEL, NOISE])
    assert expected in found.warning


@pytest.mark.parametrize("level", [-42.9, -30.0, -12.1])
def test_a_recording_like_those_of_training_gets_no_warning(level: float) -> None:
    """Within 3 dB of their range, too."""
    found = {"speech_level_db": level, "loudness_range_db": 30.0}
    assert list(departures(found, {}, [LEVEL, NOISE])) == []


def test_a_recording_better_than_those_of_training_gets_no_warning() -> None:
    assert list(departures({"loudness_range_db": 90.0}, {}, [NOISE])) == []


def test_without_validation_clips_the_cost_is_called_unmeasured() -> None:
    (found,) = departures({"loudness_range_db": 8.0}, {}, [replace(NOISE, uar=None)])
    assert "noisy, or without pauses: its loud and quiet moments are 8 dB apart" in found.warning
    assert found.warning.endswith("what that costs was not measured") and found.kept is None


@pytest.mark.parametrize(("level", "kept"), [(-43.5, 0.31 / 0.6), (-5.0, 0.44 / 0.6)])
def test_what_is_kept_is_the_share_of_the_score_without_the_condition(
    level: float, kept: float
) -> None:
    (found,) = departures({"speech_level_db": level}, {}, [LEVEL])
    assert found.kept == pytest.approx(kept)


def test_a_condition_that_helps_keeps_all_and_no_more() -> None:
    better = replace(LEVEL, conditions=(ConditionScore("gain -20 dB", -48.0, 0.9),))
    (found,) = departures({"speech_level_db": -45.0}, {}, [better])
    assert found.kept == 1


def test_a_stream_far_from_training_is_called_unlike_it() -> None:
    face, sound = departures({}, {"video": 1.26, "audio": 3.0}, [LEVEL])
    assert face.warning.startswith(
        "the face is unlike those that the model learned from: at 1.3 times"
    )
    assert sound.warning.startswith("the sound is unlike those that the model learned from: at 3.0")
    assert face.kept is None
    assert not list(departures({}, {"video": 1.0, "audio": 0.2}, [LEVEL]))


def test_ranges_survive_json_and_damaged_ones_are_refused() -> None:
    values = [asdict(LEVEL), asdict(NOISE)]
    assert ranges_from(values) == (LEVEL, NOISE)
    damaged = [
        ("a text", "but must be a list"),
        ([1], "must be a mapping"),
        ([asdict(LEVEL) | {"quality": "smell"}], "smell"),
        ([asdict(LEVEL) | {"uar": 1.5}], "from 0 to 1"),
        ([asdict(LEVEL) | {"low": "x"}], "low"),
        ([asdict(LEVEL) | {"low": float("nan")}], "low"),
        ([asdict(LEVEL) | {"conditions": [{"name": "x"}]}], "lacks typical"),
        ([asdict(LEVEL) | {"conditions": None}], "must be a list"),
    ]
    for values, message in damaged:
        with pytest.raises(UsageError, match=message):
            ranges_from(values)
