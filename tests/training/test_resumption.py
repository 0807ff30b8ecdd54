"""Resuming: after a full disk, from half a state, on another machine, with other versions."""

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from conftest import QUICK
from safetensors.torch import load_file

import avemotion
from avemotion.errors import UsageError
from avemotion.training.resumption import AtomicFiles, progress_of


def fit(store: Path, out: Path) -> None:
    avemotion.fit(data=store, modality="audio", out=out, training=QUICK, progress=False)


@pytest.fixture(scope="module")
def whole(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    out = tmp_path_factory.mktemp("whole") / "run"
    fit(small_store, out)
    return out


def check_same(run: Path, whole: Path) -> None:
    assert (run / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    ours, theirs = (load_file(out / "checkpoint.safetensors") for out in (run, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert not (run / "state").exists()


def test_a_full_disk_is_one_message_and_the_run_goes_on(
    small_store: Path, whole: Path, tmp_path: Path
) -> None:
    """The checkpoint fits, the state, with the optimizer's averages, does not."""
    limit = 2 * (whole / "checkpoint.safetensors").stat().st_size
    options = ["--training.epochs=2", "--training.batch_size=16", "--training.holdout=0.25"]
    words = ["fit", "--data", str(small_store), "--modality", "audio", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "avemotion", *words, *options],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "last.ckpt cannot be written: File too large" in done.stderr
    assert list((tmp_path / "state").iterdir()) == []
    fit(small_store, tmp_path)
    check_same(tmp_path, whole)


def test_the_state_is_written_beside_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another folder may be on another file system, where nothing can be renamed from."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    path = tmp_path / "state" / "last.ckpt"
    AtomicFiles().save_checkpoint({"epoch": 3, "callbacks": {}}, path)
    assert progress_of(tmp_path) == (path, 4, False)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a state", b"\x80\x02}."])
def test_a_damaged_state_is_set_aside(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "state" / "last.ckpt"
    path.parent.mkdir()
    path.write_bytes(content)
    assert progress_of(tmp_path) == (None, 0, False)
    assert path.with_name("last.ckpt.damaged").read_bytes() == content and not path.exists()
    assert f"{path} is damaged" in capsys.readouterr().err


def test_half_a_state_costs_only_time(
    small_store: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("avemotion.training.finishing.draw_curves", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fit(small_store, tmp_path)
    state = tmp_path / "state" / "last.ckpt"
    state.write_bytes(state.read_bytes()[: state.stat().st_size // 2])
    fit(small_store, tmp_path)
    assert "training starts anew" in capsys.readouterr().err
    check_same(tmp_path, whole)


def test_other_versions_that_split_are_refused(whole: Path, small_store: Path, tmp_path: Path):
    run = json.loads((whole / "run.json").read_text())
    assert set(run["split_versions"]) == {"numpy", "scikit-learn"}
    run["split_versions"]["numpy"] = "1.0"
    (tmp_path / "run.json").write_text(json.dumps(run | {"finished": False}))
    message = r"numpy: '1\.0' -> '\d(?s:.*)Install its versions to go on, or .* start anew"
    with pytest.raises(UsageError, match=message):
        fit(small_store, tmp_path)


def test_another_precision_is_refused(whole: Path, small_store: Path, tmp_path: Path) -> None:
    """A run that began where the processor chose the other precision."""
    run = json.loads((whole / "run.json").read_text())
    training = run["experiment"]["training"]
    other = {"float32": "bfloat16", "bfloat16": "float32"}[training["precision"]]
    training["precision"] = other
    (tmp_path / "run.json").write_text(json.dumps(run | {"finished": False}))
    with pytest.raises(UsageError, match=f"precision: '{other}' -> (?s:.*)--training.precision"):
        fit(small_store, tmp_path)
