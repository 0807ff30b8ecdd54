"""What the commands print: pure functions from a report to text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avemotion.evaluation.predictions import modality_of
from avemotion.evaluation.report.formatting import counted, people, versus
from avemotion.evaluation.report.headline import headline
from avemotion.inference.prediction import ClipFailure, Prediction
from avemotion.inference.prediction_table import window_text
from avemotion.training.members import LATE

if TYPE_CHECKING:  # only named here: each command loads what it needs itself
    from avemotion.data.corpora.synthetic import SyntheticCorpus
    from avemotion.data.embedding import EmbedReport
    from avemotion.data.preprocessing import PreprocessReport
    from avemotion.evaluation.metrics.human_baseline import HumanScore
    from avemotion.evaluation.report.results import EvaluationResults
    from avemotion.inference.predictions_file import PredictionsReport
    from avemotion.inference.runtimes.onnx_export import ExportReport
    from avemotion.inference.timeline import TimelineReport
    from avemotion.inference.timeline_rows import TimelineRow
    from avemotion.models.listing import ModelEntry, PackagedModel
    from avemotion.training.fit import FitReport

LISTED = 10
"""Longest list printed in full."""

TARGETS = {
    "intended": "the intended emotion",
    "crowd": "what most of the raters answered",
    "majority": "what more than half of the raters answered",
}

SYNTHETIC_NOTICE = (
    "SYNTHETIC DATA: drawn faces and synthesised voices. The figures test the pipeline against a "
    "known ceiling; they say nothing about people."
)


def tabulate(rows: Sequence[Sequence[object]], headers: Sequence[str] = (), **style: Any) -> str:
    """Draw a table with the library of this name, which `classify` has no need to import."""
    from tabulate import tabulate as draw

    return draw(rows, headers, **style)


def shortened(lines: Sequence[str]) -> list[str]:
    """Return the first lines, and how many more there are."""
    more = len(lines) - LISTED
    return [*lines[:LISTED], *([f"... and {more} more"] if more > 0 else [])]


def synth_text(corpus: SyntheticCorpus) -> str:
    """Say what was written, and how well anyone could do on it."""
    best = corpus.ceilings
    return (
        f"{counted(corpus.clips, 'clip')} in {corpus.directory}, tables {corpus.tables!r}. "
        f"Best possible accuracy: video {_percent(best['video'])} %, "
        f"audio {_percent(best['audio'])} %, av {_percent(best['av'])} %.\n{SYNTHETIC_NOTICE}"
    )


def preprocess_text(report: PreprocessReport) -> str:
    """Say what became of the clips."""
    from avemotion.data.store import STATUS_WORDS

    table = [
        [count, f"{'clip' if count == 1 else 'clips'} {words}"]
        for status, words in STATUS_WORDS.items()
        if (count := report.counts.get(status, 0))
    ]
    seen = [row for row in report.rows if row.status in ("av", "video")]
    pictures = all(row.status != "av" and row.frames_decoded == 1 for row in seen)
    if seen and not pictures:
        found = sum(row.faces_found for row in seen)
        table.append([f"{found} of {20 * len(seen)}", "sampled frames with a face seen, in these"])
    rate = f", {report.processed / report.seconds:.1f} clips/s" if report.processed else ""
    earlier = len(report.rows) - report.processed - report.counts.get("excluded", 0)
    skipped = f" ({earlier} were finished before)" if earlier > 0 else ""
    lines = [
        f"{counted(len(report.rows), 'clip')} in {report.store}: {report.processed} processed in "
        f"{report.seconds:.1f} s{rate}{skipped}",
        tabulate(table, tablefmt="plain"),
    ]
    for status in ("failed", "excluded", *(() if pictures else ("video",))):
        rows = [row for row in report.rows if row.status == status]
        if rows:
            lines.append(f"\n{STATUS_WORDS[status]}:")
            lines += shortened([f"  {row.clip}: {row.reason}" for row in rows])
    faceless = [row for row in report.rows if row.status == "audio" and row.video_file]
    if faceless:
        lines.append("\nwith a video, but without a face:")
        lines += shortened([f"  {row.clip}: {row.reason}" for row in faceless])
    if report.unrecognised_files:
        lines.append("\nnot recognised, and ignored:")
        lines += shortened([f"  {str(path)!r}" for path in report.unrecognised_files])
    lines += [f"\n{note}" for note in report.notes]
    return "\n".join(lines)


def embed_text(report: EmbedReport) -> str:
    """Say what was embedded, by what, and what has none."""
    identity = report.identity
    lines = [
        f"{report.feature}: {counted(report.clips, 'clip')} embedded by {identity.name} "
        f"({identity.revision}, {identity.precision})."
    ]
    if report.without:
        lines.append(f"{counted(report.without, 'clip')} without what it reads.")
    return "\n".join(lines)


def models_text(models: Sequence[ModelEntry], packaged: PackagedModel) -> str:
    """List models: what they read, their size, and where they come from; and the packaged one."""
    rows = [
        [
            m.name,
            "\n".join(f"{modality}: {', '.join(names)}" for modality, names in m.inputs.items()),
            "" if m.parameters is None else f"{m.parameters:,}",
            "" if m.units == "none" else m.units,
            m.source if m.installed else f"{m.source}\nnot installed: {m.needs}",
        ]
        for m in models
    ]
    headers = ["model", "reads", "parameters", "action\nunits", "source"]
    lines = [
        tabulate(rows, headers, disable_numparse=True, maxcolwidths=[None, 24, None, None, 48])
    ]
    lines += [
        f"{m.name} is trained with {', '.join(f'{k} {v}' for k, v in m.recipe.items())}"
        for m in models
        if m.recipe
    ]
    reported = [figure for m in models for figure in m.reported]
    lines += [
        f"{r.system}, {r.modality}: {_percent(r.value)} % reported ({r.source})" for r in reported
    ]
    lines.append(
        "Train one with `avemotion fit --model MODEL`; --help then lists its own settings."
    )
    reads = "; ".join(f"{stream}: {', '.join(names)}" for stream, names in packaged.inputs.items())
    lines.append(
        f"Trained already, and used where there is no model of your own: {packaged.name}, a "
        f"{packaged.model} ({reads}; {packaged.parameters:,} parameters, "
        f"{packaged.size_bytes / 1e6:.1f} MB), learned from {' and '.join(packaged.learned_from)}. "
        f"It tells {', '.join(packaged.labels)}, of videos, voices and pictures. "
        f"`avemotion cite {packaged.name}` names what to cite for it."
    )
    return "\n".join(lines)


def fit_text(report: FitReport) -> str:
    """Say what was trained, on whom, and how it scored on the validation actors."""
    metadata = report.metadata
    split, system = metadata.split, metadata.experiment.system
    lines = ["This run was finished before; nothing was trained."] if report.was_finished else []
    chosen = metadata.experiment.training.early_stopping
    trained, test = counted(len(split.train), "actor"), counted(len(split.test), "actor")
    validation = counted(len(split.validation), "validation actor")
    if split.unit == "part":
        trained, test = "the training part of the corpus' split", "its test part"
        validation = "its validation part"
    how = f"chosen on {validation}" if chosen else "the last one"
    done = f"trained on {trained}, epoch {metadata.epoch} ({how})"
    if metadata.experiment.model == LATE:
        done = f"members trained on {trained}, their weights fitted on {validation}"
    lines.append(
        f"{system}: {done}, {test} held out; "
        f"{counted(report.clips, 'clip')} for training and validation."
    )
    lines += report.initial
    if report.without_effect:
        lines.append(f"{report.without_effect}.")
    if report.left_out:
        lines.append(f"Left out: {counted(report.left_out, 'clip')} without a face or a voice.")
    if metadata.scores:
        names = {"val_accuracy": "accuracy", "val_uar": "UAR", "val_f1": "F1"}
        shown = [
            f"{name} {_percent(metadata.scores[key])} %"
            for key, name in names.items()
            if key in metadata.scores
        ]
        which = "clips" if split.unit == "part" else "actors"
        lines.append(f"On the validation {which}: {', '.join(shown)}.")
    if metadata.synthetic:
        lines.append(SYNTHETIC_NOTICE)
    lines.append(f"Checkpoint: {report.checkpoint}")
    if report.latest is not None and report.latest != report.checkpoint.parent:
        lines.append(
            f"The latest model stays {report.latest}, which reads face and voice; this one is used "
            f"with --checkpoint {report.checkpoint.parent}."
        )
    return "\n".join(lines)


def evaluate_text(report: EvaluationResults) -> str:
    """Say first how each system did; then show systems, rules and people in one table."""
    rows: list[list[object]] = []
    for system, score in report.scores.items():
        ceiling = report.ceilings.get(system)
        row = [system, *_estimate(score, "recall"), *_estimate(score, "accuracy")]
        rows.append([*row, _percent(ceiling) if ceiling else ""])
    for rule in report.rules:
        rows.append([rule.name, _percent(rule.recall), "", _percent(rule.accuracy)])
    given = set(map(modality_of, report.scores))
    for channel, human in report.humans.items():
        if channel in given:
            single = [_percent(human.single_recall), "", _percent(human.single_response)]
            rows.append([f"people, {channel}: single response", *single])
            interval = _interval(human.low, human.high)
            majority = [*_estimate(human, "recall"), _percent(human.majority), interval]
            rows.append([f"people, {channel}: majority", *majority])
    headers = ["", "UAR %", "95 %", "accuracy %", "95 %"]
    if report.ceilings:
        headers.append("ceiling %")
    seeds = f", {len(report.seeds)} seeds" if len(report.seeds) > 1 else ""
    seen = "that no model saw" if report.actors else "who may be in training, too"
    if report.protocol == "other-corpus":
        seen = "of another corpus than the models learned from"
    lines = [
        *headline(asdict(report)),
        f"{report.protocol}: {counted(report.clips, 'clip')} of {people(report.actors)} "
        f"{seen}{seeds}; target: {TARGETS[report.target]}",
        tabulate([row[: len(headers)] for row in rows], headers, disable_numparse=True),
    ]
    lines += [versus(asdict(d), pair) for pair, d in report.differences.items()]
    for r in report.reported:
        lines.append(
            f"{r['system']}, {r['modality']}: {_percent(r['value'])} reported ({r['source']})"
        )
    lines += report.notes
    if report.synthetic is not None:
        lines.append(SYNTHETIC_NOTICE)
    lines.append(
        f"Report: {report.out}/report/index.html; predictions: {report.out}/predictions.csv"
    )
    return "\n".join(lines)


def _estimate(score: object, name: str) -> tuple[str, str]:
    """Return a figure and its interval in per cent."""
    low, high = getattr(score, f"{name}_low"), getattr(score, f"{name}_high")
    return _percent(getattr(score, name)), _interval(low, high)


def ratings_text(scores: Mapping[str, HumanScore]) -> str:
    """Show how people did on each channel, by emotion and by level."""
    whole = tabulate(
        [
            [
                s.channel,
                s.clips,
                s.responses,
                _percent(s.single_response),
                _percent(s.single_response_by_clip),
                f"{_percent(s.majority)} ({_interval(s.low, s.high)})",
            ]
            for s in scores.values()
        ],
        ["channel", "clips", "responses", "single response %", "mean over clips %",
         "majority, ties split % (95 % over actors)"],
        disable_numparse=True,
    )  # fmt: skip
    parts = [whole]
    for title in ("emotion", "level"):
        found = [{g.name: g.majority for g in getattr(s, f"by_{title}")} for s in scores.values()]
        rows = [
            [name, *(_percent(majority[name]) if name in majority else "" for majority in found)]
            for name in dict.fromkeys(name for majority in found for name in majority)
        ]
        parts.append(tabulate(rows, [f"majority % by {title}", *scores], disable_numparse=True))
    return "\n\n".join(parts)


def prediction_text(result: Prediction | ClipFailure) -> str:
    """Show one clip's answer with its evidence, or why there is none."""
    if not isinstance(result, Prediction):
        return f"{result.clip}: FAILED: {result.reason}"
    face = "" if result.face is None else f", face {result.face}"
    looked = f"; face on {result.faces_found} of {result.frames_sampled} frames"
    lines = [
        f"{result.clip}{face}: {result.label} (from {result.modality}"
        f"{looked if result.frames_sampled else ''})",
        "  " + _in_order(result.probabilities),
    ]
    if result.units:
        lines.append("  action units: " + _in_order(result.units))
    lines += [f"  {part} alone: {_in_order(says)}" for part, says in result.parts.items()]
    if result.strongest_windows:
        lines.append("  strongest: " + "; ".join(map(window_text, result.strongest_windows)))
    if result.reliability:
        lines.append(f"  reliability: {result.reliability}")
    lines += [f"  warning: {warning}" for warning in result.warnings]
    return "\n".join(lines)


def predictions_text(report: PredictionsReport) -> str:
    """Say what was written of many clips, and which failed."""
    answered, failed = sum(report.modalities.values()), len(report.failures)
    from_each = ", ".join(f"{n} from {m}" for m, n in sorted(report.modalities.items()))
    earlier = f" ({report.earlier:,} were answered before)" if report.earlier else ""
    lines = [
        f"{counted(report.clips, 'clip')}{earlier}: {counted(answered, 'answer')}"
        + (f" ({from_each})" if from_each else "")
        + f", {counted(failed, 'failure')}."
    ]
    shares = [f"{name} {_percent(n / answered)} %" for name, n in report.labels.items()]
    lines += ["Most probable, as a share of the answers: " + ", ".join(shares)] if shares else []
    lines += shortened([f"  {one.clip}: FAILED: {one.reason}" for one in report.failures])
    if report.left_out:
        lines.append(left_out_text(report.left_out))
    if report.synthetic:
        lines.append("The model was trained on SYNTHETIC data: this says nothing about people.")
    lines.append(f"Written: {report.out}")
    return "\n".join(lines)


def left_out_text(paths: Sequence[Path]) -> str:
    """Say which files of folders were not classified."""
    more = f" and {len(paths) - 3:,} more" if len(paths) > 3 else ""
    return (
        f"Left out of the folders, as no media by their names, or thumbnails: "
        f"{', '.join(map(str, paths[:3]))}{more}"
    )


def answers_text(
    targets: Sequence[str],
    predictions: Sequence[Prediction],
    evaluation: EvaluationResults,
    system: str,
) -> str:
    """Show the answers for a few synthetic clips beside what these were meant to show."""
    rows = [
        [
            Path(answer.clip).stem,
            target,
            f"{answer.label} {answer.probabilities[answer.label]:.2f}",
            "right" if answer.label == target else "wrong",
        ]
        for target, answer in zip(targets, predictions, strict=True)
    ]
    right = sum(answer.label == target for target, answer in zip(targets, predictions, strict=True))
    accuracy, ceiling = evaluation.scores[system].accuracy, evaluation.ceilings[system]
    return "\n".join(
        [
            "A clip of each emotion, of actors that no model saw:",
            tabulate(rows, ["clip", "meant to show", "answer", ""], disable_numparse=True),
            f"Right: {right} of {len(rows)}; of all {counted(evaluation.clips, 'such clip')} "
            f"{_percent(accuracy)} %. At best it would be {_percent(ceiling)} %, since some clips "
            "look and sound like another emotion.",
        ]
    )


def timeline_row_text(row: TimelineRow) -> str:
    """Show one window's answer in a line, or why there is none."""
    face = "" if row.face is None else f"  face {row.face}"
    when = f"{row.start_seconds:8.1f} - {row.end_seconds:.1f} s{face}"
    if row.smoothed is None or row.probabilities is None:
        return f"{when}  no answer: {row.reason}"
    answers = "  ".join(f"{name} {value:.2f}" for name, value in row.smoothed.items())
    return f"{when}  {row.smoothed_label} (from {row.modality})  {answers}"


def timeline_text(report: TimelineReport) -> str:
    """Say what was written of a long video."""
    answered = report.rows - report.modalities.get("", 0)
    from_each = ", ".join(f"{n} from {m}" for m, n in sorted(report.modalities.items()) if m)
    lines = [
        f"{report.clip}: {report.seconds:.1f} s, {counted(report.rows, 'row')}, "
        f"{answered:,} with an answer" + (f" ({from_each})." if from_each else "."),
    ]
    shares = [f"{name} {_percent(n / answered)} %" for name, n in report.labels.items()]
    lines += ["Most probable, as a share of these: " + ", ".join(shares)] if shares else []
    words = {"av": "face and voice", "video": "the face", "audio": "the voice"}
    lines += [f"Whole clips, from {words[one.modality]}: {one}." for one in report.reliability]
    if report.synthetic:
        lines.append("The model was trained on SYNTHETIC data: this says nothing about people.")
    lines.append("Written: " + ", ".join(map(str, report.files)))
    return "\n".join(lines)


def _in_order(probabilities: Mapping[str, float]) -> str:
    """Show probabilities in the order of the model's labels, so that clips can be compared."""
    return "  ".join(f"{name} {value:.3f}" for name, value in probabilities.items())


def export_text(report: ExportReport) -> str:
    """Say what was written, what it answers from, and whether it was checked."""
    metadata, difference = report.metadata, report.largest_difference
    lines = [f"Exported: {report.file}, which answers from {', '.join(metadata.answers)}."]
    if difference is None:
        lines.append("Not compared with torch: onnxruntime is not installed.")
    else:
        lines.append(f"On random clips its probabilities differ from torch's by {difference:.1g}.")
    if metadata.synthetic:
        lines.append(SYNTHETIC_NOTICE)
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:  # one actor, or all score the same
        return "no interval"
    return f"{100 * low:.1f} to {100 * high:.1f}"
