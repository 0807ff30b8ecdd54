"""Do the intervals hold what they promise? Simulated actors, whose true scores are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from reporting import parser, publish, table
from scipy import stats
from scipy.optimize import root
from scipy.special import expit
from tqdm import tqdm

from avemotion.data.corpora.crema_d import CLIPS_BY_EMOTION, EMOTIONS
from avemotion.evaluation.metrics.intervals import mean_interval
from avemotion.evaluation.metrics.recalls import Difference, difference, tally
from avemotion.evaluation.metrics.scores import credits_of, score_intervals
from avemotion.evaluation.predictions import ClipPrediction

ACCURACY = 0.7
"""True accuracy: that of AR5 and of people in CREMA-D."""

DESIGN_EFFECT = 5.0
"""How much wider in variance: that of people's majority in CREMA-D is 5.2."""

CLIPS = np.array([round(n / 91) for n in CLIPS_BY_EMOTION.values()])
"""Clips of an actor by emotion: 14, of neutral 12; 82 in all."""

TITLES = {
    "t": "accuracy: t over actors",
    "bca_accuracy": "accuracy: BCa over actors",
    "percentile": "accuracy: percentile bootstrap over actors",
    "binomial": "accuracy: binomial over clips (Wilson)",
    "bca_recall": "UAR: BCa over actors",
    "bca_f1": "macro F1: BCa over actors",
}
"""Interval -> its name in the table."""

Interval = tuple[float, float]


def actor_effect() -> tuple[float, float]:
    """Return mean and standard deviation of the logit of an actor's accuracy.

    The design effect is 1 + (clips an actor - 1) * intraclass correlation, and that correlation is
    var(p) / (accuracy * (1 - accuracy)) where p is an actor's accuracy.
    """
    correlation = (DESIGN_EFFECT - 1) / (CLIPS.sum() - 1)
    points, weights = np.polynomial.hermite_e.hermegauss(64)
    weights = weights / weights.sum()

    def misses(effect: NDArray[np.float64]) -> list[float]:
        p = expit(effect[0] + effect[1] * points)
        mean = float(weights @ p)
        variance = float(weights @ (p - mean) ** 2)
        return [mean - ACCURACY, variance / (ACCURACY * (1 - ACCURACY)) - correlation]

    mean, std = root(misses, [0.8, 0.5], tol=1e-12).x
    return float(mean), float(std)


def draw(actors: int, effect: tuple[float, float], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw each actor's answers: float64 (actor, target, answer); a wrong one is any other."""
    skill = expit(rng.normal(*effect, actors))
    kinds = len(CLIPS)
    wrong = (1 - skill)[:, None, None] / (kinds - 1)
    chances = np.where(np.eye(kinds, dtype=bool), skill[:, None, None], wrong)
    return rng.multinomial(CLIPS, chances).astype(float)


def true_values() -> dict[str, float]:
    """Return what each interval should hold: the scores on endlessly many actors."""
    targets, right = CLIPS, ACCURACY * CLIPS
    predicted = right + (1 - ACCURACY) * (CLIPS.sum() - CLIPS) / (len(CLIPS) - 1)
    f1 = float(np.mean(2 * right / (targets + predicted)))
    return dict.fromkeys(TITLES, ACCURACY) | {"bca_f1": f1}


def intervals(answers: NDArray[np.float64], rng: np.random.Generator) -> dict[str, Interval]:
    """Return every kind of interval of one draw."""
    right = np.trace(answers, axis1=1, axis2=2)
    accuracies = right / answers.sum(axis=(1, 2))
    bca = score_intervals(answers)
    percentile = stats.bootstrap(
        (accuracies,), np.mean, n_resamples=2000, method="percentile", random_state=rng
    ).confidence_interval
    binomial = stats.binomtest(int(right.sum()), int(answers.sum())).proportion_ci(method="wilson")
    return {
        "t": mean_interval(accuracies.tolist())[1:],
        "bca_accuracy": bca["accuracy"],
        "percentile": (percentile.low, percentile.high),
        "binomial": (binomial.low, binomial.high),
        "bca_recall": bca["recall"],
        "bca_f1": bca["f1"],
    }


def coverage(
    actors: int, draws: int, effect: tuple[float, float]
) -> tuple[dict[str, float], dict[str, float], float]:
    """Return, by kind of interval, how often it holds the truth and its mean width.

    The third value is the design effect of what was drawn, from the spread of actors' accuracies.
    """
    rng = np.random.default_rng(actors)
    truth, spread = true_values(), []
    held, width = dict.fromkeys(TITLES, 0), dict.fromkeys(TITLES, 0.0)
    for _ in tqdm(range(draws), desc=f"{actors} actors"):
        answers = draw(actors, effect, rng)
        spread.append(np.var(np.trace(answers, axis1=1, axis2=2) / CLIPS.sum(), ddof=1))
        for name, (low, high) in intervals(answers, rng).items():
            held[name] += low <= truth[name] <= high
            width[name] += (high - low) / draws
    found = {name: count / draws for name, count in held.items()}
    independent = ACCURACY * (1 - ACCURACY) / CLIPS.sum()
    return found, width, float(np.mean(spread) / independent)


def random_corpora(count: int) -> list[dict[str, Difference]]:
    """Return av - video and av - audio of corpora of 91 actors where all three answer at random."""
    rng = np.random.default_rng(0)
    return [_random_corpus(rng) for _ in tqdm(range(count), desc="corpora")]


def _random_corpus(rng: np.random.Generator) -> dict[str, Difference]:
    clips = [f"{actor}_{clip}" for actor in range(91) for clip in range(CLIPS.sum())]
    targets = rng.choice(EMOTIONS, len(clips)).tolist()
    right = {}
    for modality in ("av", "video", "audio"):
        shares = rng.dirichlet(np.ones(len(EMOTIONS)), len(clips)).tolist()
        predictions = [
            ClipPrediction(0, "", clip, clip.split("_")[0], target, tuple(row))
            for clip, target, row in zip(clips, targets, shares, strict=True)
        ]
        right[modality] = tally(credits_of(predictions, EMOTIONS), EMOTIONS)
    return {f"av - {other}": difference(right["av"], right[other]) for other in ("video", "audio")}


def found_something(corpora: list[dict[str, Difference]]) -> dict[str, int]:
    """Count the corpora where a test or an interval sees a difference, which none has."""
    counts = {
        f"{name}: p < 0.05": sum(c[name].p < 0.05 for c in corpora) for name in corpora[0]
    } | {
        f"{name}: interval without 0": sum(c[name].low > 0 or c[name].high < 0 for c in corpora)
        for name in corpora[0]
    }
    return counts | {"any p < 0.05": sum(min(d.p for d in c.values()) < 0.05 for c in corpora)}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--draws", type=int, default=2000, help="simulated evaluations")
    arguments.add_argument("--actors", type=int, nargs="+", default=[91, 24, 12])
    arguments.add_argument("--corpora", type=int, default=1000, help="corpora with random labels")
    given = arguments.parse_args()
    effect = actor_effect()
    found = {actors: coverage(actors, given.draws, effect) for actors in given.actors}
    corpora = random_corpora(given.corpora)
    first, every = found_something(corpora[:20]), found_something(corpora)
    effects = ", ".join(f"{e:.2f}" for _, _, e in found.values())
    publish(
        given.out,
        "intervals",
        "Do the intervals hold what they promise?",
        [
            f"{given.draws} simulated evaluations for each number of actors, {CLIPS.sum()} clips "
            f"an actor, true accuracy {ACCURACY}. An actor's accuracy has a logit drawn from a "
            f"normal distribution (mean {effect[0]:.3f}, deviation {effect[1]:.3f}), which makes "
            f"the design effect {DESIGN_EFFECT:g} (drawn: {effects}). How often an interval that "
            "claims 95 % holds the truth, in per cent, and its mean width in points:",
            table(
                ["interval", *(f"{actors} actors" for actors in found)],
                [
                    [title, *(f"{100 * c[k]:.1f} ({100 * w[k]:.1f})" for c, w, _ in found.values())]
                    for k, title in TITLES.items()
                ],
            ),
            "The standard error of a coverage is "
            f"{100 * np.sqrt(0.95 * 0.05 / given.draws):.1f} points at 95 %.",
            "Corpora of 91 actors with random labels, where av, video and audio answer at random "
            "(Wilcoxon signed-rank test over actors; t interval over actors). There is nothing to "
            "find, so each line should be near 5 %, the last, of two tests, near 9 %:",
            table(
                ["corpora that show a difference", "of the first twenty", f"of {len(corpora)}"],
                [
                    [name, first[name], f"{n} ({100 * n / len(corpora):.1f} %)"]
                    for name, n in every.items()
                ],
            ),
        ],
        {
            "coverage": {str(actors): c for actors, (c, _, _) in found.items()},
            "width": {str(actors): w for actors, (_, w, _) in found.items()},
            "design_effect": found[given.actors[0]][2],
            "first_twenty_corpora": first,
            "share_of_corpora": {name: n / len(corpora) for name, n in every.items()},
        },
    )


if __name__ == "__main__":
    main()
