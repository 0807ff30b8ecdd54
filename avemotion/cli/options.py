"""A command's options: made from the signature and docstring of its function."""

from __future__ import annotations

from argparse import Action, ArgumentError, ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import jsonargparse
import yaml

from avemotion.cli.wrong_words import Options
from avemotion.config import DEFAULT_MODEL, MODALITIES, TrainingSettings
from avemotion.errors import UsageError
from avemotion.models.registry import model_names, settings_class, training_for
from avemotion.training.initial_weights import InitialWeights

_NOTHING = ("null", "()")
"""Defaults that stand for: not given."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it was typed."""

    name: str
    """The command."""
    summary: str
    """What it does."""
    words: list[str]
    """What follows its name."""

    def parse(self, add: Callable[[Any], None]) -> dict[str, Any]:
        """Parse the words; jsonargparse makes the options from signatures.

        Args:
            add: Adds the command's options to a parser.

        Returns:
            Keyword arguments, dataclasses built; of training the settings that are given, alone.

        Raises:
            UsageError: The words are no options of the command.
        """
        jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
        parser = jsonargparse.ArgumentParser(
            prog=f"avemotion {self.name}",
            description=self.summary,
            exit_on_error=False,
            allow_abbrev=False,  # a misspelt name is no other option's beginning
            formatter_class=HelpText,
        )
        add(parser)
        words = _config_first(self.words)
        asks = words[: words.index("--")] if "--" in words else words
        if {"-h", "--help"} & {*asks}:
            parser.parse_args(["--help"])  # whatever else was typed
        options = Options(self.name, parser, words)
        try:
            namespace = parser.parse_args(words)
            values: dict[str, Any] = vars(parser.instantiate(namespace))
        except (ArgumentError, ArgumentTypeError, TypeError, ValueError) as error:
            raise UsageError(options.mistake(error)) from error
        except UsageError as error:  # of a dataclass that was built
            raise UsageError(options.named(str(error))) from error
        values.pop("config", None)
        if "training" in values:
            values["training"] = _given_training(parser, words)
        return values

    def option(self, name: str) -> str:
        """Return what the words say for an option, before all of them are parsed; else empty."""
        parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        parser.add_argument(f"--{name}", default="")
        try:
            given, _ = parser.parse_known_args(_config_first(self.words))
        except ArgumentError:  # a word is missing, which `parse` reports
            return ""
        return str(getattr(given, name))

    def initial_settings(self) -> dict[str, Any]:
        """Return the model of ``--init``, or of ``init`` in an experiment file, and its settings.

        Raises:
            UsageError: That is no checkpoint.
        """
        init, config = self.option("init"), self.option("config")
        if not init and config:
            init = str(_content(Path(config)).get("init") or "")
        if not init:
            return {}
        found = InitialWeights.of(Path(init))
        return {found.metadata.experiment.model: found.settings}

    def models(self, default: str = DEFAULT_MODEL) -> list[str]:
        """Return the models that the words, or an experiment file that they name, ask for.

        Only their settings are options: another model's module need not be imported. First come
        those that are named, then those that the file has settings of.

        Args:
            default: The model that is meant where none is named.
        """
        parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        parser.add_argument("--model")
        parser.add_argument("--models", default="")
        parser.add_argument("--config")
        try:
            given, _ = parser.parse_known_args(_config_first(self.words))
        except ArgumentError:  # a word is missing, which `parse` reports
            return [default]
        content = _content(Path(given.config)) if given.config else {}
        named = [given.model, *given.models.split(","), *_named_in(content)]
        described = (key for key in content if key in model_names())
        return list(dict.fromkeys([*(list(filter(None, named)) or [default]), *described]))


def _content(config: Path) -> dict[Any, Any]:
    """Return what an experiment file holds; nothing where it cannot be read, as `parse` reports."""
    try:
        found = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _named_in(found: Mapping[Any, Any]) -> list[str]:
    """Return the models that an experiment file names."""
    named = found.get("models") or found.get("model") or ""
    listed = named.split(",") if isinstance(named, str) else named
    if not isinstance(listed, list):  # which `parse` reports
        listed = []
    return list(map(str, listed))


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


def add_models(
    parser: Any, names: Sequence[str], defaults: Mapping[str, Any] | None = None
) -> None:
    """Make options of models' own settings: ``--ar5.width`` and the like.

    Args:
        parser: Gets them.
        names: The models.
        defaults: Model -> its settings where nothing is given, if not the best known values.

    Raises:
        UsageError: There is no such model.
    """
    for name in names:
        kind = settings_class(name)
        default = (defaults or {}).get(name) or kind()
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"settings of {name}")


def add_training(parser: Any, models: Sequence[str]) -> None:
    """Make options of training: ``--training.epochs`` and the like.

    Args:
        parser: Gets them.
        models: What is trained. Of one model the help shows its recipe, of several the defaults.

    Raises:
        UsageError: There is no such model.
    """
    default = training_for(models[0]) if len(models) == 1 else TrainingSettings()
    parser.add_class_arguments(TrainingSettings, "training", default=default, instantiate=False)


def _given_training(parser: Any, words: list[str]) -> dict[str, Any]:
    """Return the settings of training that words and an experiment file give, and no defaults."""
    given = parser.parse_args(words, defaults=False).get("training") or {}
    return {one.name: given[one.name] for one in fields(TrainingSettings) if one.name in given}


def add_members(parser: Any, text: str) -> None:
    """Let the members of `late` be named: folders of runs, or checkpoints, with commas."""
    parser.add_argument(
        "--members", type=names, default=(), metavar="RUN,RUN", help=f"{text}, separated by commas"
    )


def as_path(word: str | Path) -> Path:
    """Read a path as it stands: a `Path` option of jsonargparse's takes UTF-8 alone."""
    return Path(word)


def modalities(words: str | Sequence[str]) -> tuple[str, ...]:
    """Read a list of modalities with commas; jsonargparse gives it back once it is read."""
    chosen = names(words)
    strange = [word for word in chosen if word not in MODALITIES]
    if strange:
        raise ArgumentTypeError(f"{strange[0]!r} is not one of {', '.join(MODALITIES)}.")
    return chosen


def names(words: str | Sequence[str]) -> tuple[str, ...]:
    """Read a list of names with commas; jsonargparse gives it back once it is read."""
    chosen = tuple(words.split(",")) if isinstance(words, str) else tuple(words)
    if any(not word for word in chosen):
        raise ArgumentTypeError(f"{words!r} has an empty name. Give names separated by commas.")
    if twice := [word for word in chosen if chosen.count(word) > 1]:
        raise ArgumentTypeError(f"{','.join(chosen)!r} names {twice[0]} twice.")
    return chosen


def pairs(words: str | Mapping[str, str]) -> dict[str, str]:
    """Read pairs with commas, ``calm=neutral,other=happiness``; no text is no pair."""
    if not isinstance(words, str):  # jsonargparse gives it back once it is read
        return dict(words)
    found: dict[str, str] = {}
    for word in filter(None, words.split(",")):
        name, sign, value = word.partition("=")
        if not (name and sign and value):
            raise ArgumentTypeError(f"{word!r} is no pair like calm=neutral.")
        if name in found:
            raise ArgumentTypeError(f"{words!r} names {name} twice.")
        found[name] = value
    return found


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
