"""The command line: it parses, prints and sets the exit code; the work is in functions of one name.

Options come from the functions' signatures and docstrings. Exit codes: 0 all done, 1 some inputs
failed (each named, the rest done), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import avemotion
from avemotion.cli.options import add_config, add_function, as_path, modalities, parse
from avemotion.errors import AvemotionError, UsageError

COMMANDS = {
    "demo": "the whole road below on a small synthetic corpus: minutes on two cores",
    "synth": "write a synthetic corpus laid out like CREMA-D",
    "verify": "is this a usable CREMA-D checkout? what is missing, broken, an LFS pointer?",
    "preprocess": "turn a corpus into faces and spectrograms: the feature store",
    "fit": "train a network on the feature store",
    "evaluate": "compare av, video, audio and people on actors that no network saw",
    "report": "draw the report of an evaluation anew from its files",
    "ratings": "how people did on a corpus that has ratings: the human baselines",
    "classify": "tell the emotion of clips",
    "export": "write a checkpoint as an ONNX model, which `classify` reads without torch",
    "app": "serve a local web page: the emotion of a file, or of a live camera",
}
"""Command -> what it does, in the order of the road."""

RESUMED = {"demo", "synth", "preprocess", "fit", "evaluate"}
"""Commands that go on where an interrupted run stopped."""

OK, SOME_FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # no name of a file stops the answers
        sys.stdout.reconfigure(errors="backslashreplace")
    # Threads that wait by spinning slow each other down many times over on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return OK if words else WRONG_USAGE
    if words[0] == "--version":
        print(f"avemotion {avemotion.__version__}")
        return OK
    name, rest = words[0], words[1:]
    if name not in COMMANDS:
        print(
            f"avemotion: error: there is no command {name!r}. Commands: {', '.join(COMMANDS)}.",
            file=sys.stderr,
        )
        return WRONG_USAGE
    try:
        return _RUNNERS[name](rest)
    except UsageError as error:
        return _fail(name, error, WRONG_USAGE)
    except BrokenPipeError:  # whoever reads what is printed has enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_FAILED
    except (AvemotionError, OSError) as error:
        return _fail(name, error, SOME_FAILED)
    except ModuleNotFoundError as error:  # of an environment for answering alone, say
        what = f"this needs {error.name}, which is not installed: pip install avemotion"
        return _fail(name, UsageError(what), WRONG_USAGE)
    except KeyboardInterrupt as stopped:
        how = "goes on where it stopped" if name in RESUMED else "starts anew"
        kept = str(stopped) or f"The same command {how}."
        print(f"\navemotion {name}: interrupted. {kept}", file=sys.stderr)
        return INTERRUPTED


def _fail(name: str, error: Exception, code: int) -> int:
    print(f"avemotion {name}: error: {error}", file=sys.stderr)
    return code


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: avemotion COMMAND [OPTIONS]",
            "",
            "The emotion in a short video, from face and voice.",
            "",
            *lines,
            "",
            "avemotion COMMAND --help shows a command's options; --version the version.",
        ]
    )


def _parse(name: str, words: list[str], add: Callable[[Any], None]) -> dict[str, Any]:
    return parse(name, COMMANDS[name], words, add)


def _demo(words: list[str]) -> int:
    values = _parse("demo", words, lambda p: add_function(p, avemotion.demo, {"tell"}))
    avemotion.demo(**values)
    return OK


def _synth(words: list[str]) -> int:
    from avemotion.cli.text_output import synth_text

    values = _parse("synth", words, lambda p: add_function(p, avemotion.synth, set()))
    print(synth_text(avemotion.synth(**values)))
    return OK


def _verify(words: list[str]) -> int:
    def add(parser: Any) -> None:
        add_function(parser, avemotion.verify, {"decode"})
        parser.add_argument(
            "--decode", action="store_true", help="decode every file: minutes for all of CREMA-D"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    values = _parse("verify", words, add)
    as_json = values.pop("json")
    verification = avemotion.verify(**values)
    print(json.dumps(verification.to_dict()) if as_json else verification.summary())
    return OK if verification.ok else SOME_FAILED


def _preprocess(words: list[str]) -> int:
    from avemotion.cli.text_output import preprocess_text
    from avemotion.config import PreprocessSettings

    def add(parser: Any) -> None:
        add_function(parser, avemotion.preprocess, {"settings"})
        parser.add_class_arguments(PreprocessSettings)

    values = _parse("preprocess", words, add)
    names = [field.name for field in dataclasses.fields(PreprocessSettings)]
    settings = PreprocessSettings(**{name: values.pop(name) for name in names})
    report = avemotion.preprocess(**values, settings=settings)
    print(preprocess_text(report))
    return SOME_FAILED if report.failed else OK


def _fit(words: list[str]) -> int:
    from avemotion.cli.text_output import fit_text

    def add(parser: Any) -> None:
        add_config(parser)
        add_function(parser, avemotion.fit, set())

    print(fit_text(avemotion.fit(**_parse("fit", words, add))))
    return OK


def _evaluate(words: list[str]) -> int:
    from avemotion.cli.text_output import evaluate_text

    def add(parser: Any) -> None:
        add_config(parser)
        add_function(parser, avemotion.evaluate, {"modalities"})
        parser.add_argument(
            "--modalities",
            type=modalities,
            default=(),
            metavar="av,video,audio",
            help="what to compare, with commas; by default all that there is",
        )

    print(evaluate_text(avemotion.evaluate(**_parse("evaluate", words, add))))
    return OK


def _report(words: list[str]) -> int:
    from avemotion.cli.text_output import evaluate_text

    values = _parse("report", words, lambda p: add_function(p, avemotion.report, set()))
    print(evaluate_text(avemotion.report(**values)))
    return OK


def _ratings(words: list[str]) -> int:
    from avemotion.cli.text_output import ratings_text

    values = _parse("ratings", words, lambda p: add_function(p, avemotion.ratings, set()))
    print(ratings_text(avemotion.ratings(**values)))
    return OK


def _classify(words: list[str]) -> int:
    from avemotion.cli.text_output import prediction_text
    from avemotion.config import TimelineSettings
    from avemotion.types import Prediction

    def add(parser: Any) -> None:
        parser.add_argument("clips", nargs="+", type=as_path, help="media files")
        parser.add_argument("--json", action="store_true", help="print one JSON object a clip")
        parser.add_argument("--parts", action="store_true", help="what face and voice say alone")
        add_function(parser, avemotion.classify, {"clips", "parts"})
        parser.add_argument(
            "--timeline", action="store_true", help="tell the emotion of one long video over time"
        )
        shared = {"clip", "checkpoint", "modality", "device", "runtime", "settings"}
        add_function(parser, avemotion.write_timeline, shared)
        parser.add_class_arguments(TimelineSettings, skip={"face"})

    values = _parse("classify", words, add)
    names = [field.name for field in dataclasses.fields(TimelineSettings)]
    settings = TimelineSettings(**{name: values[name] for name in names})
    names.remove("face")  # it is for whole clips, too
    for name in names:
        del values[name]
    files = {name: values.pop(name) for name in ("out", "picture")}
    if values.pop("timeline"):
        return _classify_timeline(values, files, settings)
    if settings != TimelineSettings(face=settings.face) or any(files.values()):
        options = ", ".join(f"--{name}" for name in (*files, *names))
        raise UsageError(f"These are for --timeline alone: {options}. Add it, or leave them out.")
    as_json = values.pop("json")
    failed = False
    for result in avemotion.classify(**values):
        failed |= not isinstance(result, Prediction)
        print(json.dumps(result.to_dict()) if as_json else prediction_text(result))
    return SOME_FAILED if failed else OK


def _classify_timeline(values: dict[str, Any], files: dict[str, Any], settings: Any) -> int:
    from avemotion.cli.text_output import timeline_row_text, timeline_text

    clips, as_json, _ = values.pop("clips"), values.pop("json"), values.pop("face")
    if len(clips) > 1:
        raise UsageError(f"--timeline is of one video, but {len(clips)} are given.")
    if values.pop("parts"):
        raise UsageError("--parts is of whole clips, not of --timeline: leave one of them out.")
    if as_json and any(files.values()):
        raise UsageError(
            "--json prints rows, --out and --picture write them: give one or the other."
        )
    if any(files.values()):
        report = avemotion.write_timeline(clips[0], **values, **files, settings=settings)
        print(timeline_text(report))
        return OK
    said: set[str] = set()
    for row in avemotion.timeline(clips[0], **values, settings=settings):
        for warning in [w for w in row.warnings if not as_json and w not in said]:
            print(f"warning: {warning}", file=sys.stderr)
            said.add(warning)
        print(json.dumps(row.to_dict()) if as_json else timeline_row_text(row), flush=True)
    return OK


def _export(words: list[str]) -> int:
    from avemotion.cli.text_output import export_text

    values = _parse("export", words, lambda p: add_function(p, avemotion.export, set()))
    print(export_text(avemotion.export(**values)))
    return OK


def _app(words: list[str]) -> int:
    values = _parse("app", words, lambda p: add_function(p, avemotion.app, {"tell"}))
    avemotion.app(**values, tell=partial(print, flush=True))
    return OK


_RUNNERS: dict[str, Callable[[list[str]], int]] = {
    "demo": _demo,
    "synth": _synth,
    "verify": _verify,
    "preprocess": _preprocess,
    "fit": _fit,
    "evaluate": _evaluate,
    "report": _report,
    "ratings": _ratings,
    "classify": _classify,
    "export": _export,
    "app": _app,
}
