"""What classifying a clip costs beside decoding it, with either runtime: warm, and as a command."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

import torch
from decoding import decode, found_clips
from preprocess import link_corpus
from reporting import interleave, parser, publish, ratio, timing_table

import avemotion
from avemotion.config import MODALITIES, ExperimentSettings, Modality, PreprocessSettings
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.task import Task
from avemotion.data.types import Split
from avemotion.inference.classifier import Classifier
from avemotion.inference.classify_clips import classify_clips
from avemotion.inference.prediction import Prediction
from avemotion.inference.runtimes.onnx_export import export
from avemotion.inference.runtimes.torch_runtime import NETWORK_THREADS
from avemotion.models.checkpoint import save_checkpoint
from avemotion.models.metadata import CHECKPOINT_NAME, ONNX_NAME, CheckpointMetadata
from avemotion.models.registry import create, with_settings


def save_untrained(path: Path) -> None:
    """Write a network with random weights: its answers are worthless, its speed is the same."""
    task, experiment = Task(EMOTIONS), with_settings(ExperimentSettings())
    torch.manual_seed(0)
    network = create(task, experiment)
    metadata = CheckpointMetadata(
        experiment=experiment,
        corpus="crema_d",
        corpus_clips=0,
        task=task,
        inputs=network.inputs,
        preprocessing=PreprocessSettings(),
        split=Split((), (), ()),
        epoch=1,
        scores={},
        synthetic=None,
    )
    save_checkpoint(path, network, metadata)


def time_warm(run: Path, clips: list[Path], repeats: int) -> dict[str, list[float]]:
    """Return seconds of each round over all clips."""
    by_torch = Classifier(run / CHECKPOINT_NAME, device="cpu")
    by_onnx = Classifier(run / ONNX_NAME)

    def classify(classifier: Classifier, modality: Modality) -> None:
        for clip in clips:
            assert classifier.classify(clip, modality).modality == modality

    jobs = {
        "only decoding": lambda: [decode(clip) for clip in clips],
        "only decoding the frames": lambda: [decode(clip, sound=False) for clip in clips],
        "only decoding the sound": lambda: [decode(clip, frames=False) for clip in clips],
        **{f"classifying, {m}": partial(classify, by_torch, m) for m in MODALITIES},
        **{f"classifying, {m}, ONNX": partial(classify, by_onnx, m) for m in MODALITIES},
    }
    return interleave(jobs, repeats)


def time_batch(run: Path, clips: list[Path], wanted: int, repeats: int) -> dict[str, list[float]]:
    """Return seconds of each run over many clips, the start of the workers included."""
    classifier = Classifier(run / CHECKPOINT_NAME, device="cpu")
    with tempfile.TemporaryDirectory() as temporary:
        corpus, store = Path(temporary, "crema"), Path(temporary, "features")
        link_corpus(clips, corpus, wanted)
        batch = sorted((corpus / "VideoFlash").iterdir())

        def preprocess() -> None:
            shutil.rmtree(store, ignore_errors=True)
            one_view = PreprocessSettings(views=1)
            report = avemotion.preprocess(corpus, out=store, settings=one_view, progress=False)
            assert report.counts == {"av": wanted}, report.counts

        def classify() -> None:
            assert all(isinstance(r, Prediction) for r in classify_clips(batch, classifier))

        jobs = {"preprocessing, 1 view": preprocess, "`classify_clips`": classify}
        return interleave(jobs, repeats, warm_up=False)


def time_cold(run: Path, clip: Path, repeats: int) -> dict[str, list[float]]:
    """Return seconds of each run of the command, beside the imports that it cannot do without."""

    def start(*words: object) -> None:
        subprocess.run([sys.executable, *map(str, words)], check=True, stdout=subprocess.DEVNULL)

    jobs = {}
    for runtime, imports in (("torch", "torch"), ("onnx", "numpy, cv2, av, onnxruntime")):
        words = ("-m", "avemotion", "classify", clip, "--checkpoint", run, "--runtime", runtime)
        jobs[f"`python -m avemotion classify CLIP --runtime {runtime}`"] = partial(start, *words)
        jobs[f"`python -c 'import {imports}'`"] = partial(start, "-c", f"import {imports}")
    return interleave(jobs, repeats)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--clips", type=Path, help="folder of FLV files")
    arguments.add_argument("--repeats", type=int, default=9, help="rounds over the clips")
    arguments.add_argument("--cold-repeats", type=int, default=5, help="runs of the command")
    arguments.add_argument("--batch", type=int, default=64, help="clips of a batch")
    arguments.add_argument("--batch-repeats", type=int, default=5, help="runs of a batch")
    given = arguments.parse_args()
    with (
        found_clips(given.clips) as (clips, called),
        tempfile.TemporaryDirectory() as temporary,
    ):
        run = Path(temporary)
        save_untrained(run / CHECKPOINT_NAME)
        export(run, run / ONNX_NAME)
        warm = time_warm(run, clips, given.repeats)
        batch = time_batch(run, clips, given.batch, given.batch_repeats)
        cold = time_cold(run, clips[0], given.cold_repeats)
    floor = warm["only decoding"]
    result = {f"{m}_over_decode": ratio(warm[f"classifying, {m}"], floor) for m in MODALITIES}
    video = ratio(warm["classifying, video"], warm["only decoding the frames"])
    audio = ratio(warm["classifying, audio"], warm["only decoding the sound"])
    onnx = ratio(warm["classifying, av, ONNX"], warm["classifying, av"])
    in_batch = ratio(batch["`classify_clips`"], batch["preprocessing, 1 view"])
    command, torch_alone, onnx_command, onnx_alone = map(median, cold.values())
    publish(
        given.out,
        "classify",
        "Classifying a clip against only decoding it",
        [
            f"{called}; model loaded, CPU, the network on {NETWORK_THREADS} thread (ONNX: 1); "
            f"{given.repeats} interleaved rounds over all clips. *Only decoding*: one pass of PyAV "
            "over frames and sound, on one thread. *Classifying*: `Classifier.classify`, from the "
            "file to the probabilities (weights random: the speed is that of trained ones). "
            "Milliseconds a clip:",
            timing_table(warm, per=len(clips)),
            "Over decoding the whole clip: "
            + ", ".join(f"{m} **{result[f'{m}_over_decode']}**" for m in MODALITIES)
            + f". Over decoding the part that is used: video {video}, audio {audio}. "
            f"With the ONNX runtime, av: {onnx} of torch's time.",
            f"A batch of {given.batch} clips, decoded in worker processes (one a core, their start "
            f"included), against preprocessing the same; {given.batch_repeats} interleaved runs. "
            "Milliseconds a clip:",
            timing_table(batch, per=given.batch),
            f"A batch takes **{in_batch}** of the time of preprocessing it.",
            f"Cold, {given.cold_repeats} interleaved runs:",
            timing_table(cold),
        ],
        {
            **result,
            "video_over_decode_frames": video,
            "audio_over_decode_sound": audio,
            "batch_over_preprocess": in_batch,
            "cold_seconds": command,
            "import_torch_seconds": torch_alone,
            "onnx_over_torch": onnx,
            "cold_onnx_seconds": onnx_command,
            "import_onnx_seconds": onnx_alone,
        },
    )


if __name__ == "__main__":
    main()
