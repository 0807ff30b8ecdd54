"""A damaged feature store: do `fit` and `evaluate` notice, and does the advice mend it?

Each trial damages a copy of a small synthetic store in one way and runs both commands as far as the
training. A change that both accept must change nothing that is read.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from reporting import parser, publish, table
from store_faults import ARRAYS, faults

import avemotion
from avemotion.config import PreprocessSettings, TrainingSettings
from avemotion.data.store import FeatureStore
from avemotion.errors import AvemotionError, UsageError
from avemotion.evaluation import cross_validation
from avemotion.training import trainer

SETTINGS = PreprocessSettings(views=1)
_ANEW = ("Remove DIR", "Make one", "Preprocess into another folder")  # a store from its beginning
NOTICED, HARMLESS, UNNOTICED, TRACEBACK = "noticed", "harmless", "unnoticed", "traceback"


class Opened(Exception):
    """A command accepted the store and came to its training."""


def _stop(*_: object, **__: object) -> None:
    raise Opened


def content(directory: Path) -> dict[str, Any]:
    """Return all that a training or an evaluation reads of a store."""
    store = FeatureStore(directory)
    rows = [asdict(row) for row in store.rows]
    usable = [row for row in store.rows if row.status in ("av", "audio", "video")]
    arrays = {(r.clip, name): store.read(r, name).tobytes() for r in usable for name in ARRAYS}
    about = (store.labels, store.settings, store.synthetic, store.ratings(), store.demographics())
    return {"rows": rows, "arrays": arrays, "about": about}


def open_with(command: str, store: Path, work: Path) -> str:
    """Run `fit` or `evaluate` up to its training; return how that ended, or the refusal."""
    training = TrainingSettings(holdout=0.0)
    try:
        if command == "fit":
            avemotion.fit(data=store, out=work / "run", training=training, progress=False)
        else:
            avemotion.evaluate(data=store, protocol="loso", out=work / "evaluation", progress=False)
    except Opened:
        shutil.rmtree(work / "run", ignore_errors=True)
        shutil.rmtree(work / "evaluation", ignore_errors=True)
        return ""
    except UsageError as error:
        return str(error)
    raise AssertionError(f"{command} ended without a training")


class Trials:
    """A corpus, its whole store, and the copy that is damaged again and again."""

    def __init__(self, work: Path, actors: int) -> None:
        """Make the corpus, its store, and the store of the same clips with other sounds."""
        self.work, self.corpus, self.whole = work, work / "crema", work / "whole"
        avemotion.synth(self.corpus, actors=actors, clips_per_actor=6, progress=False)
        self.preprocess(self.whole)
        other = shutil.copytree(self.corpus, work / "other")
        for path in (other / "AudioWAV").iterdir():
            data = path.read_bytes()
            samples = np.frombuffer(data[44:], "<i2")[::-1]  # the same sound backwards
            path.write_bytes(data[:44] + samples.tobytes())
        self.preprocess(work / "earlier", other)
        self.content = content(self.whole)
        self.store = shutil.copytree(self.whole, work / "features")

    def preprocess(self, out: Path, corpus: Path | None = None) -> None:
        """Make or complete a store."""
        avemotion.preprocess(corpus or self.corpus, out=out, settings=SETTINGS, progress=False)

    def outcome(self) -> tuple[str, str]:
        """Return how the damaged store is met, and the refusal."""
        refusals = []
        for command in ("fit", "evaluate"):
            try:
                refusals.append(open_with(command, self.store, self.work))
            except Exception as error:  # a user would see its traceback
                return TRACEBACK, f"{command}: {error!r}"
        if all(refusals):
            return NOTICED, refusals[0]
        try:
            same = content(self.store) == self.content
        except Exception:
            same = False
        return (HARMLESS, "") if same and not any(refusals) else (UNNOTICED, "")

    def restore(self) -> None:
        """Undo the damage."""
        shutil.rmtree(self.store)
        shutil.copytree(self.whole, self.store)

    def advice(self, refusal: str) -> str:
        """Return the sentence of a refusal that says what to do."""
        plain = refusal.replace(str(self.store), "DIR")
        found = (s for s in plain.split(". ") if s.startswith((*_ANEW, "Run the same")))
        return next(found, "none")

    def mends(self, advice: str) -> bool:
        """Do what a refusal advises; tell whether the store is then whole, byte by byte."""
        if advice.startswith(_ANEW):
            shutil.rmtree(self.store)
        elif "avemotion preprocess" not in advice:
            return False
        try:
            self.preprocess(self.store)
        except AvemotionError:
            return False
        return files_of(self.store) == files_of(self.whole)


def files_of(store: Path) -> dict[str, bytes]:
    return {
        path.relative_to(store).as_posix(): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--actors", type=int, default=3, help="of the store; 6 clips each")
    arguments.add_argument("--flips", type=int, default=100, help="bytes changed in each part")
    arguments.add_argument("--others", type=int, default=10, help="trials of each other damage")
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    trainer.train = _stop
    cross_validation.train_and_test = _stop
    found: dict[str, Counter[str]] = {}
    mended: dict[str, bool] = {}  # by the advice
    with tempfile.TemporaryDirectory() as temporary:
        trials = Trials(Path(temporary), given.actors)
        assert trials.outcome()[0] == HARMLESS, "the undamaged store is refused"
        kinds = faults(trials.whole, trials.work / "earlier", given.flips, given.others)
        for number, (kind, damage, times) in enumerate(kinds):
            rng, found[kind] = np.random.default_rng([given.seed, number]), Counter()
            for _ in range(times):
                damage(trials.store, rng)
                outcome, words = trials.outcome()
                found[kind][outcome] += 1
                if outcome in (UNNOTICED, TRACEBACK):
                    print(f"{kind}: {outcome} {words}", file=sys.stderr)
                advice = trials.advice(words)
                if outcome == NOTICED and advice not in mended:
                    mended[advice] = trials.mends(advice)
                trials.restore()
    report(given, found, mended)
    wrong = sum(count[UNNOTICED] + count[TRACEBACK] for count in found.values())
    sys.exit(wrong > 0 or not all(mended.values()))


def report(
    given: argparse.Namespace, found: Mapping[str, Counter[str]], mended: Mapping[str, bool]
) -> None:
    outcomes = (NOTICED, HARMLESS, UNNOTICED, TRACEBACK)
    total = sum(found.values(), Counter())
    rows = [
        [kind, count.total(), *(count[outcome] or "" for outcome in outcomes)]
        for kind, count in found.items()
    ]
    rows.append(["all", total.total(), *(total[outcome] for outcome in outcomes)])
    publish(
        given.out,
        "store_damage",
        "A damaged feature store before `fit` and `evaluate`",
        [
            f"A synthetic store of {given.actors} actors with 6 clips each; seed {given.seed}. "
            "*Noticed*: both commands refuse the store before they train, with one message. "
            "*Harmless*: both accept it, and every feature, row, label and vote that is read is "
            "as before. *Unnoticed*: one accepts a store that reads differently. *Traceback*: "
            "an error that a user would not understand.",
            table(["what was done", "tried", *outcomes], rows),
            "Each advice of a message was followed once; was the store then whole, byte by byte?",
            table(["advice", "whole"], [[a, "yes" if m else "no"] for a, m in mended.items()]),
        ],
        {outcome: total[outcome] for outcome in outcomes}
        | {"tried": total.total(), "not_mended": list(mended.values()).count(False)},
    )


if __name__ == "__main__":
    main()
