"""CK+'s layout, on a small stand-in that follows its names."""

from pathlib import Path

import numpy as np
import pytest
from skimage.io import imsave

import avemotion
from avemotion.data.corpora import ck_plus
from avemotion.data.corpora.ck_plus import EMOTIONS, read_corpus
from avemotion.data.corpora.ck_plus_units import UNITS
from avemotion.data.corpora.ck_plus_units import read_corpus as read_units
from avemotion.data.store import FeatureStore
from avemotion.errors import UsageError

SEQUENCES = {
    # person, sequence: frames, number of the emotion, lines of FACS
    ("S005", "001"): (5, 3, ["9.0000000e+00   2.0000000e+00", "1.7000000e+01   0.0"]),
    ("S005", "002"): (4, 5, ["   1.2000000e+01   4.0000000e+00"]),
    ("S010", "001"): (6, 2, ["14 3"]),  # contempt
    ("S011", "003"): (5, None, ["1 2"]),
    ("S011", "004"): (7, 7, None),
    ("S999", "001"): (3, 7, ["26 1"]),  # too short to have a neutral frame
}


@pytest.fixture()
def directory(tmp_path: Path) -> Path:
    for (person, number), (frames, emotion, facs) in SEQUENCES.items():
        part = Path(person) / number
        for folder in ("cohn-kanade-images", "Emotion", "FACS"):
            (tmp_path / folder / part).mkdir(parents=True)
        for frame in range(1, frames + 1):
            picture = np.full((49, 64), 20 * frame, np.uint8)
            name = f"{person}_{number}_{frame:08d}"
            imsave(tmp_path / "cohn-kanade-images" / part / f"{name}.png", picture)
        if emotion is not None:
            (tmp_path / "Emotion" / part / f"{name}_emotion.txt").write_text(
                f"   {emotion}.0e+00\n"
            )
        if facs is not None:
            (tmp_path / "FACS" / part / f"{name}_facs.txt").write_text("\n".join(facs) + "\n")
    (tmp_path / "cohn-kanade-images" / "S005" / "001" / ".DS_Store").write_bytes(b"\0")
    return tmp_path


def shown(corpus) -> list[tuple[str, str, str]]:
    return [(clip.video.stem, clip.actor, clip.emotion) for clip in corpus.clips]


def test_the_first_frame_is_neutral_and_the_last_three_are_the_apex(directory: Path) -> None:
    corpus = read_corpus(directory)
    assert corpus.labels == EMOTIONS and len(EMOTIONS) == 8
    assert shown(corpus) == [
        ("S005_001_00000001", "S005", "neutral"),
        ("S005_001_00000003", "S005", "disgust"),
        ("S005_001_00000004", "S005", "disgust"),
        ("S005_001_00000005", "S005", "disgust"),
        ("S005_002_00000001", "S005", "neutral"),
        *((f"S005_002_0000000{n}", "S005", "happiness") for n in (2, 3, 4)),
        ("S010_001_00000001", "S010", "neutral"),
        *((f"S010_001_0000000{n}", "S010", "contempt") for n in (4, 5, 6)),
        ("S011_004_00000001", "S011", "neutral"),
        *((f"S011_004_0000000{n}", "S011", "surprise") for n in (5, 6, 7)),
    ]
    note = "Sequences without an emotion, or of 3 pictures or fewer, left out: 2."
    assert corpus.notes == (note,)


def test_units_are_present_at_the_apex_alone(directory: Path) -> None:
    corpus = read_units(directory)
    assert len(corpus.units) == 15 and len(corpus.labels) == 7 and "contempt" not in corpus.labels
    assert {clip.actor for clip in corpus.clips} == {"S005"}, "the others lack emotion or units"
    found = {
        clip.video.stem: [
            unit for unit, has in zip(UNITS, corpus.units_of[clip.name], strict=True) if has
        ]
        for clip in corpus.clips
    }
    assert found["S005_001_00000001"] == found["S005_002_00000001"] == []
    assert found["S005_001_00000003"] == found["S005_001_00000005"] == [9, 17]
    assert found["S005_002_00000004"] == [12]


def test_people_are_kept_apart_by_preprocessing(directory: Path, tmp_path: Path) -> None:
    settings = ck_plus.SETTINGS.__class__(views=1, features=("image",), face="whole")
    avemotion.preprocess(
        directory, corpus="ck_plus_units", out=tmp_path / "f", settings=settings, progress=False
    )
    store = FeatureStore(tmp_path / "f")
    assert {row.actor for row in store.rows} == {"S005"}
    assert store.task.units[0] == "AU1" and set(store.units()) == {row.clip for row in store.rows}
    assert sum(map(sum, store.units().values())) == 3 * 2 + 3 * 1


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("Emotion/S005/001/S005_001_00000005_emotion.txt", "9", "must hold a number from 0 to 7"),
        ("Emotion/S005/001/S005_001_00000005_emotion.txt", "1.5", "'1.5', but must hold a number"),
        ("Emotion/S005/001/S005_001_00000005_emotion.txt", "inf", "must hold a number from 0 to 7"),
        ("FACS/S005/001/S005_001_00000005_facs.txt", "1e999 2", "is damaged.*an action unit"),
        ("Emotion/S005/001/S005_001_00000005_emotion.txt", "", "must hold a number from 0 to 7"),
        ("FACS/S005/001/S005_001_00000005_facs.txt", "AU9 2", "is damaged.*an action unit"),
    ],
)
def test_damaged_labels(directory: Path, file: str, content: str, message: str) -> None:
    (directory / file).write_text(content)
    with pytest.raises(UsageError, match=message):
        read_units(directory)


def test_what_is_missing_is_said(directory: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no folder cohn-kanade-images"):
        read_corpus(tmp_path / "FACS")
    for path in (directory / "Emotion").rglob("*.txt"):
        path.unlink()
    with pytest.raises(UsageError, match="has no sequence with an emotion"):
        read_corpus(directory)
