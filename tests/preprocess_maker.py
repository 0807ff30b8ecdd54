"""Runs of `preprocess` on small corpora, and their stores byte for byte."""

from pathlib import Path

from media_maker import make_wav, speech_like

from avemotion.config import PreprocessSettings
from avemotion.data.preprocessing import preprocess

SETTINGS = PreprocessSettings(views=2)


def run(corpus: Path, out: Path, workers: int = 1, settings: PreprocessSettings = SETTINGS):
    return preprocess(corpus, out=out, workers=workers, settings=settings, progress=False)


def contents(store: Path) -> dict[str, bytes]:
    return {
        path.relative_to(store).as_posix(): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def voices(corpus: Path, actors: int, clips: int = 2, seconds: float = 1.0) -> Path:
    """A corpus of sounds alone."""
    (corpus / "AudioWAV").mkdir(parents=True)
    for actor in range(1001, 1001 + actors):
        for number, code in enumerate(("ANG", "DIS", "FEA")[:clips]):
            sound = speech_like(seconds, seed=10 * actor + number)
            make_wav(corpus / "AudioWAV" / f"{actor}_DFA_{code}_XX.wav", sound)
    return corpus
