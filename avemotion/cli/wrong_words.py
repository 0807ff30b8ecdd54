"""What is wrong with a command's words: what was given, what is allowed, what to do next.

jsonargparse and argparse find the mistakes. Their messages speak of Python's types, so that only
the option's name is taken from them; the rest comes from the option itself.
"""

from __future__ import annotations

import re
from argparse import Action
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import yaml

from avemotion.errors import UsageError, type_name


class Options:
    """The options of a command, and what its words and its experiment file give for them."""

    def __init__(self, command: str, parser: Any, words: Sequence[str]) -> None:
        """Read the experiment file.

        Args:
            command: Name of the command.
            parser: Has its options.
            words: What follows the name, hyphens in names of options made underscores.

        Raises:
            UsageError: The file cannot be read, is no mapping, or names an unknown setting.
        """
        self.command, self.words = command, words
        self.actions: dict[str, Action] = {
            action.dest: action for action in parser._actions if action.dest != "print_config"
        }
        self.usage = " ".join(
            filter(None, ["avemotion", command, *map(_place, self.actions.values())])
        )
        self.file = self._typed("config") if "config" in self.actions else None
        self.values = {} if self.file is None else self._experiment(self.file)

    def mistake(self, error: Exception) -> str:
        """Say what a parser's error means."""
        text = " ".join(str(getattr(error, "message", None) or error).split())
        if found := re.match(r'Parser key "([^"]+)"', text):
            return self._wrong_value(found[1], text)
        if found := re.match(r"argument --([^:/]+): (.*)", text):
            return self._wrong_argument(found[1], found[2])
        if text.startswith("unrecognized arguments: "):
            return self._unknown_word(text.removeprefix("unrecognized arguments: "))
        if text.startswith("the following arguments are required: "):
            return self._missing(text.removeprefix("the following arguments are required: "))
        return f"{text} {self._help()}"

    def named(self, message: str) -> str:
        """Let a message begin with an option's name where it begins with that of a setting.

        The settings of several models share a class, which does not know whose it is.
        """
        setting = message.split()[0]
        called = [name for name in self.actions if name.endswith(f".{setting}")]
        return f"--{called[0].removesuffix(setting)}{message}" if len(called) == 1 else message

    def _wrong_value(self, name: str, text: str) -> str:
        action = self.actions.get(name)
        if action is None:
            return f"--{name} has a wrong value. {self._help()}"
        called, value = self._called(name), self._given(name)
        if (example := self._first_of(name)) is not None:
            return (
                f"{called} is {value!r}, but must be a YAML file of settings. A single one is "
                f"given as --{example} VALUE. {self._help()}"
            )
        allowed = "a path in UTF-8" if "codec" in text else self._allowed(action)
        return f"{called} is {value!r}, but must be {allowed}. {self._help()}"

    def _wrong_argument(self, name: str, text: str) -> str:
        action = self.actions.get(name)
        if text.startswith("expected ") and action is not None:
            allowed = self._allowed(action)
            return f"--{name} needs a value: {allowed}. {self._help()}"
        if text.startswith("ignored explicit argument "):
            given = text.removeprefix("ignored explicit argument ")
            return f"--{name} takes no value, but {given} is given. Leave that out."
        return f"{self._called(name)}: {text} {self._help()}"

    def _unknown_word(self, text: str) -> str:
        words = text.split()
        word = next((word for word in words if word.startswith("-")), words[0])
        if not word.startswith("-"):
            return f"{text!r} is too much: the command is `{self.usage}`. {self._help()}"
        if not word.startswith("--"):
            return f"`avemotion {self.command}` has no option {word}. {self._help()}"
        name = word[2:].split("=")[0]
        what = f"`avemotion {self.command}` has no option --{name}."
        model, dot, _ = name.partition(".")
        if dot and model not in self.actions and "model" in self.actions:
            return f"{what} Settings of {model} go with --model {model}. {self._help()}"
        return f"{what}{self._like(name, '--')} {self._help()}"

    def _missing(self, text: str) -> str:
        missing = text.upper().split(", ")
        verb = "is" if len(missing) == 1 else "are"
        return (
            f"{' and '.join(missing)} {verb} missing: the command is `{self.usage}`. {self._help()}"
        )

    def _experiment(self, file: str) -> dict[str, Any]:
        """Return what the experiment file holds."""
        what = f"--config is {file!r}"
        try:
            found = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        except OSError as error:
            reason = "there is no such file" if not Path(file).exists() else error.strerror
            raise UsageError(f"{what}, which cannot be read: {reason}. Give a YAML file.") from None
        except UnicodeError:
            raise UsageError(f"{what}, which is no text in UTF-8. Give a YAML file.") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            problem = getattr(error, "problem", None) or "it cannot be parsed"
            raise UsageError(f"{what}, which is no YAML: {problem}{where}. Mend it.") from None
        if not isinstance(found, dict) or not found:
            held = "nothing" if found is None or found == {} else repr(found)
            raise UsageError(
                f"{what}, which holds {held}, but must hold settings: a line is `name: value`."
            )
        for name, is_group, value in _settings(found):
            action = self.actions.get(name)
            if action is None or name in ("config", "help"):
                raise UsageError(
                    f"{file} has the unknown setting {name}.{self._like(name)} {self._help()}"
                )
            if value is None and "null" not in (allowed := self._allowed(action)):
                raise UsageError(f"{name} in {file} has no value: give {allowed}. {self._help()}")
            if not is_group and (example := self._first_of(name)) is not None:
                inner = example.removeprefix(f"{name}.")
                raise UsageError(
                    f"{name} in {file} is {value!r}, but must be a mapping of settings: "
                    f"`{inner}: value`. {self._help()}"
                )
        return found

    def _first_of(self, group: str) -> str | None:
        """Return the first setting of a group; None where the name is no group's."""
        return next((name for name in self.actions if name.startswith(f"{group}.")), None)

    def _typed(self, name: str) -> str | None:
        """Return the last value that the words give for an option."""
        found = None
        end = self.words.index("--") if "--" in self.words else len(self.words)
        for index, word in enumerate(self.words[:end]):
            if word == f"--{name}":
                found = self.words[index + 1] if index + 1 < end else None
            elif word.startswith(f"--{name}="):
                found = word.partition("=")[2]
        return found

    def _given(self, name: str) -> Any:
        """Return what was given for an option, as typed, or as the experiment file has it."""
        if (typed := self._typed(name)) is not None:
            return typed
        value: Any = self.values
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def _called(self, name: str) -> str:
        """Return an option's name, and the file where it is from there."""
        return f"--{name}" if self._typed(name) is not None else f"{name} in {self.file}"

    def _allowed(self, action: Action) -> str:
        kind = getattr(action, "_typehint", None)
        if self._first_of(action.dest) is not None:
            return "a YAML file of settings"
        if kind is None:  # `metavar` is an example of it
            return f"as in {action.metavar}" if action.metavar else "a file"
        if NoneType in get_args(kind) and action.default is None:  # which is: not given
            kinds = [one for one in get_args(kind) if one is not NoneType]
            return " or ".join(map(type_name, kinds))
        return type_name(kind)

    def _like(self, name: str, prefix: str = "") -> str:
        """Ask whether an option of a similar name was meant, or the same one of a group."""
        known = [one for one in self.actions if one not in ("help", "config")]
        group, _, setting = name.rpartition(".")
        beside = {one.rpartition(".")[2]: one for one in known if one.rpartition(".")[0] == group}
        anywhere = {one.rpartition(".")[2]: one for one in known}
        close = get_close_matches(setting, beside, n=1, cutoff=0.7)
        meant = beside[close[0]] if close else anywhere.get(setting)
        return f" Did you mean {prefix}{meant}?" if meant else ""

    def _help(self) -> str:
        return f"See `avemotion {self.command} --help`."


def _place(action: Action) -> str:
    """Return how a usage line shows an argument that is told by its place; else nothing."""
    if action.option_strings:
        return ""
    name = action.dest.upper()
    return {"+": f"{name}...", "?": f"[{name}]"}.get(str(action.nargs), name)


def _settings(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, bool, Any]]:
    """List an experiment's settings: dotted name, whether it is a group, value."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        is_group = isinstance(value, Mapping) and name != "mapping"
        yield name, is_group, value
        if is_group:
            yield from _settings(value, f"{name}.")
