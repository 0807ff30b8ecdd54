"""The metadata of a checkpoint: damaged in any way, it loads or is refused in words."""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from network_maker import experiment_of, metadata_of, untrained
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from avemotion.errors import UsageError
from avemotion.models.checkpoint import load_checkpoint, save_checkpoint
from avemotion.models.header import KIND

SMALL = experiment_of("audio", spectrogram="power", width=0.1, audio_features=4)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "checkpoint.safetensors"
    save_checkpoint(path, untrained(SMALL), metadata_of(SMALL))
    return path


def header_of(path: Path) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["metadata"])


def with_header(path: Path, header: object, out: Path) -> Path:
    """The same weights with other metadata, as text that JSON could hold."""
    save_file(load_file(path), out, {"kind": KIND, "metadata": json.dumps(header)})
    return out


def set_key(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Set a value at a path of keys: ``experiment.training.epochs``, ``inputs.0.name``."""

    def change(header: dict[str, Any]) -> None:
        *parts, last = (int(part) if part.isdigit() else part for part in key.split("."))
        place: Any = header
        for part in parts:
            place = place[part]
        place[last] = value

    return change


REFUSED = [
    ("task.labels", ["anger", "anger", "fear", "happy", "sad", "x"], "must be unique.*'anger'"),
    ("task.labels", ["", *"bcdef"], "labels are wrong: a label must be text.* not ''"),
    ("task.labels", ["  ", *"bcdef"], "without spaces around it; '  ' is not"),
    ("task.labels", ["joy ", *"bcdef"], "'joy ' is not"),
    ("task.labels", ["a\nb", *"bcdef"], r"printable.*'a\\nb'"),
    ("task.labels", ["\x1b[31m", *"bcdef"], r"printable.*'\\x1b\[31m'"),
    ("task.labels", [1, 2, 3, 4, 5, 6], r"task.labels is \[1, 2.*a list of texts"),
    ("task.labels", "abcdef", "task.labels is 'abcdef', but must be a list of texts"),
    ("task.labels", ["anger"], "labels is .*'anger'.*, but must be two or more"),
    ("task.labels", [], "labels"),
    ("task.units", "AU1", "task.units is 'AU1', but must be a list of texts"),
    ("task.units", ["AU1", "AU1"], "units are wrong: labels must be unique"),
    ("task.neutral_below", "low", "task.neutral_below is 'low'"),
    ("task.neutral_below", 0.5, "neutral is a label and there are action units"),
    ("task", [], r"task is \[\], but must be a mapping of labels, units, neutral_below"),
    ("inputs", [], r"inputs is \(\), but must be one or more"),
    ("inputs", "power", "inputs is 'power', but must be a list"),
    ("inputs", [{"name": "power"}], "an input lacks size, channels"),
    ("inputs.0.name", "smell", "There is no feature 'smell'. Features: faces, "),
    ("inputs.0.size", [9, 9], r"size is \(9, 9\), but must be null for power"),
    ("inputs.0.channels", 3, "channels is 3, but must be null for power"),
    ("inputs.0.name", "log_mel", r"it reads .*'power'.*, but lists .*'log_mel'"),
    ("preprocessing.grid", "nonsense", "--grid is 'nonsense', but must be even or thesis"),
    ("preprocessing.views", 0, "--views is 0"),
    ("preprocessing.zoom", 1, "preprocessing has 'zoom', but may have only views"),
    ("preprocessing", {}, "preprocessing lacks views, grid"),
    ("experiment.modality", "smell", "--modality is 'smell', but must be av, video or audio"),
    ("experiment.settings.width", "wide", "--ar5.width is 'wide', but must be a finite number"),
    ("experiment.settings.width", True, "--ar5.width is True"),
    ("experiment.settings.depth", 3, "ar5 has no setting 'depth'. Its settings: spectrogram"),
    ("experiment.settings", [], r"--settings is \[\], but must be a mapping"),
    ("experiment.model", 5, "--model is 5, but must be text"),
    ("experiment.training.epochs", 2.5, "--training.epochs is 2.5, but must be a whole number"),
    ("experiment.training.learning_rate", math.inf, "--training.learning_rate is inf"),
    ("experiment.training.weight_decay", math.nan, "--training.weight_decay is nan"),
    ("experiment.training.clamp_weights", "x", "is 'x', but must be a finite number or null"),
    ("experiment.training.mirror", 1, "--training.mirror is 1, but must be true or false"),
    ("experiment.training", None, "experiment.training is None, but must be a mapping of epochs"),
    ("split.train", ["1001", 2], r"split.train is \['1001', 2\], but must be a list of texts"),
    ("split.test", ["1001"], "actors in two parts of a split: 1001"),
    ("split.spare", [], "split has 'spare'"),
    ("split.unit", "clip", "split.unit is 'clip', but must be actor or part"),
    ("epoch", 0, "epoch is 0, but must be 1 or more"),
    ("epoch", True, "epoch is True, but must be a whole number"),
    ("scores.val_accuracy", math.nan, "scores.val_accuracy is nan, but must be a finite number"),
    ("scores", [], r"scores is \[\], but must be a mapping"),
    ("version", None, "version is None, but must be text"),
    ("split_versions.numpy", 2, "split_versions.numpy is 2, but must be text"),
    ("temperature", 0, "temperature is 0, but must be above 0"),
    ("temperature", math.inf, "temperature is inf, but must be a finite number"),
    ("temperature", "hot", "temperature is 'hot', but must be a finite number"),
    ("synthetic", "yes", "synthetic is 'yes', but must be a mapping or null"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "message"), REFUSED)
def test_refused_by_key_and_value(
    key: str, value: object, message: str, small: Path, tmp_path: Path
) -> None:
    header = header_of(small)
    set_key(key, value)(header)
    path = with_header(small, header, tmp_path / "x.safetensors")
    with pytest.raises(UsageError, match=f"^{path} is damaged: .*{message}"):
        load_checkpoint(path)


def test_refused_where_a_key_is_missing(small: Path, tmp_path: Path) -> None:
    for key in header_of(small):
        header = header_of(small)
        del header[key]
        path = with_header(small, header, tmp_path / f"{key}.safetensors")
        with pytest.raises(UsageError, match=f"metadata lacks {key}"):
            load_checkpoint(path)


def test_a_model_that_is_not_installed_is_named(small: Path, tmp_path: Path) -> None:
    header = header_of(small)
    header["experiment"]["model"] = "mynet"
    with pytest.raises(UsageError, match="no model 'mynet'.*must be installed"):
        load_checkpoint(with_header(small, header, tmp_path / "x.safetensors"))


@pytest.mark.parametrize("text", ["", "null", "[]", "{", "[" * 100_000, '{"epoch": 1' + "0" * 5000])
def test_refused_where_it_is_no_mapping(text: str, small: Path, tmp_path: Path) -> None:
    save_file(load_file(small), tmp_path / "x.safetensors", {"kind": KIND, "metadata": text})
    with pytest.raises(UsageError, match="damaged"):
        load_checkpoint(tmp_path / "x.safetensors")


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 4), st.integers(), st.just(10**400), st.floats(),
    st.text(max_size=5), st.lists(st.text(max_size=3), max_size=7), st.just([[]]), st.just({}),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested dicts and lists, the whole left out."""
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    found = [(*path, key) for key in keys]
    return [*found, *(deep for place in found for deep in places(value[place[-1]], place))]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_damage_is_an_exception_of_another_kind(
    data: st.DataObject, small: Path, tmp_path: Path
) -> None:
    header = copy.deepcopy(header_of(small))
    for _ in range(data.draw(st.integers(1, 2))):
        if found := places(header):
            *parts, last = data.draw(st.sampled_from(found))
            parent: Any = header
            for part in parts:
                parent = parent[part]
            how = data.draw(st.sampled_from(["change", "remove", "add"]))
            if how == "remove":
                del parent[last]
            elif how == "add" and isinstance(parent, dict):
                parent[data.draw(st.text(max_size=5))] = data.draw(ODD)
            else:
                parent[last] = data.draw(ODD)
    path = with_header(small, header, tmp_path / "x.safetensors")
    try:
        _, metadata = load_checkpoint(path)
    except UsageError as error:
        assert str(error).startswith(
            (f"{path} is damaged: ", f"{path} cannot be loaded: There is no model ")
        )
    else:
        assert json.loads(json.dumps(metadata.to_dict(), allow_nan=False)) == header
