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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from avemotion.compat import quiet
from avemotion.config import ExperimentSettings, TrainingSettings
from avemotion.data.batch import Batch
from avemotion.data.dataset import ClipDataset, EpochSampler, batches, roomy_device
from avemotion.data.splits import check_trainable, part_of
from avemotion.data.store import FeatureStore
from avemotion.data.types import Split
from avemotion.errors import AvemotionError
from avemotion.files import write_csv
from avemotion.models.base import EmotionModel, probabilities, to_channels_last
from avemotion.models.calibration import fit_temperature
from avemotion.models.checkpoint import load_checkpoint, not_finite, save_checkpoint
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
from avemotion.training.neutral_threshold import learned_task, with_threshold
from avemotion.training.precision import with_precision
from avemotion.training.resumption import STATE, AtomicFiles, forget_state, progress_of

_TRIED = 16  # training clips that a finished network must answer


class RunRecorder(pl.Callback):
    """Write a row of metrics after each epoch, and the checkpoint if the epoch is the best yet."""

    def __init__(self, out: Path, metadata: CheckpointMetadata) -> None:
        """Record into a folder.

        Args:
            out: The run's folder.
            metadata: Metadata of the checkpoint; epoch and scores are filled in here.
        """
        self.out, self.metadata = out, metadata
        self.rows: list[dict[str, float]] = []
        self.lowest_cost = float("inf")

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, for Lightning to keep."""
        return {"rows": self.rows, "lowest_cost": self.lowest_cost}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what an interrupted run had recorded."""
        self.rows, self.lowest_cost = state["rows"], state["lowest_cost"]

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write the row of the epoch, and the checkpoint if it is to be kept.

        Raises:
            AvemotionError: The training diverged, and no earlier epoch is to be kept.
        """
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        assert isinstance(module, EmotionModule)
        self.record(module.kept, trainer.current_epoch + 1, {"learning_rate": rate, **scores})

    def record(self, network: EmotionModel, epoch: int, scores: dict[str, float]) -> None:
        """Write the row of an epoch, and the checkpoint if it is to be kept.

        Args:
            network: The network after it.
            epoch: From 1.
            scores: The cells of the row.

        Raises:
            AvemotionError: The training diverged, and no earlier epoch is to be kept.
        """
        self.rows.append({"epoch": epoch, **scores})
        columns = list(self.rows[0])
        write_csv(self.out / "metrics.csv", columns, ([r[c] for c in columns] for r in self.rows))
        chosen = self.metadata.experiment.training.early_stopping
        diverged = not all(map(math.isfinite, scores.values())) or bool(not_finite(network))
        if diverged and not chosen:
            raise _divergence(self.out, self.metadata.experiment.training)
        cost = self._cost(scores) if chosen else -math.inf
        if not diverged and (not chosen or cost < self.lowest_cost):
            self.lowest_cost = cost
            validation = {k: v for k, v in scores.items() if k.startswith("val_")}
            metadata = replace(self.metadata, epoch=epoch, scores=validation)
            save_checkpoint(self.out / CHECKPOINT_NAME, network, metadata)

    def _cost(self, scores: dict[str, float]) -> float:
        """Return what the best epoch has least of: the loss, or the accuracy with a minus."""
        by_loss = self.metadata.experiment.training.choose_by == "loss"
        return scores["val_loss"] if by_loss else -scores["val_accuracy"]


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
    metadata = _initial_metadata(store, split, experiment, network)
    if initial is None:
        network.prepare(dataset)
    else:  # statistics of the clips are taken over, too: its weights learned with them
        metadata = replace(metadata, initialised_from=initial.take_over(network))
    recorder = RunRecorder(out, metadata)
    validation = None
    if validation_rows:
        validation = batches(ClipDataset(store, validation_rows, names, device=device), 64)
    if done.stopped_early:  # resumed, Lightning would train on
        return _finished(out, dataset, validation, settings)
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
        raise _divergence(out, settings)
    return _finished(out, dataset, validation, settings)


def _finished(
    out: Path,
    dataset: ClipDataset,
    validation: DataLoader[Batch[Tensor]] | None,
    settings: TrainingSettings,
) -> CheckpointMetadata:
    """Check the answers of a trained network, and add the temperature to its checkpoint.

    Raises:
        AvemotionError: The training diverged.
    """
    network, metadata = load_checkpoint(out / CHECKPOINT_NAME)
    tried = dataset[[(clip, 0) for clip in range(min(_TRIED, len(dataset)))]]
    try:
        probabilities(network, tried.to("cpu"))
        if validation is None:
            return metadata
        logits, targets, wanted = _logits(network, validation)
        task = network.task
        if task.neutral_below is not None:
            task = with_threshold(task, logits, wanted)
            found = {f"val_{k}": float(v) for k, v in task.scores(logits, wanted).items()}
            metadata = replace(metadata, scores=found | {"val_loss": metadata.scores["val_loss"]})
        shares, _ = task.split(task.checked(task.probabilities(logits).numpy()))
    except AvemotionError as error:
        raise _divergence(out, settings) from error
    temperature = fit_temperature(shares, targets.numpy())
    metadata = replace(metadata, task=task, temperature=temperature)
    save_checkpoint(out / CHECKPOINT_NAME, network, metadata)
    return metadata


@torch.inference_mode()
def _logits(network: EmotionModel, clips: Iterable[Batch[Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """Return a network's logits, the clips' labels, and what a perfect network would answer.

    Returns:
        float32 (clip, output), int64 (clip,), float32 (clip, output).
    """
    logits, targets, wanted = [], [], []
    for batch in clips:
        batch = batch.to("cpu")
        assert batch.targets is not None
        logits.append(network(network.read(batch)).float())
        targets.append(batch.targets)
        wanted.append(network.task.target(batch.targets, batch.units))
    return torch.cat(logits), torch.cat(targets), torch.cat(wanted)


def _divergence(out: Path, settings: TrainingSettings) -> AvemotionError:
    """Remove checkpoint and state of a training that diverged; return the error to raise."""
    forget_state(out)
    (out / CHECKPOINT_NAME).unlink(missing_ok=True)
    return AvemotionError(
        f"Training in {out} diverged: its loss, its weights or its answers are not finite. Lower "
        f"--training.learning_rate (it is {settings.learning_rate:g}), and remove that folder or "
        "give another --out."
    )


def _initial_metadata(
    store: FeatureStore, split: Split, experiment: ExperimentSettings, network: EmotionModel
) -> CheckpointMetadata:
    """Return the metadata of a run before its first epoch."""
    return CheckpointMetadata(
        experiment=experiment,
        corpus=store.info["corpus"],
        corpus_clips=store.info["clips"],
        task=network.task,
        inputs=network.inputs,
        preprocessing=store.settings,
        split=split,
        epoch=1,
        scores={},
        synthetic=store.synthetic,
        encoders=store.encoders_of(names_of(network.inputs)),
    )


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
