"""A store whose files changed after they were written is refused, and the advice mends it."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from preprocess_maker import contents, run, voices
from store_maker import NAMES, SETTINGS, corpus_of, features_of, row_of

import avemotion
from avemotion.data.checksums import write_checksums
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.store import FeatureStore
from avemotion.data.store_writer import StoreWriter
from avemotion.data.types import Corpus, Rating
from avemotion.errors import UsageError

TABLES = ("store.json", "manifest.csv", "ratings.csv", "demographics.csv", "checksums.json")


def write(directory: Path, corpus: Corpus, seed: int = 0) -> Path:
    """A finished store of four clips; the second one failed."""
    writer = StoreWriter.open(directory, corpus, SETTINGS)
    rows = [row_of(NAMES[0]), row_of(NAMES[1], "failed"), row_of(NAMES[2], "audio")]
    writer.add("1001", rows, [features_of(seed, 3000), features_of(2, 4001)])
    writer.add("1002", [row_of(NAMES[3])], [features_of(3, 2000)])
    return directory


def corpus_with_people(directory: Path) -> Corpus:
    return replace(corpus_of(directory), demographics={"1001": {"Sex": "Male"}})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole")
    return write(directory / "features", corpus_with_people(directory))


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "features")


def opened(directory: Path) -> FeatureStore:
    """What `fit` and `evaluate` do first."""
    found = FeatureStore(directory)
    found.check_shards(progress=False)
    return found


def flip(path: Path, position: int) -> None:
    changed = bytearray(path.read_bytes())
    changed[position] ^= 1
    path.write_bytes(changed)


def test_the_manifest_lists_the_hash_of_each_shard(whole: Path):
    hashes = {
        path.stem: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (whole / "actors").iterdir()
    }
    with (whole / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            usable = row["status"] != "failed"
            assert row["shard_sha256"] == (hashes[row["shard"]] if usable else "")
    opened(whole)


def test_the_content_hash_covers_features_and_votes(whole: Path, tmp_path: Path):
    corpus = corpus_with_people(tmp_path)
    votes = (Rating(NAMES[0], "audio", (4, 1, 1, 0, 2, 0)),)
    again = write(tmp_path / "again", corpus)
    features = write(tmp_path / "features", corpus, seed=1)
    other_votes = write(tmp_path / "votes", replace(corpus, ratings=votes))
    hashes = [FeatureStore(d).content_hash() for d in (whole, again, features, other_votes)]
    assert hashes[0] == hashes[1] and len(set(hashes)) == 3


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_changed_byte_of_a_table_is_noticed(data: st.DataObject, whole: Path):
    path = whole / data.draw(st.sampled_from(TABLES))
    before = path.read_bytes()
    changed = bytearray(before)
    changed[data.draw(st.integers(0, len(before) - 1))] ^= data.draw(st.integers(1, 255))
    spaces_alone = b"".join(changed.split()) == b"".join(before.split())
    path.write_bytes(changed)
    try:
        with pytest.raises(UsageError, match="json|csv|of format"):
            FeatureStore(whole)
    except pytest.fail.Exception:
        assert path.name == "checksums.json" and spaces_alone  # the same list, in other lines
    finally:
        path.write_bytes(before)


@settings(max_examples=100, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_a_changed_byte_of_a_shard_is_noticed(position: float, change: int, whole: Path):
    path = whole / "actors" / "1002.safetensors"
    before = path.read_bytes()
    header = 8 + int.from_bytes(before[:8], "little")
    for size in (header, len(before)):
        changed = bytearray(before)
        changed[int(position * size)] ^= change
        path.write_bytes(changed)
        try:
            with pytest.raises(UsageError, match="1002.safetensors .* makes this file anew"):
                opened(whole)
        finally:
            path.write_bytes(before)


def test_reading_one_clip_hashes_no_shard(store: Path):
    """Else `preprocess --preview` and every fold's process would read the whole store."""
    flip(store / "actors" / "1001.safetensors", -1)  # in the faces of the last clip
    found = FeatureStore(store)
    assert found.read(found.rows[0], "faces").any()
    with pytest.raises(UsageError, match="1001.safetensors is damaged"):
        found.check_shards(progress=False)


def change_rows(store: Path, change: Callable[[list[list[str]]], object]) -> None:
    """Change the manifest as somebody would who renews the checksums, too."""
    with (store / "manifest.csv").open(newline="") as file:
        columns, *rows = csv.reader(file)
    change(rows)
    with (store / "manifest.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])
    info = json.loads((store / "store.json").read_text()) | {"clips": len(rows)}
    (store / "store.json").write_text(json.dumps(info))
    write_checksums(store)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.pop(0),
        lambda rows: rows.insert(1, rows[0]),
        lambda rows: rows.insert(0, rows.pop(2)),
        lambda rows: rows[1].__setitem__(7, "av"),
    ],
    ids=["removed", "doubled", "exchanged", "more usable"],
)
def test_rows_that_do_not_fit_the_arrays_are_noticed(store: Path, change: Callable):
    change_rows(store, change)
    with pytest.raises(UsageError, match="1001.safetensors holds other clips than manifest.csv"):
        FeatureStore(store).shard("1001")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (3, "joy", "the emotion of 1001_DFA_ANG_XX is 'joy', but must be one of anger, disgust"),
        (
            7,
            "avx",
            "row 1 of .* is wrong .its status is 'avx', but must be av, video, audio, excl",
        ),
        (0, "", "row 1 of .* is wrong .its clip is empty"),
        (1, "", "row 1 of .* is wrong .its actor is empty"),
        (6, "", "row 1 of .* is wrong .its shard is empty"),
    ],
)
def test_unknown_names_are_refused(store: Path, column: int, value: str, message: str):
    change_rows(store, lambda rows: rows[0].__setitem__(column, value))
    with pytest.raises(UsageError, match=f"{message}.*Remove .* and preprocess anew"):
        FeatureStore(store)


def test_exchanged_shards_are_named(store: Path):
    first, second = sorted((store / "actors").iterdir())
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    with pytest.raises(UsageError, match="1001.safetensors holds other clips"):
        opened(store)


@pytest.mark.parametrize("name", TABLES)
def test_a_missing_table_is_noticed(store: Path, name: str):
    (store / name).unlink()
    with pytest.raises(UsageError, match=f"not a feature store|{name} is not as|not finished"):
        FeatureStore(store)


def test_a_table_that_was_not_there_is_noticed(tmp_path: Path):
    store = write(tmp_path / "features", replace(corpus_of(tmp_path), ratings=()))
    (store / "ratings.csv").write_text(f"clip,channel,{','.join(EMOTIONS)}\n")
    with pytest.raises(UsageError, match="ratings.csv is not as it was written"):
        FeatureStore(store)


def test_preprocess_mends_what_the_message_says(tmp_path: Path):
    corpus, out = voices(tmp_path / "corpus", actors=2), tmp_path / "out"
    run(corpus, out)
    before = contents(out)
    shard = out / "actors" / "1002.safetensors"

    def swap() -> None:
        shutil.copyfile(out / "actors" / "1001.safetensors", shard)

    for damage in (
        lambda: flip(shard, -1),
        lambda: shard.write_bytes(b""),
        swap,
    ):
        damage()
        with pytest.raises(UsageError, match="Run the same `avemotion preprocess` again: it makes"):
            opened(out)
        assert run(corpus, out).processed == 2 and contents(out) == before
    (out / "checksums.json").unlink()
    assert run(corpus, out).processed == 0 and contents(out) == before
    (out / "manifest.csv").write_bytes(before["manifest.csv"].replace(b"anger", b"fear"))
    for command in (opened, lambda out: run(corpus, out)):
        with pytest.raises(UsageError, match="manifest.csv is not as .* Remove .* preprocess anew"):
            command(out)


def test_votes_that_were_changed_are_copied_anew(store: Path, tmp_path: Path):
    path = store / "ratings.csv"
    before = path.read_bytes()
    path.write_bytes(before.replace(b",5,", b",6,"))
    with pytest.raises(UsageError, match="ratings.csv is not as .* copies that table anew"):
        FeatureStore(store)
    StoreWriter.open(store, corpus_with_people(tmp_path), SETTINGS)
    assert path.read_bytes() == before
    opened(store)


@pytest.mark.parametrize("command", ["fit", "evaluate"])
def test_a_damaged_shard_is_refused_before_any_training(
    small_store: Path, tmp_path: Path, command: str
):
    data = shutil.copytree(small_store, tmp_path / "features")
    flip(data / "actors" / "1003.safetensors", -1)
    further = {"protocol": "loso"} if command == "evaluate" else {}
    with pytest.raises(UsageError, match="1003.safetensors is damaged: its SHA-256 is"):
        getattr(avemotion, command)(data=data, out=tmp_path / "run", progress=False, **further)
    assert not (tmp_path / "run").exists()


def test_sounds_of_the_same_length_are_other_data(tmp_path: Path):
    """`fit` compares the content hash with its run's: else it would say "finished before"."""
    corpus, out = voices(tmp_path / "corpus", actors=2), tmp_path / "out"
    run(corpus, out)
    before = FeatureStore(out).content_hash()
    path = corpus / "AudioWAV" / "1001_DFA_ANG_XX.wav"
    data = path.read_bytes()
    path.write_bytes(data[:44] + np.frombuffer(data[44:], "<i2")[::-1].tobytes())
    assert run(corpus, out).processed == 2
    assert FeatureStore(out).content_hash() != before
