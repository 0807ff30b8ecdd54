"""Files, folders and patterns: which media files they mean."""

from pathlib import Path

import pytest

from avemotion.errors import UsageError
from avemotion.inference.media_files import media_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = "b.mp4 a.WAV b.jpg face.png notes.txt .hidden.mp4 sub/c.mkv sub/.git/d.mp4 [x].mp4"
    for name in names.split():
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "videos"


def test_a_folder_stands_for_its_media_and_those_below(folder: Path) -> None:
    found = media_files([folder])
    names = [str(path.relative_to(folder)) for path in found.paths]
    assert names == ["[x].mp4", "a.WAV", "b.mp4", "face.png", "sub/c.mkv"]
    assert {path.name for path in found.left_out} == {"b.jpg", "notes.txt"}  # a thumbnail, no media


def test_a_pattern_stands_for_what_it_matches(folder: Path) -> None:
    assert media_files([folder / "*.mp4"]).paths == (folder / "[x].mp4", folder / "b.mp4")
    assert set(media_files([folder / "**" / "*.mkv"]).paths) == {folder / "sub" / "c.mkv"}
    assert media_files([folder / "su?"]).paths == (folder / "sub" / "c.mkv",)
    assert media_files([folder / "*.txt"]).paths == (folder / "notes.txt",)  # as in a shell
    assert media_files([folder / "[x].mp4"]).paths == (folder / "[x].mp4",)  # exists: no pattern


def test_each_file_is_taken_once_in_the_order_given(folder: Path) -> None:
    given = [
        folder / "sub",
        folder / "none.mp4",
        folder / "b.mp4",
        folder / "*.mp4",
        folder / "b.jpg",
    ]
    found = media_files([*given, folder])
    names = [path.name for path in found.paths]
    assert names == [
        "c.mkv", "none.mp4", "b.mp4", "[x].mp4", "b.jpg", "a.WAV", "face.png",
    ]  # fmt: skip
    assert [path.name for path in found.left_out] == ["notes.txt"]


def test_nothing_found_is_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty is a folder without a video, sound or picture"):
        media_files([tmp_path / "empty"])
    assert media_files([folder, tmp_path / "empty"]).paths[-1] == tmp_path / "empty"
    with pytest.raises(UsageError, match=r"no file matches .*\*\.avi"):
        media_files([folder / "*.avi"])
