"""The command line: it parses, prints and sets the exit code; the work is in functions of one name.

Options come from the functions' signatures and docstrings. Exit codes: 0 all done, 1 some inputs
failed (each named, the rest done), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import avemotion
from avemotion.cli.exit_codes import INTERRUPTED, OK, SOME_FAILED, WRONG_USAGE
from avemotion.compat import install_line
from avemotion.errors import AvemotionError, UsageError

COMMANDS = {
    "demo": "all of the steps on a small synthetic corpus, in minutes",
    "synth": "write a synthetic corpus laid out like CREMA-D",
    "verify": "check a CREMA-D checkout: missing and broken files, Git LFS pointers",
    "preprocess": "turn a corpus into a feature store: faces and spectrograms",
    "embed": "make embeddings of a feature store's clips with a frozen encoder",
    "models": "list the models that can be trained",
    "fit": "train a model on the feature store",
    "evaluate": "compare models with each other and with people on unseen actors",
    "report": "write the report of an evaluation again, or its tables and figures for a paper",
    "cite": "print BibTeX of the package, the models and the corpora",
    "ratings": "human baselines of a corpus that has ratings",
    "classify": "classify the emotion of clips, or of a long video over time",
    "export": "export a checkpoint to ONNX, for use without torch",
    "app": "serve a local web page for files and the live camera",
}
"""Command -> what it does, in the order of use."""

RESUMED = {"demo", "synth", "preprocess", "embed", "fit", "evaluate"}
"""Commands that go on where an interrupted run stopped."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # any file name can be printed
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
        from avemotion.cli.commands import RUNNERS  # reading options takes a third of a second
        from avemotion.cli.options import Command

        return RUNNERS[name](Command(name, COMMANDS[name], rest))
    except UsageError as error:
        return _fail(name, error, WRONG_USAGE)
    except BrokenPipeError:  # `head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_FAILED
    except (AvemotionError, OSError) as error:
        return _fail(name, error, SOME_FAILED)
    except ModuleNotFoundError as error:  # in an environment for classifying alone, say
        what = f"{error.name} is not installed: {install_line()}."
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
