"""avemotion-1, the model that comes with the package: made from the raw files, and measured.

The face network learns FER2013 with the votes of FER+ (by Miene's recipe, then with faces as
poor cameras show them, `POOR`), the voice network the mel spectrograms of all of CREMA-D (`VOICE`).
Both are trained as anyone's are, by `fit`; what is done here is to put them together: six emotions,
calibrated, without the shares that the emotions had in training. `packaged_figures.py` measures it.

Stores and runs are kept in `--work`: the same command goes on where it stopped. With `--install`
the model is written into the package.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch
from packaged_figures import measure
from reporting import parser

import avemotion
from avemotion.config import ExperimentSettings, PreprocessSettings, TrainingSettings
from avemotion.data.checksums import sha256_of
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.store import FeatureStore
from avemotion.data.task import Task
from avemotion.models.checkpoint import load_checkpoint, save_checkpoint
from avemotion.models.metadata import CheckpointMetadata, Origin
from avemotion.models.miene import Miene
from avemotion.models.miene_stimme import MieneStimme
from avemotion.models.packaged import packaged_file
from avemotion.models.registry import create, settings_of, training_for, with_settings
from avemotion.models.stimme import Stimme

ROOT = Path(__file__).parents[1]

VOICE = TrainingSettings(
    epochs=20, batch_size=64, early_stopping=False, sound_noise=0.5, sound_room=0.0,
    sound_channel=0.25, sound_equaliser=0.75,
)  # fmt: skip
VOICE_SETTINGS = {"channels": [32, 64, 128], "range_db": 30.0}
"""Noise further below the voice than `range_db` tells a network how loud somebody was in the studio
that it learned from, and misleads it in others."""
PRIOR_SHARE = 0.25
"""Share of the logarithm of the emotions' frequencies in FER2013 that is taken out."""
EXPRESSIVE_SHARE = 0.6
"""Frames that count: people who talk look neutral to a network of photographs."""
FRAMES = 20
POOR = {"epochs": 10, "learning_rate": 0.03, "degradation": 0.3}
"""A second training of the face network, which also sees faces as poor cameras show them."""
CROP_MARGIN = 0.05
"""With it a face is cut as those of FER2013 are: see `avemotion.data.corpora.fer2013.SETTINGS`."""


def main() -> None:
    given = _options().parse_args()
    face_store, voice_store = _stores(given)
    runs = given.work / "runs"
    sharp = avemotion.fit(
        data=face_store, model="miene", modality="video", out=runs / "face",
        training=_at_most(_face_training(), given.epochs),
    ).checkpoint  # fmt: skip
    face = avemotion.fit(
        data=face_store, model="miene", modality="video", out=runs / "face-poor", init=sharp,
        training=_at_most(replace(_face_training(), **POOR), given.epochs),
    ).checkpoint  # fmt: skip
    learned = _at_most(VOICE, given.epochs)
    voice = _voice(voice_store, runs / "voice", replace(learned, holdout=0.0, validation=0.1))
    heard = _voice(
        voice_store, runs / "voice-holdout", replace(learned, holdout=0.2, validation=0.0)
    )
    folds = avemotion.evaluate(
        data=voice_store, protocol=given.protocol, models=("stimme",), modalities=("audio",),
        robustness=False, jobs=given.jobs, out=given.work / "folds",
        settings={"stimme": settings_of("stimme", VOICE_SETTINGS)},
        training=replace(learned, validation=0.0),
    )  # fmt: skip
    given.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(folds.out, "predictions.csv"), given.out / "packaged_voice.csv")
    network, metadata = together(face, voice, FeatureStore(face_store))
    model = given.work / "avemotion-1.safetensors"
    save_checkpoint(model, network.half(), metadata)
    network, metadata = load_checkpoint(model)  # rounded, as everyone will have it
    assert isinstance(network, MieneStimme)
    figures = measure(given, network, face, voice, heard, folds)
    save_checkpoint(model, network.half(), replace(metadata, **figures.of_metadata))
    figures.publish(given.out)
    if given.install:
        target = packaged_file(".safetensors")
        target.write_bytes(model.read_bytes())
        avemotion.export(target, packaged_file(".onnx"))


def _options() -> argparse.ArgumentParser:
    arguments = parser(__doc__)
    arguments.add_argument("--fer2013", type=Path, required=True, help="FER2013, with FER+'s votes")
    arguments.add_argument("--mels", type=Path, required=True, help="table of CREMA-D's voices")
    arguments.add_argument("--crema", type=Path, required=True, help="CREMA-D, with some media")
    arguments.add_argument("--ravdess", type=Path, required=True, help="RAVDESS' speech")
    arguments.add_argument("--work", type=Path, required=True, help="stores and runs; kept")
    arguments.add_argument("--epochs", type=int, help="at most so many, to try it out")
    arguments.add_argument("--protocol", default="10fold", help="folds that score the voice")
    arguments.add_argument("--jobs", type=int, default=None, help="folds at once")
    arguments.add_argument("--install", action="store_true", help="write it into the package")
    return arguments


def _stores(given: argparse.Namespace) -> tuple[Path, Path]:
    """Return the stores of the pictures and of the voices."""
    faces = avemotion.preprocess(given.fer2013, corpus="fer2013", out=given.work / "faces").store
    voices = given.work / "voices"
    if not voices.exists():
        script = ROOT / "data_prep" / "crema_d_mel.py"
        words = [sys.executable, script, given.mels, "--crema", given.crema, "--out", voices]
        subprocess.run(list(map(str, words)), check=True)
    return faces, voices


def _face_training() -> TrainingSettings:
    return training_for("miene", {"split": "official"})


def _at_most(training: TrainingSettings, epochs: int | None) -> TrainingSettings:
    return replace(training, epochs=min(training.epochs, epochs or training.epochs))


def _voice(store: Path, out: Path, training: TrainingSettings) -> Path:
    return avemotion.fit(
        data=store, model="stimme", modality="audio", out=out,
        settings=settings_of("stimme", VOICE_SETTINGS),
        training=training,
    ).checkpoint  # fmt: skip


def together(
    face: Path, voice: Path, pictures: FeatureStore
) -> tuple[MieneStimme, CheckpointMetadata]:
    """Put both networks together, with heads for CREMA-D's six emotions.

    Temperatures, and the shares of the emotions in training, go into the weights of the heads.
    """
    miene, seen = load_checkpoint(face)
    stimme, heard = load_checkpoint(voice)
    assert isinstance(miene, Miene) and isinstance(stimme, Stimme)
    experiment = with_settings(
        ExperimentSettings(
            "miene_stimme",
            "av",
            {
                "face_channels": list(miene.settings.channels),
                "voice_channels": list(stimme.settings.channels),
                "range_db": stimme.settings.range_db,
                "frames": FRAMES,
                "expressive_share": EXPRESSIVE_SHARE,
            },
            heard.experiment.training,
        )
    )
    network = create(Task(EMOTIONS), experiment)
    assert isinstance(network, MieneStimme)
    network.face.trunk.load_state_dict(miene.trunk.state_dict())
    network.voice.load_state_dict(stimme.state_dict())
    chosen = [seen.labels.index(emotion) for emotion in EMOTIONS]
    counts = Counter(row.emotion for row in pictures.rows if row.part == "train")
    shares = torch.tensor([counts[emotion] for emotion in EMOTIONS]).float()
    learned, head = miene.heads["label"], network.face.heads["label"]
    with torch.no_grad():
        head.weight.copy_(learned.weight[chosen] / (seen.temperature or 1.0))
        head.bias.copy_(learned.bias[chosen] / (seen.temperature or 1.0))
        head.bias -= PRIOR_SHARE * (shares / shares.sum()).log()
        for weights in (network.voice.answer[1].weight, network.voice.answer[1].bias):
            weights /= heard.temperature or 1.0
    metadata = CheckpointMetadata(
        experiment=experiment,
        corpus="crema_d",
        corpus_clips=heard.corpus_clips,
        task=network.task,
        inputs=network.inputs,
        preprocessing=PreprocessSettings(
            views=1, features=("stills", "mel"), crop_margin=CROP_MARGIN
        ),
        split=heard.split,
        epoch=heard.epoch,
        scores={},
        synthetic=None,
        initialised_from=(_origin(face, seen),),
    )
    return network.eval(), metadata


def _origin(path: Path, seen: CheckpointMetadata) -> Origin:
    """Say whom the face network learned from, beside the voices."""
    return Origin(
        name=seen.experiment.system,
        sha256=sha256_of(path),
        corpus=seen.corpus,
        corpus_clips=seen.corpus_clips,
        synthetic=seen.synthetic is not None,
        split=seen.split,
        made_anew=(),
    )


if __name__ == "__main__":
    main()
