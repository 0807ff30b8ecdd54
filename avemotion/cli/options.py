"""A command's options: made from the signature and docstring of its function."""

from __future__ import annotations

from argparse import Action, ArgumentError, ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonargparse

from avemotion.config import MODALITIES
from avemotion.errors import UsageError

_NOTHING = ("null", "()")
"""Defaults that stand for: not given."""


def parse(name: str, summary: str, words: list[str], add: Callable[[Any], None]) -> dict[str, Any]:
    """Parse a command's words; jsonargparse makes the options from signatures.

    Args:
        name: The command.
        summary: What it does.
        words: What follows it.
        add: Adds the command's options to a parser.

    Returns:
        Keyword arguments, dataclasses built.

    Raises:
        UsageError: The words are no options of the command.
    """
    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = jsonargparse.ArgumentParser(
        prog=f"avemotion {name}",
        description=summary,
        exit_on_error=False,
        formatter_class=HelpText,
    )
    add(parser)
    try:
        namespace = parser.parse_args(_config_first(words))
        values: dict[str, Any] = vars(parser.instantiate(namespace))
    except (ArgumentError, ArgumentTypeError, TypeError, ValueError) as error:
        message = " ".join(str(error).split())
        raise UsageError(f"{message} See `avemotion {name} --help`.") from error
    values.pop("config", None)
    return values


def _config_first(words: list[str]) -> list[str]:
    """Move ``--config FILE`` to the front: what is said on the command line wins.

    Hyphens in the names of options are read as underscores. What follows ``--`` is no option.
    """
    end = words.index("--") if "--" in words else len(words)
    words, plain = words[:end], words[end:]
    words = [_with_underscores(word) if word.startswith("--") else word for word in words]
    front: list[str] = []
    rest: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--config":
            front += [word, *([following] if (following := next(left, None)) else [])]
        elif word.startswith("--config="):
            front.append(word)
        else:
            rest.append(word)
    return front + rest + plain


def _with_underscores(option: str) -> str:
    name, equals, value = option[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def add_function(parser: Any, function: Callable[..., Any], skip: set[str]) -> None:
    """Make options of a function's arguments, but of those to skip and of ``progress``."""
    parser.add_function_arguments(function, as_positional=True, skip={"progress", *skip})


def add_config(parser: Any) -> None:
    """Let a YAML file give options."""
    parser.add_argument("--config", action="config", help="YAML file of an experiment (configs/)")


def as_path(word: str | Path) -> Path:
    """Read a path as it stands: a `Path` option of jsonargparse's takes UTF-8 alone."""
    return Path(word)


def modalities(words: str | tuple[str, ...]) -> tuple[str, ...]:
    """Read a list with commas; jsonargparse gives it back once it is read."""
    chosen = tuple(words.split(",")) if isinstance(words, str) else tuple(words)
    strange = [word for word in chosen if word not in MODALITIES]
    if strange:
        raise ArgumentTypeError(f"{strange[0]!r} is not one of {', '.join(MODALITIES)}.")
    if len(set(chosen)) < len(chosen):
        raise ArgumentTypeError(f"{','.join(chosen)!r} names a modality twice.")
    return chosen


class HelpText(jsonargparse.DefaultHelpFormatter):
    """Shows no types: choices and defaults say what an option takes.

    jsonargparse has no setting for it; these two methods are its own affair, so a test reads every
    command's help.
    """

    def _get_type_str(self, action: Action) -> str | None:
        return None

    def _expand_help(self, action: Action) -> str:
        text = super()._expand_help(action).replace("``", "")
        for nothing in _NOTHING:
            text = text.removesuffix(f" (default: {nothing})")
        return text
