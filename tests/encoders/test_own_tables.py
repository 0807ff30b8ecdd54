"""Tables of features that the user has."""

from pathlib import Path

import numpy as np
import pytest

from avemotion.encoders.registry import encoder
from avemotion.encoders.table import Table
from avemotion.errors import UsageError

NOTHING = np.zeros(1, np.int16)


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_row_a_clip(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffclip,a,b\nx.wav,1,2.5\nfolder/y.wav,-3,4e2\n\n")
    table = encoder(f"audio-table:{path}")
    assert table.shape == (2,) and table.identity.feature == "embedding:audio-table.mine"
    assert table.encode(NOTHING, "x").tolist() == [1.0, 2.5]
    assert table.encode(NOTHING, "y").tolist() == [-3.0, 400.0]
    with pytest.raises(UsageError, match="mine.csv has no row for the clip z"):
        table.encode(NOTHING, "z")


def test_frames_are_pooled(tmp_path: Path) -> None:
    table = Table("video-table.mine", str(written(tmp_path, "clip;a\nx;1\nx;3\ny;5\n")))
    assert table.shape == (2, 1)
    assert table.encode(NOTHING, "x").tolist() == [[2.0], [1.0]]
    assert table.encode(NOTHING, "y").tolist() == [[5.0], [0.0]]


def test_names_that_end_alike_are_clips_of_their_own(tmp_path: Path) -> None:
    table = Table("audio-table.mine", str(written(tmp_path, "clip,a\na.1,1\na.2,2\n")))
    assert table.shape == (1,)
    assert [table.encode(NOTHING, name).tolist() for name in ("a.1", "a.2")] == [[1.0], [2.0]]
    with pytest.raises(UsageError, match="no row for the clip a"):
        table.encode(NOTHING, "a")


def test_a_table_that_changed_is_read_again(tmp_path: Path) -> None:
    path = written(tmp_path, "clip,a\nx,1\n")
    before = encoder(f"audio-table:{path}").identity
    written(tmp_path, "clip,a\nx,22\n")
    assert encoder(f"audio-table:{path}").identity != before


def test_its_identity_changes_with_its_content(tmp_path: Path) -> None:
    one = Table("t", str(written(tmp_path, "clip,a\nx,1\n"))).identity
    other = Table("t", str(written(tmp_path, "clip,a\nx,2\n"))).identity
    assert one.weights_sha256 != other.weights_sha256


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,a\nx,1\n", "needs a column `clip` .* its columns are name, a"),
        ("clip\nx\n", "needs a column `clip` and one or more of numbers"),
        ("", "its columns are none"),
        ("clip,a\n", "has no rows"),
        ("clip,a\nx,1\ny,nan\n", "line 3: a cell is missing, or no finite number"),
        ("clip,a,b\nx,1\n", "line 2: a cell is missing"),
        ("clip,a\nx,high\n", "line 2: could not convert string to float: 'high'"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Table("t", str(written(tmp_path, text)))


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no.csv cannot be read as a table"):
        Table("t", str(tmp_path / "no.csv"))
