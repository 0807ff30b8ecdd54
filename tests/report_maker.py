"""Invented results of an evaluation, and a parser of the page that shows them."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from html.parser import HTMLParser
from typing import Any

import numpy as np

from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.types import Rating
from avemotion.evaluation.predictions import ClipPrediction, Records, TestedClip, modality_of
from avemotion.evaluation.report.results import evaluation_results
from avemotion.features.corruptions import conditions_for
from avemotion.models.ar5 import AR5

SYSTEMS = {"ar5/av": 0.7, "ar5/video": 0.62, "ar5/audio": 0.5}
"""How often the invented networks are right."""

CORRUPTED = (
    "white noise 20 dB", "white noise 0 dB", "pitch -10 %", "pitch +10 %",
    "blur of 2 px", "audio missing",
)  # fmt: skip

METADATA: dict[str, Any] = {
    "protocol": "loso",
    "target": "intended",
    "units": [],
    "corpus": "crema_d",
    "corpus_clips": 7_442,
    "synthetic": {"tables": "default", "ceilings": {"av": 0.851, "video": 0.653, "audio": 0.563}},
    "notes": ["3 clips of the store are not scored: they have no face"],
    "models": {"ar5": {"spectrogram": "log_mel", "width": 1.0, "dropout": 0.4}},
    "training": {"ar5": {"epochs": 30, "optimizer": "adamw", "clamp_weights": None, "mixup": 0.2}},
    "reported": [
        asdict(figure) | {"ours": f"ar5/{figure.modality}"} for figure in AR5.about.reported
    ],
    "preprocessing": {"views": 4, "grid": "even", "seed": 0, "reader": "pyav"},
    "versions": {"avemotion": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
    "command": "avemotion evaluate --data features --protocol loso --seeds 3",
    "data": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}


def invented(actors: int, seeds: int = 3, corrupted: Sequence[str] = CORRUPTED) -> dict[str, Any]:
    """The content of ``results.json`` for drawn predictions and votes, all parts filled."""
    records = invented_records(actors, seeds, corrupted)
    results = asdict(evaluation_results(records, "evaluation/loso"))
    return dict(json.loads(json.dumps(results)))


def invented_records(actors: int, seeds: int, corrupted: Sequence[str]) -> Records:
    """Drawn predictions and votes on clips of some actors."""
    rng = np.random.default_rng(0)
    names = [str(1001 + i) for i in range(actors)]
    clips = tuple(
        TestedClip(
            clip=f"{actor}_{level}_{emotion}",
            actor=actor,
            sentence="IEO",
            emotion=emotion,
            level=level,
            target=emotion,
        )
        for actor in names
        for level, emotions in (("LO", EMOTIONS), ("XX", EMOTIONS[:4]))  # so WAR is not UAR
        for emotion in emotions
    )
    skill = dict(zip(names, rng.normal(0, 0.08, actors), strict=True))

    def shares(emotion: str, hit: float) -> Any:
        return np.full(6, (1 - hit) / 5) + np.eye(6)[EMOTIONS.index(emotion)] * (1.2 * hit - 0.2)

    def drawn(level: float) -> list[ClipPrediction]:
        return [
            ClipPrediction(
                seed=seed,
                fold=clip.actor,
                clip=clip.clip,
                actor=clip.actor,
                target=clip.emotion,
                probabilities=tuple(
                    rng.dirichlet(2 * shares(clip.emotion, level + skill[clip.actor])).tolist()
                ),
                temperature=0.8,
            )
            for seed in range(seeds)
            for clip in clips
        ]

    ratings = tuple(
        Rating(clip.clip, channel, tuple(rng.multinomial(9, shares(clip.emotion, hit)).tolist()))
        for channel, hit in {"audio": 0.4, "video": 0.57, "av": 0.63}.items()
        for clip in clips
    )
    races = ["Caucasian", "Caucasian", "African American", "Asian"]
    people = {
        name: {
            "Age": str(20 + i % 43),
            "Sex": ("Male", "Female")[i % 2],
            "Race": races[i % 4] if i % 13 else races[0],
            "Ethnicity": "Hispanic" if i % 8 == 3 else "Not Hispanic",
        }
        for i, name in enumerate(names)
    }
    damaged = {
        s: {
            c.name: drawn(level - rng.uniform(0, 0.3))
            for c in conditions_for(modality_of(s))
            if c.name in corrupted
        }
        for s, level in SYSTEMS.items()
    }
    clean = {s: drawn(level) for s, level in SYSTEMS.items()}
    return Records(
        metadata=METADATA,
        labels=EMOTIONS,
        clips=clips,
        predictions=clean,
        corrupted=damaged,
        ratings=ratings,
        demographics=people,
        units_of={},
    )


def minimal() -> dict[str, Any]:
    """One system, one actor, nothing else: all that may be absent is."""
    results = invented(1, seeds=1, corrupted=())
    kept = "protocol target corpus labels clips actors seeds folds".split()
    return {
        **dict.fromkeys(results),
        **{name: results[name] for name in kept},
        "scores": {"ar5/audio": results["scores"]["ar5/audio"]},
    }


VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """Elements, text and tables of a page; refuses one whose tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.tables: dict[str, dict[str, list[str]]] = {}
        self.rows: list[list[str]] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.rows = []
        elif tag in ("tr", "caption"):
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "table":
            caption, *rows = self.rows
            self.tables[caption[0]] = {row[0]: row[1:] for row in rows}

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        data = " ".join(data.replace("\N{NO-BREAK SPACE}", " ").split())
        self.text += f" {data}"
        if "caption" in self.open and data:
            self.rows[-1].append(data)
        elif {"td", "th"} & set(self.open):
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {data}".strip()

    def table(self, about: str) -> dict[str, list[str]]:
        """The rows of the table whose caption begins so, by their heads."""
        (found,) = [rows for caption, rows in self.tables.items() if caption.startswith(about)]
        return found

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag in tags]
