"""Pictures through a model for pictures: photographs, small faces, and files that are none."""

import io
import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from app_maker import save_model, save_picture_model
from heic_maker import write_tiled
from PIL import Image

from avemotion import classify_clip, classify_faces, classify_image
from avemotion.cli import main
from avemotion.errors import MediaError, MissingModalityError, UsageError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_picture_model(tmp_path_factory.mktemp("picture-model"))


@pytest.fixture(scope="module")
def photo(small_corpus: Path) -> np.ndarray:
    """A frame with a face, uint8 (row, column, 3) RGB."""
    with av.open(str(min((small_corpus / "VideoFlash").glob("*.flv")))) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_path_bytes_file_and_array_have_the_same_answer(
    model: Path, photo: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "me.png"
    Image.fromarray(photo).save(path)
    found = classify_image(path, model)
    assert (found.frames_sampled, found.modality, found.warnings) == (1, "video", ())
    with path.open("rb") as file:
        others = [path.read_bytes(), file, photo, str(path)]
        for other in (classify_image(source, model) for source in others):
            assert other.probabilities == pytest.approx(found.probabilities, abs=0.02)
            assert other.face_box == found.face_box
    assert classify_image(path, model, isolated=True).probabilities == found.probabilities
    assert classify_clip(path, model).probabilities == found.probabilities


def test_the_crop_is_square_as_the_model_reads_it(
    model: Path, photo: np.ndarray, tmp_path: Path
) -> None:
    found = classify_image(photo, model).face_box
    assert found is not None and abs(found.width - found.height) <= 1
    Image.fromarray(photo).save(tmp_path / "me.png")
    clip = classify_clip(tmp_path / "me.png", model).face_box
    assert clip == found


def test_a_small_picture_is_a_face_as_a_whole(model: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)  # no cascade finds a face
    found = classify_image(noise, model)
    assert (found.face_box.width, found.face_box.height) == (48, 48)
    assert any("no face was searched for" in warning for warning in found.warnings)
    with pytest.raises(MissingModalityError, match="no face found"):
        classify_image(cv2.resize(noise, (300, 300)), model)


def test_every_face_of_a_picture_is_answered(model: Path, photo: np.ndarray) -> None:
    both = np.concatenate([photo, photo], axis=1)
    encoded = io.BytesIO()
    Image.fromarray(both).save(encoded, "png")
    found = classify_faces(encoded.getvalue(), model)
    assert [prediction.face for prediction in found] == [1, 2]
    left, right = sorted(prediction.face_box.x for prediction in found)
    assert right - left == pytest.approx(photo.shape[1], abs=12)


def test_the_command_line_takes_a_picture(
    model: Path, photo: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(photo).save(tmp_path / "me.jpg", quality=95)
    assert main(["classify", str(tmp_path / "me.jpg"), "--checkpoint", str(model), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["frames_sampled"] == 1
    assert sum(answer["probabilities"].values()) == pytest.approx(1)


def test_a_model_for_clips_and_a_video_are_refused(
    model: Path, photo: np.ndarray, small_corpus: Path, tmp_path: Path
) -> None:
    for_clips = save_model(tmp_path)
    with pytest.raises(UsageError, match="picture is a picture, but the model ar5/av reads clips"):
        classify_image(photo, for_clips)
    video = min((small_corpus / "VideoFlash").glob("*.flv"))
    with pytest.raises(MediaError, match="is a video, or animated. Use classify_clip"):
        classify_image(video, model)


def saved(image: Image.Image, kind: str, **more: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def test_pictures_of_every_kind_are_read_upright_and_grey(
    model: Path, photo: np.ndarray, tmp_path: Path
) -> None:
    """CMYK, 16 bits, a palette, transparency, an orientation in EXIF, and tiles."""
    picture = Image.fromarray(photo)
    grey = np.asarray(picture.convert("L"))
    turned = Image.Exif()
    turned[0x0112] = 8  # stored lying: to be turned counterclockwise
    kinds = {
        "cmyk.jpg": saved(picture.convert("CMYK"), "jpeg", quality=95),
        "sixteen.png": saved(Image.fromarray(grey.astype(np.uint16) * 257), "png"),
        "palette.png": saved(picture.quantize(256), "png"),
        "alpha.png": saved(Image.merge("RGBA", (*picture.split(), picture.split()[0])), "png"),
        "still.bmp": saved(picture, "bmp"),
        "still.webp": saved(picture, "webp", quality=95),
        "turned.jpg": saved(picture.rotate(-90, expand=True), "jpeg", quality=95, exif=turned),
    }
    write_tiled(tmp_path / "phone.heic", photo, tile=128)
    kinds["phone.heic"] = (tmp_path / "phone.heic").read_bytes()
    plain = classify_image(photo, model)
    for name, content in kinds.items():
        (tmp_path / name).write_bytes(content)
        found = classify_image(tmp_path / name, model)
        assert found.probabilities == pytest.approx(plain.probabilities, abs=0.05), name
        assert abs(found.face_box.x - plain.face_box.x) < plain.face_box.width / 8, name


def test_what_is_no_whole_picture_is_refused_in_plain_words(
    model: Path, photo: np.ndarray, tmp_path: Path
) -> None:
    picture = Image.fromarray(photo)
    jpeg, png = saved(picture, "jpeg"), saved(picture, "png")
    turned = [picture.rotate(180)]
    for name, content, message in (
        ("text.jpg", b"hello, I am a text", "not a video, sound or picture file, or damaged"),
        ("empty.jpg", b"", "is empty"),
        ("cut.jpg", jpeg[: len(jpeg) // 2], "cut.jpg is truncated: the end of the picture"),
        ("cut.png", png[: len(png) // 2], "cut.png is truncated: the end of the picture"),
        ("head.jpg", jpeg[:20], "head.jpg is truncated"),
        ("huge.png", saved(Image.new("1", (20_000, 20_000)), "png"),
         "has 20,000 x 20,000 pixels, but pictures of at most 250 million"),
        ("wall.png", saved(Image.new("L", (300, 300), 90), "png"), "no face found"),
        ("moving.png", saved(picture, "png", save_all=True, append_images=turned),
         "is a video, or animated"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        with pytest.raises((MediaError, MissingModalityError), match=message):
            classify_image(tmp_path / name, model)


def test_a_thumbnail_in_a_cut_jpeg_does_not_pass_for_its_end(
    model: Path, photo: np.ndarray, tmp_path: Path
) -> None:
    """The EXIF of a photograph holds a whole small JPEG, with an end of its own."""
    picture = Image.fromarray(photo)
    thumbnail = saved(picture.resize((160, 120)), "jpeg")
    jpeg = saved(picture, "jpeg")
    comment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = jpeg[:2] + comment + jpeg[2:]
    (tmp_path / "whole.jpg").write_bytes(whole)
    assert classify_image(tmp_path / "whole.jpg", model).frames_sampled == 1
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) - len(jpeg) // 2])
    with pytest.raises(MediaError, match="cut.jpg is truncated"):
        classify_image(tmp_path / "cut.jpg", model)
