"""What a command says of words that it cannot use: what was given, what is allowed, what next."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonargparse
import pytest
from test_cli import one_line_error, run

from avemotion.cli import COMMANDS, commands
from avemotion.cli.options import Command

INSIDES = re.compile(
    r"<class|<function|typing|Literal|Union|NoneType|Parser key|functools|subtypes|Traceback"
    r"|dict\(|Namespace|argument -",
    re.IGNORECASE,
)
"""Words that only Python's programmers know."""


class Asked(Exception):
    """Stops a command once its parser is made."""


def parser_of(command: str) -> Any:
    """Return the parser of a command."""
    made: list[Any] = []

    class Listening(Command):
        def parse(self, add: Any) -> dict[str, Any]:
            parser = jsonargparse.ArgumentParser()
            add(parser)
            made.append(parser)
            raise Asked

    with pytest.raises(Asked):
        commands.RUNNERS[command](Listening(command, "", []))
    return made[0]


def options_with_types(command: str) -> Iterator[tuple[str, str]]:
    """Yield a command's options that do not take any text, and a value that none of them takes."""
    for action in parser_of(command)._actions:
        kind = str(getattr(action, "_typehint", ""))
        if action.option_strings and re.search("int|float|bool|Literal", kind):
            yield action.option_strings[0], kind


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_value_of_any_option_is_told_in_plain_words(
    command: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    places = [a.dest for a in parser_of(command)._actions if not a.option_strings]
    for option, kind in options_with_types(command):
        code, out, err = run(capsys, command, *places, option, "perhaps")
        message = one_line_error(err)
        assert code == 2 and out == "" and not INSIDES.search(message), message
        assert f"{option} is 'perhaps', but must be " in message
        assert f"See `avemotion {command} --help`." in message
        if "Literal" in kind:
            assert all(name in message for name in re.findall(r"'([^']+)'", kind)), message
    for option, _ in list(options_with_types(command))[:1]:
        code, _, err = run(capsys, command, *places, option)
        assert code == 2 and f"{option} needs a value: " in one_line_error(err)
        assert not INSIDES.search(err)
    code, _, err = run(capsys, command, *places, "--nothing", "1")
    assert code == 2 and f"`avemotion {command}` has no option --nothing." in one_line_error(err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("fit --modality smell", "--modality is 'smell', but must be av, video or audio."),
        ("fit --training.epochs 1.5", "--training.epochs is '1.5', but must be a whole number."),
        ("fit --training.epoch 5", "no option --training.epoch. Did you mean --training.epochs?"),
        ("fit --epochs 5", "no option --epochs. Did you mean --training.epochs?"),
        ("fit --training.learning_rate nan", "is 'nan', but must be a finite number."),
        ("fit --training.mirror perhaps", "is 'perhaps', but must be true or false."),
        ("fit --ar5.level_range_db loud", "is 'loud', but must be a finite number or null."),
        ("fit --ar5 5", "--ar5 is '5', but must be a YAML file of settings. A single one is given"),
        ("fit --resnet18.width 1", "Settings of resnet18 go with --model resnet18."),
        ("fit --model resnet18 --resnet18.width 5", "--resnet18.width is 5.0, but must be one of"),
        ("fit more", "'more' is too much: the command is `avemotion fit`."),
        ("models x --jso", "no option --jso. Did you mean --json?"),
        ("cite a b", "'b' is too much: the command is `avemotion cite [USED]`."),
        ("export", "CHECKPOINT and FILE are missing: the command is `avemotion export CHECKPOINT"),
        ("classify", "CLIPS is missing: the command is `avemotion classify CLIPS...`."),
        ("verify x --json=5", "--json takes no value, but '5' is given. Leave that out."),
        ("evaluate --modalities ,", "--modalities: ',' has an empty name."),
        ("evaluate --mapping calm", "--mapping: 'calm' is no pair like calm=neutral."),
        ("synth x --actors 0", "--actors is 0, but must be a whole number from 1 to 91"),
    ],
)
def test_words(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, *words.split())
    assert code == 2 and message in one_line_error(err) and not INSIDES.search(err)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modality: smell", "modality in x.yaml is 'smell', but must be av, video or audio."),
        ("training: {epochs: many}", "training.epochs in x.yaml is 'many', but must be a whole"),
        ("ar5: {width: wide}", "ar5.width in x.yaml is 'wide', but must be a finite number."),
        ("data: 5", "data in x.yaml is 5, but must be a path."),
        ("modality:", "modality in x.yaml has no value: give av, video or audio."),
        ("training: 5", "training in x.yaml is 5, but must be a mapping of settings: `epochs: "),
        ("ar5: [1, 2]", "ar5 in x.yaml is [1, 2], but must be a mapping of settings: "),
        ("training: {epoch: 3}", "unknown setting training.epoch. Did you mean training.epochs?"),
        ("epochs: 3", "unknown setting epochs. Did you mean training.epochs?"),
        ("config: x.yaml", "x.yaml has the unknown setting config."),
        ("miene: {head: votes}", "settings of miene are given, but the model is ar5. Give --model"),
        ("miene: {head: vots}", "miene.head in x.yaml is 'vots', but must be label or votes."),
        ("model: stimme\nar5: {width: 0.5}", "settings of ar5 are given, but the model is stimme."),
        ("", "which holds nothing, but must hold settings"),
        ("- x", "which holds ['x'], but must hold settings"),
        ("a: [", "which is no YAML: expected the node content, but found"),
        ("a: [\n", "in line 2, column 1. Mend it."),
    ],
)
def test_the_same_mistakes_in_an_experiment_file(
    text: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text(text)
    code, _, err = run(capsys, "fit", "--config", "x.yaml")
    assert code == 2 and message in one_line_error(err) and not INSIDES.search(err)


def test_an_experiment_file_that_cannot_be_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for name, message in (("none", "there is no such file"), ("bytes", "no text in UTF-8")):
        code, _, err = run(capsys, "fit", "--config", tmp_path / name)
        assert code == 2 and message in one_line_error(err)


def test_what_is_typed_is_told_without_the_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "x.yaml").write_text("modality: av")
    code, _, err = run(capsys, "fit", "--config", tmp_path / "x.yaml", "--modality=touch")
    assert code == 2 and "--modality is 'touch', but must be" in one_line_error(err)
