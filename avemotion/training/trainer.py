"""Train a model on a feature store: the command `fit`, and the training step of `evaluate`.

A run leaves in its folder: ``checkpoint.safetensors`` (the best epoch so far, replaced whole at
each improvement, so that a killed run leaves a usable one), ``metrics.csv``, ``curves.png``,
``model_card.md``, ``run.json`` and, until it is finished, ``state/last.ckpt``, from which the same
command resumes.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from avemotion.compat import quiet
from avemotion.config import ExperimentSettings, TrainingSettings
from avemotion.data.batch import Batch
from avemotion.data.dataset import ClipDataset, EpochSampler, batches, roomy_device
from avemotion.data.splits import check_trainable, part_of
from avemotion.data.store import FeatureStore
from avemotion.data.types import Split
from avemotion.models.base import to_channels_last
from avemotion.models.inputs import names_of
from avemotion.models.learner import Learner
from avemotion.models.metadata import CHECKPOINT_NAME, CheckpointMetadata
from avemotion.models.registry import create, with_settings
from avemotion.progress import on_terminal, progress_bar
from avemotion.training.augmentation import trained_names
from avemotion.training.balancing import Trainable, balanced
from avemotion.training.initial_weights import InitialWeights
from avemotion.training.learning import learn
from avemotion.training.lightning import pl
from avemotion.training.lightning_module import EmotionModule
from avemotion.training.neutral_threshold import learned_task
from avemotion.training.precision import with_precision
from avemotion.training.recorder import RunRecorder, divergence, finished, initial_metadata
from avemotion.training.resumption import STATE, AtomicFiles, progress_of


def train(
    store: FeatureStore,
    split: Split,
    experiment: ExperimentSettings,
    out: Path,
    progress: bool = True,
    initial: InitialWeights | None = None,
) -> CheckpointMetadata:
    """Train one network on a split; an interrupted run in the same folder is resumed.

    Args:
        store: Features of the clips.
        split: Actors that train, and actors that choose the epoch.
        experiment: Modality, network and training settings.
        out: Folder of the run; made if need be.
        progress: Show a progress bar.
        initial: What the network begins with; by default random weights.

    Returns:
        Metadata of the finished checkpoint, ``out/checkpoint.safetensors``. The state for resuming
        stays until the caller has used the checkpoint and calls
        `avemotion.training.resumption.forget_state`.

    Raises:
        UsageError: An emotion has no clip to train on.
        AvemotionError: The training diverged; there is no checkpoint then.
    """
    experiment = with_precision(with_settings(experiment))
    rows = store.usable(experiment.modality)
    train_rows, validation_rows = part_of(rows, split, "train"), part_of(rows, split, "validation")
    official = split.unit == "part"
    check_trainable(train_rows, store.labels, experiment.modality, 1, official)
    out.mkdir(parents=True, exist_ok=True)
    done = progress_of(out)
    if done.state is None:  # a run killed in its first epoch may have left one
        (out / CHECKPOINT_NAME).unlink(missing_ok=True)
    settings = experiment.training
    pl.seed_everything(settings.seed, verbose=False)
    device = roomy_device(store, [*train_rows, *validation_rows])
    network = create(learned_task(store.task, settings), experiment)
    names = names_of(network.inputs)
    votes = settings.labels == "votes" or network.votes_share > 0
    read = trained_names(store, network.inputs)
    # Where training reads waveforms, the stored spectrograms are for statistics and checks alone.
    dataset = ClipDataset(store, train_rows, names, votes, device if read == names else "cpu")
    metadata = initial_metadata(store, split, experiment, network)
    if initial is None:
        network.prepare(dataset)
    else:  # statistics of the clips are taken over, too: its weights learned with them
        metadata = replace(metadata, initialised_from=initial.take_over(network))
    recorder = RunRecorder(out, metadata)
    validation = None
    if validation_rows:
        validation = batches(ClipDataset(store, validation_rows, names, device=device), 64)
    if done.stopped_early:  # resumed, Lightning would train on
        return finished(out, dataset, validation, settings)
    if isinstance(network, Learner):
        learn(network, dataset, validation, recorder)
    else:
        learned = dataset
        if read != names:
            learned = ClipDataset(store, train_rows, read, votes, device)
        weights = dataset.label_weights(len(store.labels))
        to_channels_last(network)
        with _quiet_and_interruptible():
            _trainer(settings, out, recorder, progress).fit(
                EmotionModule(network, settings, None if settings.balance == "none" else weights),
                _training_batches(balanced(learned, settings), settings, weights, done.epochs),
                validation,
                ckpt_path=done.state,
                weights_only=True,  # nothing in the file is executed
            )
    if settings.early_stopping and not math.isfinite(recorder.lowest_cost):
        raise divergence(out, settings)
    return finished(out, dataset, validation, settings)


def _training_batches(
    dataset: Trainable, settings: TrainingSettings, label_weights: Tensor, epochs_done: int
) -> DataLoader[Batch[Tensor]]:
    """Return the loader of the training clips, at the epoch where training starts."""
    chances = None
    if settings.balance == "sampling":
        chances = label_weights[dataset.targets]
    everything = settings.views == "all"
    loader = batches(dataset, settings.batch_size, settings.seed, everything, chances)
    assert isinstance(loader.sampler, EpochSampler)
    loader.sampler.set_epoch(epochs_done)  # Lightning sets it too late when it resumes
    return loader


def _trainer(
    settings: TrainingSettings, out: Path, recorder: RunRecorder, progress: bool
) -> pl.Trainer:
    # Replaced after each epoch; it comes after the recorder, so that it holds the epoch's row.
    keep_state = pl.callbacks.ModelCheckpoint(
        out / STATE, "last", enable_version_counter=False, save_on_train_epoch_end=True
    )
    callbacks: list[pl.Callback] = [recorder]
    if settings.early_stopping:
        callbacks.append(_stopping(settings))
    if progress:
        callbacks.append(_Bar() if on_terminal() else _EpochLines())
    return pl.Trainer(
        max_epochs=settings.epochs,
        precision="bf16-mixed" if settings.precision == "bfloat16" else "32-true",
        callbacks=[*callbacks, keep_state],
        plugins=[AtomicFiles()],
        devices=1,
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=progress and on_terminal(),
        num_sanity_val_steps=0,
    )


def _stopping(settings: TrainingSettings) -> pl.callbacks.EarlyStopping:
    mode = "min" if settings.choose_by == "loss" else "max"
    return pl.callbacks.EarlyStopping(
        f"val_{settings.choose_by}", patience=settings.patience, mode=mode
    )


class _Bar(pl.callbacks.TQDMProgressBar):
    """Lightning's bar, which would be drawn once more below our message after an interrupt."""

    def on_exception(self, *_: Any) -> None:
        self.train_progress_bar.close()


class _EpochLines(pl.Callback):
    """What takes the bar's place where no terminal shows it."""

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        done, epochs = trainer.current_epoch, trainer.max_epochs
        self.bar = progress_bar(desc="fit", total=epochs, initial=done, unit="epoch")

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.bar.update()

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.bar.close()


@contextmanager
def _quiet_and_interruptible() -> Iterator[None]:
    """Keep Lightning from giving advice, from writing to standard output and from exiting.

    Its advice is on loggers and devices. It ends the program on Ctrl-C and ignores further ones:
    here KeyboardInterrupt is raised, and the handler of SIGINT is restored.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    advice = quiet("pytorch_lightning", "pytorch_lightning|lightning_fabric")
    try:
        with advice, redirect_stdout(sys.stderr):  # standard output is for results, not bars
            yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise
    finally:
        if in_main_thread:
            signal.signal(signal.SIGINT, before)
