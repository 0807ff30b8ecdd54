"""What training from the store costs beside the network itself."""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

import numpy as np
import torch
from reporting import Ratio, parser, publish, ratio, table
from torch.nn import functional

from avemotion.config import (
    FACE_FRAMES,
    FACE_HEIGHT,
    FACE_WIDTH,
    MODALITIES,
    ExperimentSettings,
    Modality,
    PreprocessSettings,
    TrainingSettings,
)
from avemotion.data.batch import Batch
from avemotion.data.corpora.crema_d import CODE_BY_EMOTION, EMOTIONS, SENTENCES
from avemotion.data.dataset import ClipDataset, batches
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.data.store_writer import StoreWriter
from avemotion.data.task import Task
from avemotion.data.types import Clip, Corpus
from avemotion.features.spectrogram import MEL_BANDS, MEL_FRAMES, POWER_SHAPE
from avemotion.features.types import ClipFeatures
from avemotion.models.inputs import names_of
from avemotion.models.registry import create
from avemotion.training.augmentation import trained_names
from avemotion.training.lightning import pl
from avemotion.training.lightning_module import EmotionModule
from avemotion.training.precision import uses_bfloat16

VIEWS = 4

SOUND: dict[str, dict[str, float] | None] = {
    "stored spectrograms": None,
    "no noise, room or channel": {
        "sound_noise": 0.0, "sound_room": 0.0, "sound_channel": 0.0,
    },
}  # fmt: skip
"""What else the voice is trained with: settings of the training."""


def write_store(folder: Path, actors: int, clips_per_actor: int) -> FeatureStore:
    """Write a store of random features; what they show makes no difference to the speed."""
    kinds = [(e, s) for s in SENTENCES for e in EMOTIONS][:clips_per_actor]
    clips = [
        Clip(f"{actor}_{s}_{CODE_BY_EMOTION[e]}_XX", str(actor), s, e, "XX", None, None)
        for actor in range(1001, 1001 + actors)
        for e, s in kinds
    ]
    clips.sort(key=lambda clip: clip.name)
    synthetic = {"tables": "random", "ceilings": {}}
    corpus = Corpus("crema_d", folder, EMOTIONS, tuple(clips), synthetic=synthetic)
    writer = StoreWriter.open(folder, corpus, PreprocessSettings(views=VIEWS))
    rng = np.random.default_rng(0)
    for actor in sorted({clip.actor for clip in clips}):
        own = [clip for clip in clips if clip.actor == actor]
        writer.add(actor, [_row(clip) for clip in own], [_features(rng) for _ in own])
    return FeatureStore(folder)


def _row(clip: Clip) -> ManifestRow:
    about = (clip.name, clip.actor, clip.sentence, clip.emotion, clip.level, "", clip.actor)
    return ManifestRow(*about, "av", "", 75, 20, 5, 5, "0 0 80 98", "", 0, "", 0)


def _features(rng: np.random.Generator) -> ClipFeatures:
    faces = rng.integers(256, size=(VIEWS, FACE_FRAMES, FACE_HEIGHT, FACE_WIDTH), dtype=np.uint8)
    mels = rng.random((MEL_BANDS, MEL_FRAMES), np.float32).astype(np.float16) * 100
    return ClipFeatures(
        arrays={
            "faces": faces,
            "power": rng.random(POWER_SHAPE, np.float32),
            "log_mel": mels,
            "waveform": rng.integers(-3000, 3000, 40_000, dtype=np.int16),
        },
        lengths={"power": POWER_SHAPE[1], "log_mel": 250, "waveform": 40_000},
    )


class RandomTensors:
    """The same network and optimizer on one batch of random tensors already in memory."""

    def __init__(self, modality: Modality, batch_size: int, settings: TrainingSettings) -> None:
        """Build them; the device is where training goes."""
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = create(Task(EMOTIONS), ExperimentSettings(modality=modality))
        self.network = network.to(self.device, memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), settings.learning_rate)
        faces = torch.randn(batch_size, FACE_FRAMES, FACE_HEIGHT, FACE_WIDTH)
        images = torch.randn(batch_size, 1, MEL_BANDS, MEL_FRAMES)
        everywhere = torch.ones(batch_size, dtype=torch.bool)
        batch = Batch(
            inputs={"faces": faces, "log_mel": images},
            present={"video": everywhere, "audio": everywhere},
            lengths={"log_mel": torch.full((batch_size,), 250)},
        )
        self.inputs = batch.map(lambda tensor: tensor.to(self.device))
        self.targets = torch.randint(len(EMOTIONS), (batch_size,)).to(self.device)

    def seconds(self, steps: int, bfloat16: bool) -> float:
        """Return how long some training steps take."""
        start = time.perf_counter()
        for _ in range(steps):
            self.optimizer.zero_grad()
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
                loss = functional.cross_entropy(self.network(self.inputs), self.targets)
            loss.backward()
            self.optimizer.step()
        loss.item()  # waits for the device
        return time.perf_counter() - start


class Rounds(pl.Callback):
    """After each epoch of the pipeline, as many steps on random tensors: A B A B ..."""

    def __init__(self, rival: RandomTensors, steps: int, bfloat16: bool, both: bool) -> None:
        """Prepare; with `both` the random tensors run in float32 and bfloat16."""
        self.rival, self.steps = rival, steps
        self.precisions = (bfloat16, not bfloat16) if both else (bfloat16,)
        self.pipeline: list[float] = []
        self.random: dict[bool, list[float]] = {p: [] for p in self.precisions}
        self.start: float | None = None

    def on_train_epoch_end(self, *_: object) -> None:
        """Stop the pipeline's clock, time the rival, start the clock again."""
        if self.rival.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self.start is not None:
            self.pipeline.append(now - self.start)
        for precision in self.precisions:
            seconds = self.rival.seconds(self.steps, precision)
            if self.start is not None:  # the first epoch only warms up
                self.random[precision].append(seconds)
        self.start = time.perf_counter()


def measure(
    store: FeatureStore,
    modality: Modality,
    batch_size: int,
    repeats: int,
    changes: dict[str, float] | None = None,
) -> Rounds:
    """Train on the store as `fit` does, epoch by epoch against random tensors.

    `changes` are settings of the training; None takes the stored spectrograms as they are.
    """
    settings = TrainingSettings(epochs=repeats + 1, batch_size=batch_size, **(changes or {}))
    bfloat16 = uses_bfloat16(settings)
    network = create(Task(EMOTIONS), ExperimentSettings(modality=modality))
    stored = changes is None
    names = names_of(network.inputs) if stored else trained_names(store, network.inputs)
    dataset = ClipDataset(store, store.usable(modality), names)
    steps = len(dataset) // batch_size
    rival = RandomTensors(modality, batch_size, settings)
    rounds = Rounds(rival, steps, bfloat16, both=modality == "av")
    pl.Trainer(
        max_epochs=settings.epochs,
        precision="bf16-mixed" if bfloat16 else "32-true",
        callbacks=[rounds],
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    ).fit(
        EmotionModule(network.to(memory_format=torch.channels_last), settings),
        batches(dataset, batch_size, settings.seed),
    )
    return rounds


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--actors", type=int, default=4)
    arguments.add_argument("--clips-per-actor", type=int, default=64, help="up to 72")
    arguments.add_argument("--batch-size", type=int, default=TrainingSettings().batch_size)
    arguments.add_argument("--repeats", type=int, default=7, help="epochs that are timed")
    given = arguments.parse_args()
    clips = given.actors * given.clips_per_actor
    if clips % given.batch_size:
        raise SystemExit(f"{clips} clips are not whole batches of {given.batch_size}")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    result: dict[str, object] = {}
    rows = []
    bfloat16 = uses_bfloat16(TrainingSettings())
    with tempfile.TemporaryDirectory() as temporary:
        store = write_store(Path(temporary, "features"), given.actors, given.clips_per_actor)
        tried = [(modality, modality, {}) for modality in MODALITIES]
        tried += [(f"audio, {name}", "audio", changes) for name, changes in SOUND.items()]
        for name, modality, changes in tried:
            rounds = measure(store, modality, given.batch_size, given.repeats, changes)
            # Samples a second are the inverse of seconds: the rival's over the pipeline's.
            share = ratio(rounds.random[bfloat16], rounds.pipeline)
            rate = clips / median(rounds.pipeline)
            floor = clips / median(rounds.random[bfloat16])
            rows.append([name, f"{rate:.0f}", f"{floor:.0f}", str(share)])
            result[f"{name}_pipeline_over_random"] = share
            result[f"samples_per_second_{name}"] = rate
            if modality == "av":
                gain = ratio(rounds.random[False], rounds.random[True])
    result["bfloat16_over_float32_av"] = gain
    publish(
        given.out,
        "train",
        "Training from the store against random tensors in memory",
        _parts(rows, gain, clips, given.batch_size, given.repeats, bfloat16),
        result,
    )


def _parts(
    rows: list[list[str]], gain: Ratio, clips: int, batch: int, repeats: int, bfloat16: bool
) -> list[str]:
    used = "bfloat16 autocast" if bfloat16 else "float32"
    return [
        "*Pipeline*: memory-mapped store, view drawn, waveforms changed and spectrograms computed "
        "in each step, augmentation (faces, SpecAugment, mixup, hidden modalities), Lightning's "
        "Trainer. *Random*: same network, optimizer and precision "
        f"in a plain loop on one batch in memory. A store of {clips} random clips in {VIEWS} views "
        f"(it stays in the page cache); batch {batch}; {used}; {torch.get_num_threads()} threads; "
        f"{repeats} interleaved epochs. A share of 1 means that the pipeline is free.",
        table(["modality", "pipeline, samples/s", "random, samples/s", "share (min to max)"], rows),
        f"bfloat16 autocast trains av **{gain}** times as fast as float32 (random tensors).",
    ]


if __name__ == "__main__":
    main()
