"""`classify --timeline` goes on where it stopped, and ends as if it had never stopped."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from app_maker import save_model
from media_maker import make_clip

import avemotion
from avemotion.config import TimelineSettings
from avemotion.errors import UsageError
from avemotion.media.reader import read_clip

RATE = 30


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def film(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people side by side, the right one alone, nobody, both again."""
    clips = sorted((small_corpus / "VideoFlash").glob("*.flv"))
    people = [next(c for c in clips if c.name.startswith(actor)) for actor in ("1001", "1002")]
    media = [read_clip(clip, clip, np.arange) for clip in people]
    length = min(len(one.frames.frames) for one in media)
    left, right = (one.frames.frames[:length, ::2, ::2] for one in media)
    nobody = np.full_like(left, 90)
    rows = [(left, right), (nobody, right), (nobody, nobody), (left, right)]
    frames = np.concatenate([np.concatenate(pair, axis=2) for pair in rows])
    voice = media[0].sound.samples[: length * 16_000 // RATE].astype(np.float32) / 32_768
    sound = np.tile(np.pad(voice, (0, length * 16_000 // RATE - len(voice))), 4)
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    return make_clip(path, frames, RATE, sound, 16_000, codec="mpeg4")


class Interrupted:
    """A model that is interrupted once, after a number of answers."""

    def __init__(self, real: Callable[..., object], answers: int) -> None:
        self.real, self.left, self.count = real, answers, 0

    def __call__(self, *words: object, **named: object) -> object:
        self.count += 1
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.real(*words, **named)


@pytest.mark.parametrize(("suffix", "face"), [(".csv", "all"), (".jsonl", "main")])
def test_it_ends_as_if_it_had_never_stopped(
    suffix: str,
    face: str,
    film: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = TimelineSettings(1.0, 0.5, smooth_seconds=1.0, face=face)
    out, whole = tmp_path / f"t{suffix}", tmp_path / f"whole{suffix}"
    answer = Interrupted(avemotion.Classifier.answer, -1)
    monkeypatch.setattr(avemotion.Classifier, "answer", _bound(answer))
    expected = avemotion.write_timeline(
        film, out=whole, checkpoint=model, settings=settings, progress=False
    )
    needed, answer.count = answer.count, 0

    def write(path: Path = out, **more: object) -> object:
        return avemotion.write_timeline(
            film, out=path, checkpoint=model, settings=settings, progress=False, **more
        )

    answer.left = needed * 3 // 4
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        write()
    with pytest.raises(UsageError, match="smooth_seconds 1.0, now 0.0"):
        avemotion.write_timeline(
            film, out=out, checkpoint=model, settings=TimelineSettings(1.0, 0.5, 0.0, face)
        )
    answer.count = 0
    report = write(plot=tmp_path / "t.png")
    assert answer.count <= needed * 2 // 3  # the windows before were not answered again
    assert out.read_bytes() == whole.read_bytes()
    assert (report.rows, report.modalities, report.labels) == (
        expected.rows, expected.modalities, expected.labels,
    )  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {out.name, whole.name, "t.png"}


def _bound(answer: Interrupted) -> Callable[..., object]:
    """Return a function, which becomes a method where it is set on a class."""
    return lambda *words, **named: answer(*words, **named)


def test_rows_of_another_video_are_not_taken(
    film: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.mkv"
    other.write_bytes(film.read_bytes())
    answer = Interrupted(avemotion.Classifier.answer, 6)
    monkeypatch.setattr(avemotion.Classifier, "answer", _bound(answer))
    with pytest.raises(KeyboardInterrupt, match="The rows before it"):
        avemotion.write_timeline(film, out=tmp_path / "t.csv", checkpoint=model, progress=False)
    with pytest.raises(UsageError, match="video '.*film.mkv', now '.*other.mkv'"):
        avemotion.write_timeline(other, out=tmp_path / "t.csv", checkpoint=model, progress=False)
