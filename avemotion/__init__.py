"""The emotion in a short video, from face and voice.

    from avemotion import classify_clip
    classify_clip("clip.mp4").label

Behind every command of the command line stands a function of the same name in this package
(`list_models` behind ``models``).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avemotion.cli.demonstration import demo as demo
    from avemotion.config import TimelineSettings as TimelineSettings
    from avemotion.data.corpora.synthetic import synth as synth
    from avemotion.data.embedding import embed as embed
    from avemotion.data.preprocessing import preprocess as preprocess
    from avemotion.data.verification import verify as verify
    from avemotion.errors import AvemotionError as AvemotionError
    from avemotion.evaluation.citations import cite as cite
    from avemotion.evaluation.evaluate import evaluate as evaluate
    from avemotion.evaluation.metrics.human_baseline import ratings as ratings
    from avemotion.evaluation.report.page import report as report
    from avemotion.inference.classifier import Classifier as Classifier
    from avemotion.inference.classify_clips import classify as classify
    from avemotion.inference.classify_clips import classify_clips as classify_clips
    from avemotion.inference.data_frames import to_frame as to_frame
    from avemotion.inference.one_clip import classify_clip as classify_clip
    from avemotion.inference.one_clip import classify_faces as classify_faces
    from avemotion.inference.one_clip import classify_image as classify_image
    from avemotion.inference.prediction import ClipFailure as ClipFailure
    from avemotion.inference.prediction import Prediction as Prediction
    from avemotion.inference.predictions_file import write_predictions as write_predictions
    from avemotion.inference.runtimes.onnx_export import export as export
    from avemotion.inference.timeline import timeline as timeline
    from avemotion.inference.timeline import write_timeline as write_timeline
    from avemotion.media.sources import DecodedClip as DecodedClip
    from avemotion.models.listing import list_models as list_models
    from avemotion.training.fit import fit as fit
    from avemotion.web.serving import app as app

    __version__: str

_HOMES = {
    "AvemotionError": "errors",
    "Classifier": "inference.classifier",
    "ClipFailure": "inference.prediction",
    "DecodedClip": "media.sources",
    "Prediction": "inference.prediction",
    "TimelineSettings": "config",
    "app": "web.serving",
    "cite": "evaluation.citations",
    "classify": "inference.classify_clips",
    "classify_clip": "inference.one_clip",
    "classify_clips": "inference.classify_clips",
    "classify_faces": "inference.one_clip",
    "classify_image": "inference.one_clip",
    "demo": "cli.demonstration",
    "embed": "data.embedding",
    "evaluate": "evaluation.evaluate",
    "export": "inference.runtimes.onnx_export",
    "fit": "training.fit",
    "list_models": "models.listing",
    "preprocess": "data.preprocessing",
    "ratings": "evaluation.metrics.human_baseline",
    "report": "evaluation.report.page",
    "synth": "data.corpora.synthetic",
    "timeline": "inference.timeline",
    "to_frame": "inference.data_frames",
    "verify": "data.verification",
    "write_predictions": "inference.predictions_file",
    "write_timeline": "inference.timeline",
}
"""Public name -> module. Loaded when used: importing avemotion loads no torch, OpenCV or scipy."""

__all__ = [*_HOMES, "__version__"]


if not TYPE_CHECKING:  # to a type checker, a name that is not there is a mistake

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version  # 50 ms that most uses do without

            return version("avemotion")
        if name not in _HOMES:
            raise AttributeError(f"module 'avemotion' has no attribute {name!r}")
        return getattr(import_module(f"avemotion.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
