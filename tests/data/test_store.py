import csv
import hashlib
import json
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save
from store_maker import NAMES, SETTINGS, corpus_of, features_of, row_of

from avemotion.data.checksums import write_checksums
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.shards import write_shard
from avemotion.data.store import COLUMNS, FeatureStore, ManifestRow, read_info, read_manifest
from avemotion.data.store_writer import StoreWriter, plain_row, shards_of
from avemotion.data.types import UNKNOWN_ACTOR, Corpus
from avemotion.errors import AvemotionError, UsageError
from avemotion.features.table import ClipSignals
from avemotion.features.types import ClipFeatures
from avemotion.files import write_atomically, write_csv, write_json


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A finished store of four clips; the second one failed."""
    directory = tmp_path / "features"
    writer = StoreWriter.open(directory, corpus_of(tmp_path), SETTINGS)
    rows = [row_of(NAMES[0]), row_of(NAMES[1], "failed"), row_of(NAMES[2], "audio")]
    writer.add("1001", rows, [features_of(0, 3000), features_of(2, 4001)])
    writer.add("1002", [row_of(NAMES[3])], [features_of(3, 2000)])
    return directory


def test_what_is_written_is_read(full: Path):
    store = FeatureStore(full)
    assert store.labels == EMOTIONS and store.settings == SETTINGS and store.synthetic is None
    assert [row.clip for row in store.rows] == NAMES
    assert store.rows[1] == row_of(NAMES[1], "failed")
    assert [row.clip for row in store.usable("av")] == [NAMES[0], NAMES[3]]
    assert [row.clip for row in store.usable("audio")] == [NAMES[0], NAMES[2], NAMES[3]]
    assert [row.clip for row in store.usable("video")] == [NAMES[0], NAMES[3]]
    for row, seed, samples in ((0, 0, 3000), (2, 2, 4001), (3, 3, 2000)):
        expected = features_of(seed, samples)
        assert expected.arrays.keys() == {"faces", "power", "log_mel", "waveform"}
        for name, array in expected.arrays.items():
            np.testing.assert_array_equal(store.read(store.rows[row], name), array, strict=True)
        for name, length in expected.lengths.items():
            assert store.read(store.rows[row], f"{name}_lengths") == length
    assert store.ratings() == list(corpus_of(full).ratings)


def test_layout_of_a_shard(full: Path):
    """The documented names, dtypes and shapes, read without any code of ours."""
    arrays = load_file(full / "actors" / "1001.safetensors")
    described = {name: (array.dtype.name, array.shape) for name, array in arrays.items()}
    assert described == {
        "faces": ("uint8", (2, 2, 20, 98, 80)),
        "power": ("float32", (2, 128, 128)),
        "power_lengths": ("int64", (2,)),
        "log_mel": ("float16", (2, 64, 500)),
        "log_mel_lengths": ("int64", (2,)),
        "waveform": ("int16", (7001,)),
        "waveform_offsets": ("int64", (3,)),
        "waveform_lengths": ("int64", (2,)),
    }
    assert arrays["waveform_offsets"].tolist() == [0, 3000, 7001]


def test_who_may_read_the_manifest_may_read_the_arrays(full: Path):
    modes = {path.stat().st_mode for path in (full / "manifest.csv", *(full / "actors").iterdir())}
    assert len(modes) == 1


def test_a_failing_write_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "table.csv"
    write_csv(path, ["a"], [[1]])

    def rows():
        yield [2]
        raise OSError("disk full")

    with pytest.raises(AvemotionError, match="disk full.*finished work is kept"):
        write_csv(path, ["a"], rows())
    assert path.read_text() == "a\n1\n"
    write_json(path, {"b": 1})
    assert json.loads(path.read_text()) == {"b": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_the_name_appears_only_when_all_is_written(tmp_path: Path):
    path = tmp_path / "shard"

    def write(temporary: Path) -> None:
        assert temporary != path and not path.exists()
        temporary.write_bytes(b"half")
        assert not path.exists()
        temporary.write_bytes(b"whole")

    write_atomically(path, write)
    assert path.read_bytes() == b"whole"
    assert stat.S_ISREG(path.stat().st_mode)


@pytest.mark.parametrize(
    "settings, there, asked",
    [
        (replace(SETTINGS, views=3), '"views": 2', '"views": 3'),
        (replace(SETTINGS, grid="thesis"), '"grid": "even"', '"grid": "thesis"'),
        (replace(SETTINGS, seed=9), '"seed": 0', '"seed": 9'),
        (replace(SETTINGS, features=("faces",)), '"faces", "power"', '"features": ["faces"]'),
    ],
)
def test_other_settings_are_refused_with_both_shown(full, settings, there, asked):
    before = {path: path.read_bytes() for path in full.rglob("*") if path.is_file()}
    with pytest.raises(UsageError) as caught:
        StoreWriter.open(full, corpus_of(full.parent), settings)
    message = str(caught.value)
    assert there in message.split("asked:")[0] and asked in message.split("asked:")[1]
    assert "--out" in message
    assert before == {path: path.read_bytes() for path in full.rglob("*") if path.is_file()}


def test_other_labels_and_kinds_of_corpus_are_refused(full: Path):
    other = replace(corpus_of(full.parent), labels=EMOTIONS[::-1])
    with pytest.raises(UsageError, match="other labels"):
        StoreWriter.open(full, other, SETTINGS)
    with pytest.raises(UsageError, match="other synthetic"):
        StoreWriter.open(full, corpus_of(full.parent, synthetic={"seed": 1}), SETTINGS)


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match="neither empty nor a feature store"):
        StoreWriter.open(tmp_path, corpus_of(tmp_path), SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_a_run_killed_at_its_start_leaves_is_no_foreign_folder(tmp_path: Path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".store.json.partial").write_text("{")
    StoreWriter.open(tmp_path, corpus_of(tmp_path), SETTINGS)
    assert read_info(tmp_path)["clips"] == 4


def test_a_writer_goes_on_where_another_stopped(tmp_path: Path):
    out = tmp_path / "out"
    StoreWriter.open(out, corpus_of(tmp_path), SETTINGS).add(
        "1002", [row_of(NAMES[3])], [features_of(3, 2000)]
    )
    with pytest.raises(UsageError, match="not finished: 1 of 4 clips"):
        FeatureStore(out)
    writer = StoreWriter.open(out, corpus_of(tmp_path), SETTINGS)
    assert writer.finished("1001") == []
    assert [row.clip for row in writer.finished("1002")] == NAMES[3:]
    (out / "actors" / "1002.safetensors").unlink()
    assert StoreWriter.open(out, corpus_of(tmp_path), SETTINGS).finished("1002") == []


def test_an_actor_done_again_is_never_listed_with_arrays_of_another_run(full, monkeypatch):
    """The disk fills up between the new arrays and the new manifest."""
    writer = StoreWriter.open(full, corpus_of(full.parent), SETTINGS)

    class Full(Exception):
        pass

    def fail(*_: object) -> None:
        raise Full

    rows = [row_of(name) for name in NAMES[:3]]
    monkeypatch.setattr("avemotion.data.shards._save", fail)
    with pytest.raises(Full):
        writer.add("1001", rows, [features_of(i, 2000) for i in range(3)])
    assert {row.actor for row in read_manifest(full)} == {"1002"}
    with pytest.raises(UsageError, match="not finished"):
        FeatureStore(full)


@given(
    lengths=st.lists(st.integers(0, 50), min_size=1, max_size=4),
    views=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_shard_has_the_bytes_of_the_safetensors_library(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], views: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)

    def drawn(shape: tuple[int, ...], dtype: type) -> np.ndarray:
        return rng.integers(0, 100, shape).astype(dtype)

    features = [
        ClipFeatures(
            {
                "faces": drawn((views, 20, 98, 80), np.uint8),
                "power": drawn((views, 128, 128), np.float32),
                "log_mel": drawn((views, 64, 500), np.float16)[:, :, ::-1],  # not as it lies
                "waveform": drawn((length,), np.int16),
            },
            {"power": 128, "log_mel": int(rng.integers(0, 501)), "waveform": length},
        )
        for length in lengths
    ]
    path = tmp_path_factory.mktemp("shard") / "1001.safetensors"
    names = [f"clip {i}\u00e9" for i in range(len(features))]
    sha256 = write_shard(path, dict(zip(names, features, strict=True)))
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.read_bytes() == save(
        {
            **{
                name: np.stack([f.arrays[name] for f in features])
                for name in ("faces", "power", "log_mel")
            },
            "waveform": np.concatenate([f.arrays["waveform"] for f in features]),
            "waveform_offsets": np.cumsum([0, *lengths], dtype=np.int64),
            **{
                f"{name}_lengths": np.array([f.lengths[name] for f in features], np.int64)
                for name in ("power", "log_mel", "waveform")
            },
        },
        {"clips": json.dumps(names)},
    )


def test_actors_that_the_corpus_lost_are_forgotten(full: Path):
    writer = StoreWriter.open(full, corpus_of(full.parent, NAMES[3:]), SETTINGS)
    writer.drop_others({"1002"})
    assert [row.clip for row in FeatureStore(full).rows] == NAMES[3:]
    assert [path.name for path in (full / "actors").iterdir()] == ["1002.safetensors"]


def no_features(actor: str) -> list[ManifestRow]:
    return [row_of(f"{actor}_DFA_{code}_XX", "failed") for code in ("ANG", "DIS")]


ACTORS = ("1001", "1002", "1003")
CHANGES = st.lists(st.tuples(st.sampled_from(ACTORS), st.booleans()), min_size=1, max_size=8)


@settings(max_examples=50, deadline=None)
@given(changes=CHANGES, data=st.data())
def test_a_run_killed_at_any_byte_keeps_what_was_finished(
    changes, data, tmp_path_factory: pytest.TempPathFactory
):
    """The journal is cut anywhere: all changes that were whole by then count, and nothing else."""
    out = tmp_path_factory.mktemp("journal") / "out"
    everyone = [row.clip for actor in (*ACTORS, "1009") for row in no_features(actor)]
    corpus = corpus_of(out.parent, tuple(everyone))  # 1009 never comes: the run stays unfinished
    writer = StoreWriter.open(out, corpus, SETTINGS)
    journal, model, states = out / "manifest.journal", {}, {0: {}}
    for actor, listed in changes:
        writer.drop([actor])
        model = {name: rows for name, rows in model.items() if name != actor}
        if journal.exists():
            states[journal.stat().st_size] = model
        if listed:
            writer.record(actor, no_features(actor), "")
            model = model | {actor: no_features(actor)}
            states[journal.stat().st_size] = model
    assert not (out / "manifest.csv").exists()
    whole = journal.read_bytes() if journal.exists() else b""
    cut = data.draw(st.integers(0, len(whole)))
    if journal.exists():
        journal.write_bytes(whole[:cut])
    kept = states[max(size for size in states if size <= cut)]
    expected = [row for actor in sorted(kept) for row in kept[actor]]
    assert read_manifest(out) == expected
    StoreWriter.open(out, corpus, SETTINGS)
    assert not journal.exists() and read_manifest(out) == expected


def test_the_manifest_is_written_once(tmp_path: Path, monkeypatch):
    """Each actor costs a line, not the whole table again: with 100,000 actors that counts."""
    written = []
    monkeypatch.setattr(
        "avemotion.data.store_writer.write_csv",
        lambda path, *rest: (written.append(path.name), write_csv(path, *rest)),
    )
    rows = {str(actor): no_features(str(actor)) for actor in range(1001, 1041)}
    names = tuple(row.clip for own in rows.values() for row in own)
    writer = StoreWriter.open(tmp_path / "out", corpus_of(tmp_path, names), SETTINGS)
    written.clear()  # the corpus' ratings
    for actor in reversed(rows):
        with pytest.raises(UsageError, match="not finished"):
            FeatureStore(tmp_path / "out")
        writer.add(actor, rows[actor], [])
    assert written == ["manifest.csv"]
    assert not (tmp_path / "out" / "manifest.journal").exists()
    assert [row.clip for row in FeatureStore(tmp_path / "out").rows] == list(names)


def test_a_store_with_a_journal_is_not_finished(full: Path):
    """Killed between the last actor's line and the manifest: opening it once more is enough."""
    row = [getattr(row_of(NAMES[3]), column) for column in COLUMNS]
    (full / "manifest.journal").write_text(json.dumps(["1002", [row]]) + "\n")
    with pytest.raises(UsageError, match="not finished"):
        FeatureStore(full)
    StoreWriter.open(full, corpus_of(full.parent), SETTINGS)
    assert [row.clip for row in FeatureStore(full).rows] == NAMES


@pytest.mark.parametrize("line", ["{", '["1002", 5]', '["1002", [[1, 2]]]', "[1]", "\xff"])
def test_a_damaged_journal_is_a_usage_error(full: Path, line: str):
    (full / "manifest.journal").write_text(f"{line}\n", encoding="latin-1")
    with pytest.raises(UsageError, match="manifest.journal is damaged.*preprocess anew"):
        read_manifest(full)


def test_what_a_lost_machine_left_half_written_is_swept(tmp_path: Path):
    """Each writer of a shard has a temporary name of its own: no other run would replace it."""
    writer = StoreWriter.open(tmp_path / "out", corpus_of(tmp_path, NAMES[3:]), SETTINGS)
    (tmp_path / "out" / "actors" / ".1002.safetensors.1234.partial").write_bytes(b"half")
    writer.add("1002", [row_of(NAMES[3])], [features_of(3, 2000)])
    assert [p.name for p in (tmp_path / "out" / "actors").iterdir()] == ["1002.safetensors"]


def edit(path: Path, **changes: object) -> None:
    info = json.loads(path.read_text())
    info.update(changes)
    path.write_text(json.dumps({k: v for k, v in info.items() if v != "absent"}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: p.write_text('{"format": 1, "lab'),
        lambda p: p.write_text("[1, 2]"),
        lambda p: p.write_bytes(b"\xff\xfe\x00"),
        lambda p: edit(p, labels="absent"),
        lambda p: edit(p, settings=[1]),
        lambda p: edit(p, clips="four"),
        lambda p: edit(p, synthetic="absent"),
        lambda p: edit(p, format=99),
        lambda p: edit(p, format="absent"),
        lambda p: p.unlink(),
    ],
)
def test_damaged_descriptions_are_usage_errors(full: Path, damage):
    damage(full / "store.json")
    with pytest.raises(UsageError, match="damaged|not a feature store|of format"):
        FeatureStore(full)
    with pytest.raises(UsageError):
        StoreWriter.open(full, corpus_of(full.parent), SETTINGS)


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: p.write_bytes(p.read_bytes()[:-9]),
        lambda p: p.write_bytes(b"\xff\xfe" + p.read_bytes()),
        lambda p: p.write_text("clip,actor\n"),
        lambda p: p.write_text(p.read_text().replace(",60,", ",sixty,")),
        lambda p: p.write_text(""),
    ],
)
def test_damaged_manifests_are_usage_errors(full: Path, damage):
    damage(full / "manifest.csv")
    with pytest.raises(UsageError, match=r"manifest\.csv (is|lacks|has).*preprocess anew"):
        FeatureStore(full)


def test_damaged_arrays_are_usage_errors(full: Path):
    store = FeatureStore(full)
    path = full / "actors" / "1002.safetensors"
    data = path.read_bytes()
    for damaged in (data[: len(data) // 2], b"", b"rubbish" * 100):
        path.write_bytes(damaged)
        with pytest.raises(
            UsageError, match="1002.safetensors cannot be read.*same `avemotion prep"
        ):
            store.read(store.rows[3], "faces")
    path.unlink()
    with pytest.raises(UsageError, match="1002.safetensors cannot be read"):
        store.shard("1002")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "clip,channel,joy\n",
        "clip,channel,{}\na,av,1,2,x\n",
        "clip,channel,{}\na,voice,0,0,0,0,0,1\n",
        "clip,channel,{}\n,av,0,0,0,0,0,1\n",
        "clip,channel,{}\na,av,0,0,0,0,-1,1\n",
    ],
)
def test_damaged_ratings_are_usage_errors(full: Path, text):
    (full / "ratings.csv").write_text(text.format(",".join(EMOTIONS)))
    write_checksums(full)
    with pytest.raises(UsageError, match=r"ratings\.csv (is|lacks|has).*Run the command"):
        FeatureStore(full).ratings()


def test_manifest_is_plain_csv(full: Path):
    with (full / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["av", "failed", "audio", "av"]
    assert rows[0]["face_box"] == "1 2 80 98"


def unknown_corpus(directory: Path, clips: int) -> Corpus:
    every = corpus_of(directory, tuple(f"1001_{i:04d}" for i in range(clips))).clips
    unknown = tuple(replace(clip, actor=UNKNOWN_ACTOR, part="train") for clip in every)
    return replace(corpus_of(directory), clips=unknown, ratings=())


def test_clips_of_unknown_actors_are_dealt_to_shards(tmp_path: Path):
    """One shard of all of them would not fit into memory."""
    corpus = unknown_corpus(tmp_path, 1100)
    known = replace(corpus.clips[3], actor="Anna")
    corpus = replace(corpus, clips=(*corpus.clips[:3], known, *corpus.clips[4:]))
    found = shards_of(corpus)
    sizes = {name: len(clips) for name, clips in found.items()}
    assert sizes == {"unknown-00000": 512, "Anna": 1, "unknown-00001": 512, "unknown-00002": 75}
    assert sorted(c.name for clips in found.values() for c in clips) == [
        clip.name for clip in corpus.clips
    ]
    out = tmp_path / "out"
    writer = StoreWriter.open(out, corpus, SETTINGS)
    for shard, clips in found.items():
        rows = [plain_row(shard, clip, corpus, "failed", "dark") for clip in clips]
        if shard == "unknown-00002":
            rows[0] = plain_row(shard, clips[0], corpus, "av")
        kept = [features_of(0, 3000)] if shard == "unknown-00002" else []
        writer.add(shard, rows, kept)
    store = FeatureStore(out)
    store.check_shards(progress=False)
    (row,) = store.usable("av")
    assert (row.actor, row.shard, row.part) == (UNKNOWN_ACTOR, "unknown-00002", "train")
    np.testing.assert_array_equal(store.read(row, "faces"), features_of(0, 3000).arrays["faces"])
    assert [path.name for path in (out / "actors").iterdir()] == ["unknown-00002.safetensors"]
    assert StoreWriter.open(out, corpus, SETTINGS).finished("Anna")[0].actor == "Anna"


def test_a_store_of_some_features_holds_no_other(tmp_path: Path):
    settings = replace(SETTINGS, features=("image", "log_mel"))
    signals = ClipSignals("1002", 0, features_of(1, 3000).arrays["faces"], np.ones(3000, np.int16))
    features = ClipFeatures.of(signals, settings.features, settings.views)
    writer = StoreWriter.open(tmp_path / "out", corpus_of(tmp_path, NAMES[3:]), settings)
    writer.add("1002", [row_of(NAMES[3])], [features])
    store = FeatureStore(tmp_path / "out")
    assert store.settings == settings
    arrays = load_file(store.shard("1002"))
    assert {name: array.shape for name, array in arrays.items()} == {
        "image": (1, 2, 98, 80), "log_mel": (1, 64, 500), "log_mel_lengths": (1,),
    }  # fmt: skip
    np.testing.assert_array_equal(arrays["image"][0], signals.faces[:, 10])
    for name in ("faces", "waveform", "waveform_lengths", "thunder"):
        plain = name.removesuffix("_lengths")
        with pytest.raises(UsageError, match=f"has no {plain}: it holds image, log_mel. Prepro"):
            store.read(store.rows[0], name)
