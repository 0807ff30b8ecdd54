"""Errors, and the checks of settings and metadata that raise them.

Each message says what was wrong, what is allowed, and what to do next.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

Settings = TypeVar("Settings")

_TYPE_NAMES = {
    bool: "true or false",
    dict: "a mapping",
    float: "a finite number",
    int: "a whole number",
    str: "text",
    Path: "a path",
    NoneType: "null",
}


class AvemotionError(Exception):
    """Base of all errors that avemotion raises for wrong input; other errors are bugs.

    Examples:
        >>> from avemotion import AvemotionError, classify_clip
        >>> try:
        ...     classify_clip("no-such-clip.mp4")
        ... except AvemotionError as error:
        ...     print(error)
        no such file: no-such-clip.mp4
    """


class UsageError(AvemotionError):
    """The command or call cannot be carried out as given (exit code 2)."""


class MediaError(AvemotionError):
    """One media file cannot be used; the message is the reason that the manifest records."""


class NoVideoError(MediaError):
    """The file is readable but holds no video stream."""


class NoAudioError(MediaError):
    """The file is readable but holds no usable sound: no audio track, or only digital silence."""


class MissingModalityError(AvemotionError):
    """The clip lacks what the chosen model needs: a face, a voice, or both."""


def counted(number: int, noun: str) -> str:
    """Format a number of things.

    >>> counted(7442, "clip"), counted(1, "actor")
    ('7,442 clips', '1 actor')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def are(number: int) -> str:
    """Return the verb of a number of things: is, or are."""
    return "is" if number == 1 else "are"


def first_line(error: BaseException) -> str:
    """Return the first line of what another package raised; its class where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def any_of(words: Collection[str]) -> str:
    """Return words as a choice: a, b or c."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def require(holds: bool, name: str, value: object, allowed: str) -> None:
    """Refuse a value.

    Raises:
        UsageError: It does not hold; the message names the value, and what is allowed.
    """
    if not holds:
        raise UsageError(f"{name} is {value!r}, but must be {allowed}.")


def require_list(value: object, name: str) -> Sequence[Any]:
    """Refuse what is no list, and return it; a tuple is one.

    Raises:
        UsageError: It is none; the message names it.
    """
    if not isinstance(value, list | tuple):
        raise UsageError(f"{name} is {value!r}, but must be a list.")
    return value


def require_type(value: object, kind: Any, name: str) -> None:
    """Refuse a value of another type, and a number that is not finite.

    Args:
        value: The value.
        kind: ``int``, ``float`` (takes whole numbers too), ``bool``, ``str``, ``dict``, another
            class, a ``Literal`` of texts, a union of these, or a tuple of one of them.
        name: How the message calls the value.

    Raises:
        UsageError: It is of another type.
    """
    require(_is_a(value, kind), name, value, type_name(kind))


def require_types(values: object, prefix: str) -> None:
    """Apply `require_type` to each field of a dataclass; its name follows the prefix."""
    for name, kind in get_type_hints(type(values)).items():
        require_type(getattr(values, name), kind, f"{prefix}{name}")


def require_keys(values: object, keys: Collection[str], name: str) -> dict[str, Any]:
    """Refuse what is no mapping with just these keys, and return it.

    Raises:
        UsageError: It is no mapping, lacks a key, or has an unknown one.
    """
    if not isinstance(values, dict):
        raise UsageError(f"{name} is {values!r}, but must be a mapping of {', '.join(keys)}.")
    if missing := [key for key in keys if key not in values]:
        raise UsageError(f"{name} lacks {', '.join(missing)}.")
    if unknown := [key for key in values if key not in keys]:
        found = ", ".join(map(repr, unknown))
        raise UsageError(f"{name} has {found}, but may have only {', '.join(keys)}.")
    return values


def settings_from(kind: type[Settings], values: object, name: str, option: str = "") -> Settings:
    """Rebuild a dataclass of settings from the form that `dataclasses.asdict` gives it.

    Args:
        kind: Its class, which refuses values out of range when it is built.
        values: What a file holds.
        name: How a message calls it.
        option: If given, types are checked before the class is built, and a message calls each
            value so, with its field's name.

    Raises:
        UsageError: A setting is missing, unknown, of another type or out of range.
    """
    kinds: dict[str, Any] = get_type_hints(kind)
    given = dict(require_keys(values, kinds.keys(), name))
    for field, part in kinds.items():
        if isinstance(part, type) and is_dataclass(part):
            given[field] = settings_from(part, given[field], f"{name}.{field}")
        elif get_origin(part) is tuple and isinstance(given[field], list):  # as JSON has it
            given[field] = tuple(given[field])
        if option:
            require_type(given[field], part, f"{option}{field}")
    return kind(**given)


def _is_a(value: object, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if get_origin(kind) is dict:
        return isinstance(value, dict)
    if get_origin(kind) is tuple:  # of any length
        return isinstance(value, tuple) and all(_is_a(one, get_args(kind)[0]) for one in value)
    if kinds := get_args(kind):
        return any(_is_a(value, one) for one in kinds)
    if kind in (int, float):
        is_number = isinstance(value, kind | int) and not isinstance(value, bool)
        return is_number and abs(value) <= sys.float_info.max  # type: ignore[arg-type]
    return isinstance(value, kind)


def type_name(kind: Any) -> str:
    """Say in words what a value of a type is, as `require_type` takes them."""
    if get_origin(kind) is Literal:
        return any_of(get_args(kind))
    if get_origin(kind) is tuple:
        return f"a list of {type_name(get_args(kind)[0])}"
    if get_origin(kind) in (dict, Mapping):
        return _TYPE_NAMES[dict]
    if kinds := get_args(kind):
        return " or ".join(map(type_name, kinds))
    return _TYPE_NAMES.get(kind) or kind.__name__
