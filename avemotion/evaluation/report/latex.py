r"""The tables of an evaluation in LaTeX: each a float that needs the package booktabs alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from avemotion.data.corpora import PICTURES, TITLES
from avemotion.evaluation.report.charts import Estimate
from avemotion.evaluation.report.formatting import counted, people
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.evaluation.report.tables import confusion_stem, one_line, score_rows

PROTOCOLS = {
    "holdout": "held-out actors",
    "loso": "leaving one actor out",
    "10fold": "ten folds over actors",
    "5fold": "five folds over actors",
    "stratified": "five folds over actors, balanced in emotions",
    "sentences": "actors and sentences held out at once, in five folds and three groups",
    "luna-jimenez": "the five folds over actors of Luna-Jiménez et al. 2021",
    "official": "the corpus' own split; the same people may be in several parts",
    "other-corpus": "trained on another corpus",
}
"""Protocol -> what it is, in captions; another one is called by its name alone."""

TARGETS = {
    "intended": "the emotion that the actor was asked to show",
    "crowd": "the emotion that most of the raters perceived",
    "majority": "the emotion that more than half of the raters perceived",
}

SYNTHETIC = (
    "SYNTHETIC DATA: drawn faces and synthesised voices; the figures say nothing about people."
)

MISSING = "--"
"""Cell without a figure: an en dash."""

_LONG = 40  # characters of all labels together: more do not fit over the columns of a table
_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{character: f"{{{character}}}" for character in "[]*"},  # after \\ they would be options
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "−": "$-$",
}


def escaped(text: object) -> str:
    r"""Return text on one line, as LaTeX prints it.

    >>> print(escaped("50 % of my_clips & [yours]"))
    50 \% of my\_clips \& {[}yours{]}
    """
    safe = "".join(_SPECIAL.get(character, character) for character in one_line(text))
    return re.sub(r"(?<=-)(?=-)|(?<=[?!])(?=`)|(?<=`)(?=`)", "{}", safe)  # else they merge


def latex_tables(results: EvaluationResults) -> dict[str, str]:
    """Return the text of each file, by its name without ``.tex``."""
    return {
        "scores": _scores(results),
        "classes": _classes(results),
        **({"units": _units(results)} if results.unit_scores else {}),
        **{confusion_stem(system): _confusion(results, system) for system in results.scores},
    }


def _target(results: EvaluationResults) -> str:
    if results.target == "intended" and results.corpus in PICTURES:
        return "the label of the picture"
    return TARGETS.get(results.target, results.target)


def _setting(results: EvaluationResults) -> str:
    """Say on which data, by which protocol and against what a table's figures were measured."""
    corpus = TITLES.get(results.corpus, results.corpus)
    if results.synthetic is not None:
        corpus = f"a synthetic corpus laid out like {corpus}"
    meaning = PROTOCOLS.get(results.protocol)
    protocol = f"{results.protocol} ({meaning})" if meaning else results.protocol
    seeds = f"training {'seed' if len(results.seeds) == 1 else 'seeds'}"
    sentence = (
        f"{counted(results.clips, 'clip')} of {people(results.actors)} of {corpus}"
        f"{results.coverage.partly}; "
        f"protocol: {protocol}; target: {_target(results)}; "
        f"{seeds} {', '.join(map(str, results.seeds))}."
    )
    return f"{SYNTHETIC} {sentence}" if results.synthetic is not None else sentence


def _table(
    stem: str,
    caption: str,
    align: str,
    heads: Sequence[str],
    blocks: Sequence[Sequence[Sequence[str]]],
) -> str:
    """Set a table; `align` is that of ``tabular``, all cells are LaTeX, blocks have a rule between.

    The caption is plain text.
    """
    bodies = ["\n".join(f"{' & '.join(row)} \\\\" for row in block) for block in blocks if block]
    body = "\n\\midrule\n".join([f"{' & '.join(heads)} \\\\", *bodies])
    label = re.sub(r"[^a-zA-Z0-9]+", "-", stem)
    return (
        "% Written by `avemotion report --format latex`; needs \\usepackage{booktabs}.\n"
        "\\begin{table}[tb]\n\\centering\\small\\setlength{\\tabcolsep}{4pt}\n"
        f"\\caption{{{escaped(caption)}}}\n\\label{{tab:{label}}}\n"
        f"\\begin{{tabular}}{{{align}}}\n\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
        "\\end{table}\n"
    )


def _percent(share: float | None) -> str:
    return MISSING if share is None else f"{100 * share:.1f}"


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or estimate[1] is None or estimate[2] is None:
        return ""
    return f"{{[}}{_percent(estimate[1])}, {_percent(estimate[2])}{{]}}"


def _scores(results: EvaluationResults) -> str:
    """Set the overall scores: a line of values each, and below it one of their intervals."""
    blocks: dict[str, list[list[str]]] = {}
    for row in score_rows(results):
        estimates = (row.accuracy, row.recall, row.f1)
        block = blocks.setdefault(row.kind, [])
        block.append([escaped(row.name), *(_percent(e and e[0]) for e in estimates)])
        if any(intervals := list(map(_interval, estimates))):
            block.append(["", *intervals])
    caption = (
        f"Overall scores in per cent, with 95 % intervals over {results.over} in brackets. WAR: "
        "share of predictions that are right; UAR: mean of the emotions' recalls; F1: mean of the "
        f"emotions' F1. {_setting(results)}"
    )
    heads = ("", "WAR", "UAR", "F1")
    return _table("scores", caption, r"p{0.36\linewidth}rrr", heads, list(blocks.values()))


def _classes(results: EvaluationResults) -> str:
    blocks = [
        [
            [
                "" if number else escaped(system),
                escaped(c.emotion),
                f"{c.clips:,}",
                *map(_percent, (c.recall, c.precision, c.f1)),
            ]
            for number, c in enumerate((*score.classes, *score.averages))
        ]
        for system, score in results.scores.items()
    ]
    caption = f"Recall, precision and F1 of each emotion, in per cent. {_setting(results)}"
    heads = ("System", "Emotion", "Clips", "Recall", "Precision", "F1")
    return _table("classes", caption, "llrrrr", heads, blocks)


def _units(results: EvaluationResults) -> str:
    blocks: list[list[list[str]]] = []
    for system, scores in results.unit_scores.items():
        block: list[list[str]] = []
        for number, u in enumerate(scores):
            first = "" if number else escaped(system)
            cells = [first, escaped(u.unit), f"{u.present:,}"]
            block.append([*cells, *map(_percent, (u.accuracy, u.f1, u.auc))])
        blocks.append(block)
    caption = (
        "Action units: share of answers on the same side of 0.5 as the label, also where the unit "
        "is absent; F1 at a probability of 0.5; area under the curve (AUC); in per cent. n counts "
        f"the answers to clips with the unit. {_setting(results)}"
    )
    heads = ("System", "Unit", "$n$", "Accuracy", "F1", "AUC")
    return _table("units", caption, "llrrrr", heads, blocks)


def _confusion(results: EvaluationResults, system: str) -> str:
    rows = [
        [
            escaped(label),
            *(_percent(count / sum(counts) if sum(counts) else None) for count in counts),
            f"{sum(counts):,}",
        ]
        for label, counts in zip(results.labels, results.scores[system].confusion, strict=True)
    ]
    caption = (
        f"Confusion matrix of {system}: a row is a target, a column a prediction, in per cent of "
        f"the row; n counts the row's predictions over all seeds. {_setting(results)}"
    )
    heads = ("Target", *map(escaped, _short(results.labels)), "$n$")
    align = "l" + "r" * (len(heads) - 1)
    return _table(confusion_stem(system), caption, align, heads, [rows])


def _short(labels: Sequence[str]) -> list[str]:
    """Return labels for heads of columns: where they do not fit, their first letters.

    >>> _short(["happiness", "neutral", "fear"])
    ['happiness', 'neutral', 'fear']
    """
    if sum(map(len, labels)) <= _LONG:
        return list(labels)
    return list(_abbreviated(labels))


def _abbreviated(labels: Sequence[str]) -> Iterator[str]:
    """Yield of each label the first letters, three or as many as tell it from all others."""
    for label in labels:
        for length in range(3, len(label)):
            if not any(other.startswith(label[:length]) for other in labels if other != label):
                yield f"{label[:length]}."
                break
        else:
            yield label
