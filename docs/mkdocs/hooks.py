"""What the documentation takes from the package, so that it cannot go stale.

A page asks for it by a comment: ``<!-- commands -->`` becomes the help of every command,
``<!-- settings avemotion.models.ar5.AR5Settings -->`` a table of a dataclass' fields with
their defaults, ``<!-- fields avemotion.data.store.ManifestRow -->`` one with their types,
``<!-- public names -->`` the reference of every name that the package offers, and
``<!-- include CHANGELOG.md -->`` a file of the repository.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import docstring_parser

import avemotion
from avemotion.cli import COMMANDS, main

HELP_COLUMNS = "82"
"""Width of the commands' help: fits the page."""

_COMMENT = re.compile(r"<!-- (commands|settings|fields|public names|include)(?: (\S+))? -->")
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in what a page asks for, and turn links to the repository's files into their names."""
    parts: dict[str, Callable[..., str]] = {
        "commands": commands,
        "settings": settings,
        "fields": fields,
        "public names": public_names,
        "include": include,
    }
    filled = _COMMENT.sub(lambda c: parts[c[1]](*filter(None, [c[2]])), markdown)
    return _OUTSIDE.sub(_named, filled)


def _named(link: re.Match[str]) -> str:
    """Name a file that is in the repository, but not on the site."""
    text, path = link[1], link[2]
    return text if path in text else f"{text} (`{path}`)"


def commands() -> str:
    """Return the help of every command, as the command line prints it."""
    sections = []
    for command, summary in COMMANDS.items():
        sections += [f"## {command}", f"{summary[0].upper()}{summary[1:]}"]
        sections += [f"```text\n{help_of(command)}\n```"]
    return "\n\n".join(sections)


def help_of(command: str) -> str:
    """Return what ``avemotion COMMAND --help`` prints."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = HELP_COLUMNS
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            main([command, "--help"])
    except SystemExit:  # argparse ends so once it has printed
        pass
    finally:
        os.environ.pop("COLUMNS")
        os.environ.update({} if before is None else {"COLUMNS": before})
    return printed.getvalue().strip()


def settings(path: str) -> str:
    """Return a table of a dataclass' fields: name, default, meaning."""
    cls = _class(path)
    meanings, types = _meanings(cls), get_type_hints(cls)
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for field in dataclasses.fields(cls):
        default = json.dumps(field.default).strip('"')
        meaning = meanings[field.name] + _choices(types[field.name])
        rows.append(f"| `{field.name}` | `{default}` | {meaning} |")
    return "\n".join(rows)


def fields(path: str) -> str:
    """Return a table of a dataclass' fields: name, type, meaning."""
    cls = _class(path)
    meanings = _meanings(cls)
    rows = ["| column | type | meaning |", "|---|---|---|"]
    for field in dataclasses.fields(cls):
        rows.append(f"| `{field.name}` | {field.type} | {meanings[field.name]} |")
    return "\n".join(rows)


def _class(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def _meanings(cls: type) -> dict[str, str]:
    """Return the docstring under each field, on one line."""
    params = docstring_parser.parse_from_object(cls).params
    return {param.arg_name: " ".join(str(param.description).split()) for param in params}


def _choices(kind: Any) -> str:
    if get_origin(kind) is not Literal:
        return ""
    return " One of " + ", ".join(f"`{choice}`" for choice in get_args(kind)) + "."


def public_names() -> str:
    """Return the directives that draw the reference of every public name from its docstring."""
    homes = {name: getattr(avemotion, name) for name in avemotion.__all__ if name[0] != "_"}
    functions = [n for n, value in homes.items() if not isinstance(value, type)]
    classes = [n for n in homes if n not in functions]
    return "\n\n".join(f"::: {homes[n].__module__}.{n}" for n in [*functions, *classes])


def include(path: str) -> str:
    """Return the text of a file of the repository."""
    return (Path(__file__).parents[2] / path).read_text(encoding="utf-8")
