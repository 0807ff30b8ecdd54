"""The public names have types for their users: a small client passes mypy, wrong uses do not."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

CLIENT = '''
"""Uses every public name as a user would; an unused `type: ignore` is an error, too."""

from collections.abc import Iterator
from pathlib import Path

import avemotion
from avemotion import (
    AvemotionError,
    Classifier,
    ClipFailure,
    DecodedClip,
    Prediction,
    TimelineSettings,
    classify_clip,
    classify_clips,
    classify_faces,
)

version: str = avemotion.__version__


def label(path: Path) -> str:
    try:
        return classify_clip(path).label
    except AvemotionError as error:
        return str(error)


def labels(classifier: Classifier) -> Iterator[str]:
    for result in classify_clips(["a.mp4", b"bytes"], classifier):
        yield result.reason if isinstance(result, ClipFailure) else result.label


one: Prediction = Classifier("run").classify(DecodedClip(waveform=None), parts=True)
faces: list[Prediction] = classify_faces("party.mp4")
probabilities: dict[str, float] = one.probabilities
found: int = avemotion.preprocess(Path("crema")).processed
whole: bool = avemotion.verify(Path("crema")).ok
checkpoint: Path = avemotion.fit(modality="av").checkpoint
accuracy: float = avemotion.evaluate(protocol="loso").scores["ar5/av"].accuracy
again: float = avemotion.report(Path("evaluation")).scores["ar5/av"].accuracy
synthetic: bool = avemotion.report(Path("e"), format=("latex", "csv")).synthetic is not None
bibtex: str = avemotion.cite() + avemotion.cite(Path("evaluation"))
people: float = avemotion.ratings(Path("crema"))["av"].majority
windows = [row.start_seconds for row in avemotion.timeline("a.mp4", settings=TimelineSettings())]
rows: int = avemotion.write_timeline("a.mp4", out=Path("a.csv")).rows
clips: int = avemotion.synth(Path("synthetic")).clips
exported: Path = avemotion.export(Path("run"), Path("a.onnx")).file
answers = [result.to_dict() for result in avemotion.classify([Path("a.mp4")])]
demonstrated: Prediction = avemotion.demo().predictions[0]
avemotion.app(port=0)

classify_clip(7)  # type: ignore[arg-type]
wrong: int = one.label  # type: ignore[assignment]
avemotion.fit(modality="smell")  # type: ignore[arg-type]
avemotion.report(Path("evaluation"), format="pdf")  # type: ignore[arg-type]
avemotion.classify_clp("a.mp4")  # type: ignore[attr-defined]
'''


def test_a_client_type_checks_from_outside(tmp_path: Path) -> None:
    client = tmp_path / "client.py"
    client.write_text(CLIENT)
    # From the checkout, so that what `make types` found out of the package is used again.
    command = [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", str(client)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
