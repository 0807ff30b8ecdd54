"""What each command does: options from its function's signature, the call, the printed result."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import avemotion
from avemotion.cli.exit_codes import OK, SOME_FAILED
from avemotion.cli.options import (
    Command,
    add_config,
    add_function,
    add_members,
    add_models,
    add_training,
    as_path,
    modalities,
    names,
    pairs,
)
from avemotion.config import DEFAULT_MODEL
from avemotion.errors import UsageError


def _demo(command: Command) -> int:
    values = command.parse(lambda p: add_function(p, avemotion.demo, {"echo"}))
    avemotion.demo(**values)
    return OK


def _synth(command: Command) -> int:
    from avemotion.cli.text_output import synth_text

    values = command.parse(lambda p: add_function(p, avemotion.synth, set()))
    print(synth_text(avemotion.synth(**values)))
    return OK


def _json(result: Any) -> str:
    """Return what `to_dict` gives as JSON, which has no NaN."""
    return json.dumps(result.to_dict(), allow_nan=False)


def _verify(command: Command) -> int:
    def add(parser: Any) -> None:
        add_function(parser, avemotion.verify, {"decode"})
        parser.add_argument(
            "--decode", action="store_true", help="decode every file: minutes for all of CREMA-D"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    values = command.parse(add)
    as_json = values.pop("json")
    verification = avemotion.verify(**values)
    print(_json(verification) if as_json else verification.summary())
    return OK if verification.ok else SOME_FAILED


def _preprocess(command: Command) -> int:
    from avemotion.cli.text_output import preprocess_text
    from avemotion.config import PreprocessSettings
    from avemotion.data.corpora import settings_for

    fields = dataclasses.fields(PreprocessSettings)

    def add(parser: Any) -> None:
        defaults = settings_for(command.option("corpus"))
        add_function(parser, avemotion.preprocess, {"settings", "labels"})
        parser.add_class_arguments(PreprocessSettings, skip={"features"})
        parser.add_argument(
            "--features",
            type=names,
            metavar="faces,log_mel",
            help="what is stored, separated by commas: faces, image, power, log_mel, mel, waveform",
        )
        parser.add_argument(
            "--labels",
            type=names,
            default=(),
            metavar="happiness,sadness",
            help="take the clips of these emotions alone; by default of all",
        )
        parser.set_defaults({f.name: getattr(defaults, f.name) for f in fields})
        parser.set_defaults({"features": ",".join(defaults.features)})

    values = command.parse(add)
    settings = PreprocessSettings(**{f.name: values.pop(f.name) for f in fields})
    report = avemotion.preprocess(**values, settings=settings)
    print(preprocess_text(report))
    return SOME_FAILED if report.failed else OK


def _embed(command: Command) -> int:
    from avemotion.cli.text_output import embed_text

    values = command.parse(lambda p: add_function(p, avemotion.embed, set()))
    print(embed_text(avemotion.embed(**values)))
    return OK


def _fit(command: Command) -> int:
    from avemotion.cli.text_output import fit_text

    initial = command.initial_settings()
    models = command.models(next(iter(initial), DEFAULT_MODEL))

    def add(parser: Any) -> None:
        add_config(parser)
        add_function(parser, avemotion.fit, {"settings", "training", "members"})
        add_members(parser, "for --model late: runs, or checkpoints, whose answers are pooled")
        add_models(parser, models, initial)
        add_training(parser, models[:1])

    values = command.parse(add)
    settings = {name: values.pop(name) for name in models}
    model = values["model"] or models[0]
    for other in models:
        if other != model and settings[other] != type(settings[other])():
            raise UsageError(
                f"settings of {other} are given, but the model is {model}. Give --model {other}, "
                "or leave them out."
            )
    print(fit_text(avemotion.fit(**values, settings=settings.get(model))))
    return OK


def _evaluate(command: Command) -> int:
    from avemotion.cli.text_output import evaluate_text

    models = command.models()

    def add(parser: Any) -> None:
        add_config(parser)
        taken = {"models", "modalities", "settings", "training", "mapping", "members"}
        add_function(parser, avemotion.evaluate, taken)
        add_members(
            parser,
            "for the model late: runs, or checkpoints, whose models are trained anew in each fold "
            "and pooled",
        )
        add_models(parser, models)
        add_training(parser, models)
        parser.add_argument(
            "--models",
            type=names,
            default=(),
            metavar="ar5,other",
            help="models to compare, separated by commas; by default ar5, or all in --runs",
        )
        parser.add_argument(
            "--modalities",
            type=modalities,
            default=(),
            metavar="av,video,audio",
            help="modalities to compare, separated by commas; by default all",
        )
        parser.add_argument(
            "--mapping",
            type=pairs,
            metavar="calm=neutral,other=happiness",
            help="for other-corpus: emotion of the store = the models' that it counts as, beside "
            "those of the same name, separated by commas; by default calm=neutral",
        )

    values = command.parse(add)
    settings = {name: values.pop(name) for name in models}
    print(evaluate_text(avemotion.evaluate(**values, settings=settings)))
    return OK


def _models(command: Command) -> int:
    from avemotion.cli.text_output import models_text
    from avemotion.models.listing import packaged_model

    values = command.parse(
        lambda p: p.add_argument(
            "--json", action="store_true", help="print one JSON object a model"
        )
    )
    found = avemotion.list_models()
    packaged = packaged_model()
    for model in (*found, packaged) if values["json"] else ():
        print(_json(model))
    if not values["json"]:
        print(models_text(found, packaged))
    return OK


def _report(command: Command) -> int:
    from avemotion.cli.text_output import evaluate_text
    from avemotion.evaluation.report.exports import exports

    def add(parser: Any) -> None:
        add_function(parser, avemotion.report, {"format"})
        parser.add_argument(
            "--format",
            type=names,
            default="html",
            metavar="html,text,latex,csv,png,svg",
            help="what is written, separated by commas: the page, tables, figures",
        )

    values = command.parse(add)
    results = avemotion.report(**values)
    print(evaluate_text(results))
    if written := exports(results, values["format"]):
        print(f"In {results.out}/report/: {', '.join(written)}")
    return OK


def _cite(command: Command) -> int:
    def add(parser: Any) -> None:
        parser.add_argument(
            "used",
            nargs="?",
            type=as_path,
            help="folder that evaluate wrote, a checkpoint, the folder of its run, or avemotion-1: "
            "its corpora and models alone; by default all",
        )

    print(avemotion.cite(**command.parse(add)))
    return OK


def _ratings(command: Command) -> int:
    from avemotion.cli.text_output import ratings_text

    values = command.parse(lambda p: add_function(p, avemotion.ratings, set()))
    print(ratings_text(avemotion.ratings(**values)))
    return OK


def _classify(command: Command) -> int:
    from avemotion.cli.text_output import left_out_text, prediction_text, predictions_text
    from avemotion.config import TimelineSettings
    from avemotion.inference.media_files import media_files
    from avemotion.inference.prediction import Prediction
    from avemotion.inference.runtimes.loading import find_checkpoint
    from avemotion.models.packaged import model_name

    def add(parser: Any) -> None:
        parser.add_argument(
            "clips", nargs="+", type=as_path, help="media files, folders of such, patterns"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object a clip")
        parser.add_argument(
            "--parts", action="store_true", help="what face and voice alone predict"
        )
        parser.add_argument(
            "--out",
            type=as_path,
            help="write the answers to FILE.csv, or to FILE.jsonl, one JSON object a line; after "
            "an interruption the same command goes on where it stopped",
        )
        parser.add_argument(
            "--adapt",
            action="store_true",
            help="adapt the answers to the setting of these clips, 20 or more, without labels; "
            "each emotion is taken to be as frequent as any other",
        )
        add_function(parser, avemotion.classify, {"clips", "parts", "adapt"})
        parser.add_argument(
            "--timeline", action="store_true", help="classify one long video over time"
        )
        shared = {"clip", "out", "checkpoint", "modality", "device", "runtime", "settings"}
        add_function(parser, avemotion.write_timeline, shared)
        parser.add_class_arguments(TimelineSettings, skip={"face"})

    values = command.parse(add)
    names = [field.name for field in dataclasses.fields(TimelineSettings)]
    settings = TimelineSettings(**{name: values[name] for name in names})
    names.remove("face")  # whole clips take it, too
    for name in names:
        del values[name]
    files = {name: values.pop(name) for name in ("out", "plot")}
    if values["checkpoint"] is None:
        found = find_checkpoint(None, values["runtime"])
        print(f"model: {model_name(found)}", file=sys.stderr)
    if values.pop("timeline"):
        return _classify_timeline(values, files, settings)
    out, plot = files["out"], files["plot"]
    if settings != TimelineSettings(face=settings.face) or plot:
        options = ", ".join(f"--{name}" for name in ("plot", *names))
        raise UsageError(f"Only --timeline takes {options}. Add it, or leave them out.")
    as_json = values.pop("json")
    if out:
        if as_json:
            raise UsageError("--json prints answers, --out writes them: give one or the other.")
        report = avemotion.write_predictions(**values, out=out)
        print(predictions_text(report))
        return SOME_FAILED if report.failures else OK
    files_found = media_files(values["clips"])
    values["clips"] = files_found.paths
    if files_found.left_out:
        print(left_out_text(files_found.left_out), file=sys.stderr)
    failed = False
    for result in avemotion.classify(**values):
        failed |= not isinstance(result, Prediction)
        print(_json(result) if as_json else prediction_text(result))
    return SOME_FAILED if failed else OK


def _classify_timeline(values: dict[str, Any], files: dict[str, Any], settings: Any) -> int:
    from avemotion.cli.text_output import timeline_row_text, timeline_text

    clips, as_json, _ = values.pop("clips"), values.pop("json"), values.pop("face")
    if len(clips) > 1:
        raise UsageError(f"--timeline takes one video, but {len(clips)} are given.")
    if values.pop("parts"):
        raise UsageError("--parts does not go with --timeline: leave one of them out.")
    if values.pop("adapt"):
        raise UsageError("--adapt does not go with --timeline: leave one of them out.")
    if as_json and any(files.values()):
        raise UsageError("--json prints rows, --out and --plot write them: give one or the other.")
    if any(files.values()):
        report = avemotion.write_timeline(clips[0], **values, **files, settings=settings)
        print(timeline_text(report))
        return OK
    shown: set[str] = set()
    for row in avemotion.timeline(clips[0], **values, settings=settings):
        for warning in [w for w in row.warnings if not as_json and w not in shown]:
            print(f"warning: {warning}", file=sys.stderr)
            shown.add(warning)
        print(_json(row) if as_json else timeline_row_text(row), flush=True)
    return OK


def _export(command: Command) -> int:
    from avemotion.cli.text_output import export_text

    values = command.parse(lambda p: add_function(p, avemotion.export, set()))
    print(export_text(avemotion.export(**values)))
    return OK


def _app(command: Command) -> int:
    values = command.parse(lambda p: add_function(p, avemotion.app, {"echo"}))
    avemotion.app(**values, echo=partial(print, flush=True))
    return OK


RUNNERS: dict[str, Callable[[Command], int]] = {
    "demo": _demo,
    "synth": _synth,
    "verify": _verify,
    "preprocess": _preprocess,
    "embed": _embed,
    "models": _models,
    "fit": _fit,
    "evaluate": _evaluate,
    "report": _report,
    "cite": _cite,
    "ratings": _ratings,
    "classify": _classify,
    "export": _export,
    "app": _app,
}
"""Command -> what runs it and returns its exit code."""
