"""Settings: what is refused, and their form in files."""

import pytest

from avemotion.config import ExperimentSettings, NetworkSettings, TrainingSettings
from avemotion.errors import UsageError


def test_settings_survive_a_round_trip() -> None:
    experiment = ExperimentSettings("video", NetworkSettings(width=0.5), TrainingSettings(epochs=3))
    assert ExperimentSettings.from_dict(experiment.to_dict()) == experiment


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 1}, {"modality_dropout": 0.6}, {"holdout": 0.8}, {"epochs": 0}]
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        TrainingSettings(**wrong)


def test_noise_needs_the_log_mel() -> None:
    noisy = TrainingSettings(sound_noise=0.5)
    with pytest.raises(UsageError, match="works only with --network.spectrogram log_mel"):
        ExperimentSettings(network=NetworkSettings(spectrogram="power"), training=noisy)
    with pytest.raises(UsageError, match="--training.sound_noise is 1.5, but must be from 0 to 1"):
        TrainingSettings(sound_noise=1.5)
