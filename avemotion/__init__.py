"""The emotion in a short video, from face and voice.

    from avemotion import classify_clip
    classify_clip("clip.mp4").label

Behind every command of the command line stands a function of the same name in this package.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avemotion.clip_batches import ClipFailure as ClipFailure
    from avemotion.clip_batches import classify as classify
    from avemotion.clip_batches import classify_clips as classify_clips
    from avemotion.config import TimelineSettings as TimelineSettings
    from avemotion.corpora.synthetic import synth as synth
    from avemotion.demonstration import demo as demo
    from avemotion.errors import AvemotionError as AvemotionError
    from avemotion.evaluation import evaluate as evaluate
    from avemotion.fitting import fit as fit
    from avemotion.humans import ratings as ratings
    from avemotion.inference import Classifier as Classifier
    from avemotion.inference import classify_clip as classify_clip
    from avemotion.onnx_export import export as export
    from avemotion.preprocessing import preprocess as preprocess
    from avemotion.reports import report as report
    from avemotion.sources import DecodedClip as DecodedClip
    from avemotion.timelines import timeline as timeline
    from avemotion.timelines import write_timeline as write_timeline
    from avemotion.types import Prediction as Prediction
    from avemotion.verification import verify as verify
    from avemotion.web.serving import app as app

__version__ = "0.1.0"

_HOMES = {
    "AvemotionError": "errors",
    "Classifier": "inference",
    "ClipFailure": "clip_batches",
    "DecodedClip": "sources",
    "Prediction": "types",
    "TimelineSettings": "config",
    "app": "web.serving",
    "classify": "clip_batches",
    "classify_clip": "inference",
    "classify_clips": "clip_batches",
    "demo": "demonstration",
    "evaluate": "evaluation",
    "export": "onnx_export",
    "fit": "fitting",
    "preprocess": "preprocessing",
    "ratings": "humans",
    "report": "reports",
    "synth": "corpora.synthetic",
    "timeline": "timelines",
    "verify": "verification",
    "write_timeline": "timelines",
}
"""Public name -> module. Loaded when used: importing avemotion loads no torch, OpenCV or scipy."""

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'avemotion' has no attribute {name!r}")
    return getattr(import_module(f"avemotion.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
