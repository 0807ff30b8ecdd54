"""Pictures as clips of one frame: from a folder of them, through a store, to an answer."""

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import avemotion
from avemotion.config import PreprocessSettings, TrainingSettings
from avemotion.data.contact_sheet import draw_preview
from avemotion.data.corpora.folder import read_corpus
from avemotion.data.store import FeatureStore
from avemotion.errors import MediaError, UsageError
from avemotion.media.reader import read_frames
from avemotion.models import registry

EMOTIONS = {"ANG": "anger", "HAP": "happiness"}
PICTURES = PreprocessSettings(views=1, features=("image",))


@pytest.fixture(autouse=True)
def picture_net(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.MODELS, "picturenet", "toy_pictures:PictureNet")


@pytest.fixture(scope="module")
def pictures(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The middle frames of clips as PNG and JPEG files, with a split, and nobody named."""
    folder = tmp_path_factory.mktemp("pictures")
    rows = ["file,actor,part"]
    clips = sorted((small_corpus / "VideoFlash").iterdir())
    for code, emotion in EMOTIONS.items():
        (folder / emotion).mkdir()
        found = [clip for clip in clips if code in clip.name][:6]
        for number, clip in enumerate(found):
            frames = read_frames(clip, lambda n: np.array([n // 2])).frames
            name = f"{emotion}/{number}.{'jpg' if number % 2 else 'png'}"
            assert cv2.imwrite(str(folder / name), frames[0])
            rows.append(f"{name},,{('train', 'train', 'validation', 'test')[number % 4]}")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def store(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    out = tmp_path_factory.mktemp("store") / "features"
    report = avemotion.preprocess(
        pictures, corpus="folder", out=out, settings=PICTURES, progress=False
    )
    assert report.counts == {"video": 12}, report.failed
    return FeatureStore(out)


def test_a_store_holds_only_the_features_that_are_asked_for(
    store: FeatureStore, tmp_path: Path
) -> None:
    row = store.rows[0]
    image = store.read(row, "image")
    assert image.dtype == np.uint8 and image.shape == (1, 98, 80) and image.std() > 10
    with pytest.raises(UsageError, match=r"has no log_mel: it holds image.*--features image,log"):
        store.read(row, "log_mel")
    size = store.shard(row.shard).stat().st_size
    assert size < 12 * 98 * 80 + 2_000  # nothing else
    draw_preview(store, tmp_path / "preview.png")
    assert (tmp_path / "preview.png").stat().st_size > 1_000


def test_a_model_that_reads_something_else_is_refused(store: FeatureStore, tmp_path: Path) -> None:
    official = TrainingSettings(split="official")
    with pytest.raises(UsageError, match="has no faces, which ar5 reads"):
        avemotion.fit(
            data=store.directory, modality="video", out=tmp_path, training=official, progress=False
        )


def test_a_picture_is_classified(store: FeatureStore, pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "picturenet" / "video"
    report = avemotion.fit(
        data=store.directory,
        model="picturenet",
        out=run,
        training=TrainingSettings(epochs=2, batch_size=4, split="official"),
        progress=False,
    )
    assert report.metadata.inputs[0].size == (24, 24)
    for name in ("anger/0.png", "happiness/1.jpg"):
        found = avemotion.classify_clip(pictures / name, run, device="cpu")
        assert found.modality == "video" and set(found.probabilities) == {"anger", "happiness"}
        assert (found.faces_found, found.frames_sampled) == (1, 1)
    results = avemotion.evaluate(
        data=store.directory, runs=tmp_path / "runs", out=tmp_path / "e", progress=False
    )
    assert results.clips == 2 and list(results.scores) == ["picturenet/video"]
    assert any("same people may have trained" in note for note in results.notes)
    assert any("nobody in 12 pictures is known" in note for note in results.notes)
    conditions = {score.condition for score in results.robustness["picturenet/video"]}
    assert "blur of 1 px" in conditions and "25 % of frames lost" not in conditions
    report = avemotion.export(run, tmp_path / "picture.onnx")
    assert report.largest_difference is not None and report.largest_difference < 1e-5


def test_a_video_is_a_picture_to_such_a_model(
    store: FeatureStore, small_corpus: Path, tmp_path: Path
) -> None:
    """Its middle frame is read; a network for clips refuses a picture still."""
    run = tmp_path / "run"
    avemotion.fit(
        data=store.directory,
        model="picturenet",
        out=run,
        training=TrainingSettings(epochs=1, batch_size=4, split="official"),
        progress=False,
    )
    clip = min((small_corpus / "VideoFlash").iterdir())
    assert avemotion.classify_clip(clip, run, device="cpu").faces_found == 20


def test_a_picture_is_no_clip_to_other_models(pictures: Path, fitted: Path) -> None:
    with pytest.raises(MediaError, match="a single frame: an image, not a video"):
        avemotion.classify_clip(pictures / "anger" / "0.png", fitted / "ar5" / "av", device="cpu")


def test_a_thumbnail_beside_a_video_is_no_clip(tmp_path: Path) -> None:
    for name in ("a/1.mp4", "a/1.wav", "a/1.jpg", "a/2.png", "b/3.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    corpus = read_corpus(tmp_path)
    assert [clip.name for clip in corpus.clips] == ["a/1.mp4", "a/2.png", "b/3.mp4"]
    assert corpus.clips[0].audio == tmp_path / "a" / "1.wav"
    assert corpus.unrecognised_files == (tmp_path / "a" / "1.jpg",)


def test_clips_of_no_part_are_never_tested(pictures: Path, tmp_path: Path) -> None:
    """Nor are those of a validation part that nothing was chosen on."""
    folder = tmp_path / "mine"
    shutil.copytree(pictures, folder)
    table = (folder / "clips.csv").read_text().replace("anger/0.png,,train", "anger/0.png,Anna,")
    (folder / "clips.csv").write_text(table)
    out = tmp_path / "features"
    avemotion.preprocess(folder, corpus="folder", out=out, settings=PICTURES, progress=False)
    training = TrainingSettings(
        epochs=1, batch_size=4, split="official", validation=0.0, early_stopping=False
    )
    run = tmp_path / "runs" / "picturenet" / "video"
    avemotion.fit(data=out, model="picturenet", out=run, training=training, progress=False)
    results = avemotion.evaluate(
        data=out, runs=tmp_path / "runs", out=tmp_path / "e", robustness=False, progress=False
    )
    tested = {row.clip for row in FeatureStore(out).rows if row.part == "test"}
    with (tmp_path / "e" / "predictions.csv").open(newline="") as file:
        assert {row["clip"] for row in csv.DictReader(file)} == tested
    assert results.clips == len(tested)


def test_damaged_pictures_fail_alone(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    for emotion in ("anger", "happiness"):
        (folder / emotion).mkdir(parents=True)
        (folder / emotion / "good.png").write_bytes((pictures / emotion / "0.png").read_bytes())
    (folder / "anger" / "text.jpg").write_text("no picture")
    blank = np.full((200, 200), 128, np.uint8)
    cv2.imwrite(str(folder / "anger" / "nobody.png"), blank)
    report = avemotion.preprocess(
        folder, corpus="folder", out=tmp_path / "out", settings=PICTURES, progress=False
    )
    assert report.counts == {"video": 2, "failed": 2}
    reasons = {row.clip: row.reason for row in report.failed}
    assert "no face" in reasons["anger/nobody.png"]
    assert "text.jpg cannot be decoded" in reasons["anger/text.jpg"]
