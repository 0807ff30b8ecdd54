"""`evaluate --protocol holdout` tests networks on the very data that they were trained on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import avemotion
from avemotion.config import MODALITIES
from avemotion.data.checksums import write_checksums
from avemotion.data.store import FeatureStore
from avemotion.errors import UsageError


def renamed(store: Path, out: Path) -> Path:
    """The same clips of actors with other names, as another ``clips.csv`` would give."""
    shutil.copytree(store, out)
    manifest = (out / "manifest.csv").read_text()
    for actor in sorted(shard.stem for shard in (out / "actors").iterdir()):
        manifest = manifest.replace(f",{actor},", f",9{actor},")
        (out / "actors" / f"{actor}.safetensors").rename(out / "actors" / f"9{actor}.safetensors")
    (out / "manifest.csv").write_text(manifest)
    write_checksums(out)
    return out


def test_actors_with_other_names_are_not_taken_for_unseen(
    small_store: Path, fitted: Path, tmp_path: Path
) -> None:
    data = renamed(small_store, tmp_path / "features")
    FeatureStore(data).check_shards(progress=False)  # nothing is wrong with it by itself
    for modality in MODALITIES:
        with pytest.raises(UsageError, match=f"ar5/{modality}/checkpoint.* trained on other data"):
            avemotion.evaluate(
                data=data, runs=fitted, modalities=(modality,), out=tmp_path / "out", progress=False
            )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: edit(p, data="0" * 64), r"other data.*\n.*run.json: 0000"),
        (lambda p: edit(p, data=None), r"other data.*\n.*run.json: None"),
        (lambda p: p.write_text('{"finished": true}'), r"other data.*\n.*run.json: None"),
        (lambda p: p.write_text('{"finished": tr'), "run.json is damaged .* Remove .* fit again"),
        (lambda p: p.unlink(), "run.json cannot be read .* Remove .* fit again"),
    ],
)
def test_a_run_that_does_not_say_its_data_is_refused(
    small_store: Path, fitted: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(fitted, runs, symlinks=True)
    damage(runs / "ar5" / "audio" / "run.json")
    with pytest.raises(UsageError, match=message):
        avemotion.evaluate(data=small_store, runs=runs, out=tmp_path / "out", progress=False)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
