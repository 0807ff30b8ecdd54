"""`embed`: what it writes, resumes and refuses, and how embeddings are read."""

import json
import shutil
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

import avemotion
from avemotion.data.dataset import ClipDataset
from avemotion.data.store import FeatureStore
from avemotion.encoders.registry import encoder
from avemotion.errors import AvemotionError, UsageError
from avemotion.features.other_recordings import other_recording
from avemotion.features.table import ClipSignals, embedding, levelled
from avemotion.features.views import view_rng

pytest.importorskip("moonshine_voice")
NAME = "embedding:moonshine-tiny"


@pytest.fixture(scope="module")
def embedded(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("embedded") / "features"
    shutil.copytree(small_store, store)
    report = avemotion.embed(store, views=2, jobs=2, progress=False)
    assert (report.feature, report.clips, report.without) == (NAME, 48, 0)
    assert (report.made, report.views) == (4, 2)
    return store


@pytest.fixture
def copy(embedded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(embedded, tmp_path / "features"))


def digests(store: Path) -> dict[str, str]:
    found = sorted((store / "embeddings").rglob("*.safetensors"))
    return {
        f"{path.parent.name}/{path.name}": sha256(path.read_bytes()).hexdigest() for path in found
    }


def table_of(store: Path, folder: Path) -> Path:
    """A column with each clip's number, and one with its length."""
    path = folder / "mine.csv"
    rows = [f"{row.clip},{i},{i * i}" for i, row in enumerate(FeatureStore(store).rows)]
    path.write_text("\n".join(["clip,number,square", *rows]))
    return path


def test_embeddings_are_those_of_the_stored_waveforms(embedded: Path) -> None:
    store = FeatureStore(embedded)
    for row in store.rows[::17]:
        found = store.read(row, NAME)
        assert found.shape == (2, 4, 2, 288) and found.dtype == np.float32
        samples = store.read(row, "waveform")
        plain = encoder("moonshine-tiny").encode(levelled(samples), row.clip)
        np.testing.assert_array_equal(found[0], plain)
        rng = view_rng(f"embedding/{row.clip}", 1, store.settings.seed)
        other = encoder("moonshine-tiny").encode(levelled(other_recording(samples, rng)), row.clip)
        np.testing.assert_array_equal(found[1], other)


def test_a_dataset_reads_each_view(embedded: Path) -> None:
    store = FeatureStore(embedded)
    dataset = ClipDataset(store, store.rows[5:9], [NAME])
    assert dataset.views == [2, 2, 2, 2]
    batch = dataset[[(3, 1), (0, 0)]]
    assert batch.lengths == {}
    np.testing.assert_array_equal(batch.inputs[NAME][0], store.read(store.rows[8], NAME)[1])
    np.testing.assert_array_equal(batch.inputs[NAME][1], store.read(store.rows[5], NAME)[0])


def test_the_number_of_processes_changes_no_byte(copy: Path) -> None:
    wanted = digests(copy)
    shutil.rmtree(copy / "embeddings")
    assert avemotion.embed(copy, views=2, jobs=1, progress=False).made == 4
    assert digests(copy) == wanted and len(wanted) == 4


def test_it_goes_on_where_it_stopped(copy: Path) -> None:
    wanted = digests(copy)
    folder = copy / "embeddings" / "moonshine-tiny"
    (folder / "1002.safetensors").unlink()
    (folder / "1003.safetensors").write_bytes(b"half a fi")
    with pytest.raises(
        UsageError, match="1002.safetensors is missing.*--encoder moonshine-tiny --views 2"
    ):
        FeatureStore(copy).check_has([NAME])
    assert avemotion.embed(copy, views=2, progress=False).made == 2
    assert digests(copy) == wanted
    assert avemotion.embed(copy, views=2, progress=False).made == 0


def test_what_was_made_from_other_clips_is_made_anew(copy: Path) -> None:
    folder = copy / "embeddings" / "moonshine-tiny"
    shutil.copy(folder / "1001.safetensors", folder / "1002.safetensors")
    assert avemotion.embed(copy, views=2, progress=False).made == 1


def test_embeddings_of_other_weights_are_not_mixed(copy: Path) -> None:
    path = copy / "embeddings" / "moonshine-tiny" / "encoder.json"
    made = json.loads(path.read_text())
    assert made == {"encoder": asdict(encoder("moonshine-tiny").identity), "views": 2}
    with pytest.raises(UsageError, match=r"""(?s)with other views.*"views": 2.*"views": 3"""):
        avemotion.embed(copy, views=3, progress=False)
    made["encoder"]["weights_sha256"] = "0" * 64
    path.write_text(json.dumps(made))
    with pytest.raises(
        UsageError, match="(?s)by other weights.*cannot be mixed. Remove that folder"
    ):
        avemotion.embed(copy, views=2, progress=False)
    path.write_text("{")
    with pytest.raises(UsageError, match="encoder.json is damaged"):
        FeatureStore(copy).check_has([NAME])


def test_a_store_without_embeddings_says_how_to_make_them(small_store: Path) -> None:
    store = FeatureStore(small_store)
    with pytest.raises(UsageError, match="which probe reads. Make it: `avemotion embed --data "):
        store.check_has([NAME], "probe")


def test_a_table_becomes_an_embedding(copy: Path, tmp_path: Path) -> None:
    table = table_of(copy, tmp_path)
    report = avemotion.embed(copy, f"video-table:{table}", progress=False)
    assert (report.feature, report.clips, report.views) == ("embedding:video-table.mine", 48, 1)
    store = FeatureStore(copy)
    assert store.read(store.rows[7], report.feature).tolist() == [7.0, 49.0]
    both = ClipDataset(store, store.rows, [NAME, report.feature])[[(7, 1)]]
    assert both.inputs[report.feature].tolist() == [[7.0, 49.0]]


def test_a_table_that_lacks_a_clip_names_it(copy: Path, tmp_path: Path) -> None:
    table = table_of(copy, tmp_path)
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:-1]))
    with pytest.raises(AvemotionError, match=f"no row for the clip {lines[-1].split(',')[0]}"):
        avemotion.embed(copy, f"video-table:{table}", progress=False)
    assert len(digests(copy)) == 4 + 3  # the other actors are done


def test_clips_without_a_voice_have_zeros(tmp_path: Path) -> None:
    made = embedding("moonshine-tiny").of(ClipSignals("clip", 0, None, None), 2)
    assert made.shape == (2, 4, 2, 288) and not made.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "no-such"}, "There is no encoder 'no-such'"),
        ({"views": 0}, "--views is 0, but must be from 1 to 64"),
        ({"jobs": 0}, "--jobs is 0"),
    ],
)
def test_wrong_options_are_refused(
    small_store: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        avemotion.embed(small_store, **options, progress=False)  # type: ignore[arg-type]
    assert not (small_store / "embeddings").exists()
