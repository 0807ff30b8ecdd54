"""FER2013 in both layouts, with the votes of FER+: drawn pictures, and the real names and votes."""

import csv
import io
import json
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

import avemotion
from avemotion.cli import main
from avemotion.data.corpora import fer2013
from avemotion.data.store import FeatureStore
from avemotion.data.types import Clip, Rating
from avemotion.errors import UsageError
from avemotion.evaluation.metrics.human_baseline import human_scores
from avemotion.evaluation.targets import choose_targets

ANSWERS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
           "unknown", "NF")  # fmt: skip
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (14, 48, 48), np.uint8)
USAGES = ["Training"] * 8 + ["PublicTest"] * 3 + ["PrivateTest"] * 3
# By hand: the numbers of the published table.
NUMBERS = {0: "anger", 1: "disgust", 2: "fear", 3: "happiness", 4: "sadness", 5: "surprise",
           6: "neutral"}  # fmt: skip


def write_table(folder: Path, rows: list[list[object]] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if rows is None:
        rows = [
            [n % 7, " ".join(map(str, image.ravel().tolist())), usage]
            for n, (image, usage) in enumerate(zip(PIXELS, USAGES, strict=True))
        ]
    with (folder / "fer2013.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["emotion", "pixels", "Usage"], *rows])
    return folder


def write_folders(folder: Path) -> Path:
    names = {emotion: name for name, emotion in fer2013.FOLDERS.items()}
    for n, (image, usage) in enumerate(zip(PIXELS, USAGES, strict=True)):
        part = "train" if usage == "Training" else "test"
        where = folder / part / names[NUMBERS[n % 7]]
        where.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(where / f"{usage}_{n}.png"), image)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folders(tmp_path_factory.mktemp("fer") / "folders")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("fer") / "table")


def stored(directory: Path, out: Path) -> FeatureStore:
    report = avemotion.preprocess(directory, corpus="fer2013", out=out, progress=False)
    assert report.counts == {"video": 14}, report.failed
    return FeatureStore(out)


def test_both_layouts_give_the_same_pictures_pixel_by_pixel(
    folders: Path, table: Path, tmp_path: Path
) -> None:
    from_folders, from_table = stored(folders, tmp_path / "a"), stored(table, tmp_path / "b")
    assert from_folders.labels == from_table.labels == tuple(sorted(NUMBERS.values()))
    numbers = {row.clip: int(Path(row.clip).stem.split("_")[1]) for row in from_folders.rows}
    for row in from_folders.rows:
        n = numbers[row.clip]
        np.testing.assert_array_equal(from_folders.read(row, "image")[0], PIXELS[n])
        twin = from_table.rows[n]
        assert twin.clip == f"fer{n:07d}"
        np.testing.assert_array_equal(from_table.read(twin, "image")[0], PIXELS[n])
        assert (row.emotion, row.part) == (twin.emotion, twin.part)
        assert row.emotion == NUMBERS[n % 7]
    parts = Counter(row.part for row in from_table.rows)
    assert parts == {"train": 8, "validation": 3, "test": 3}


def test_the_command_line_takes_the_corpus_own_defaults(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["preprocess", str(table), "--corpus", "fer2013", "--out", str(tmp_path / "s")]
    assert main([*words, "--crop_rows", "24"]) == 0
    settings = FeatureStore(tmp_path / "s").settings
    assert (settings.features, settings.face) == (("image",), "whole")
    assert settings.crop_size == (24, 48)
    assert "audio track" not in capsys.readouterr().out  # which no picture has


def test_equalised_pictures_are_those_of_opencv(table: Path, tmp_path: Path) -> None:
    words = ["preprocess", str(table), "--corpus=fer2013", f"--out={tmp_path}/s", "--equalise=true"]
    assert main(words) == 0
    store = FeatureStore(tmp_path / "s")
    for row, image in zip(store.rows, PIXELS, strict=True):
        np.testing.assert_array_equal(store.read(row, "image")[0], cv2.equalizeHist(image))


def vote_row(**votes: int) -> list[object]:
    return [votes.get(answer, 0) for answer in ANSWERS]


def test_votes_are_read_from_either_table(folders: Path, table: Path, tmp_path: Path) -> None:
    counts = [vote_row(anger=6, sadness=2, contempt=1, NF=1), [""] * 10, vote_row(happiness=10)]
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    write_folders(ours)
    names = [
        "train/angry/Training_0.png",
        "train/disgust/Training_1.png",
        "train/fear/Training_2.png",
    ]
    with (ours / "fer2013_votes.csv").open("w", newline="") as file:
        rows = [[name, "Training", *votes] for name, votes in zip(names, counts, strict=True)]
        csv.writer(file).writerows([["jpg", "usage", *ANSWERS], *rows])
    write_table(theirs)
    with (theirs / "fer2013new.csv").open("w", newline="") as file:
        rows = [["Training", f"fer{n:07d}.png", *votes] for n, votes in enumerate(counts)]
        csv.writer(file).writerows([["Usage", "Image name", *ANSWERS], *rows])
    # anger, disgust, fear, happiness, neutral, sadness, surprise
    expected = [((6, 0, 0, 0, 0, 2, 0), 2), ((0, 0, 0, 10, 0, 0, 0), 0)]
    for folder, (first, _, third) in ((ours, names), (theirs, ["fer0000000", "", "fer0000002"])):
        found = fer2013.read_corpus(folder).ratings
        assert [(r.votes, r.other_votes) for r in found] == expected
        assert [r.clip for r in found] == [first, third]
        store = FeatureStore(avemotion.preprocess(
            folder, corpus="fer2013", out=tmp_path / f"{folder.name}-store", progress=False
        ).store)  # fmt: skip
        assert store.ratings() == list(found)


def test_votes_of_other_pictures_are_refused(folders: Path, tmp_path: Path) -> None:
    wrong = write_table(tmp_path / "table")
    with (wrong / "fer2013new.csv").open("w", newline="") as file:
        rows = [["Training", f"fer{n + 1:07d}.png", *vote_row(anger=10)] for n in range(2)]
        csv.writer(file).writerows([["Usage", "Image name", *ANSWERS], *rows])
    with pytest.raises(UsageError, match="row 1 .* is of fer0000001.png, but must be of fer00000"):
        fer2013.read_corpus(wrong)
    named = write_folders(tmp_path / "folders")
    with (named / "fer2013new.csv").open("w", newline="") as file:
        rows = [["Training", "fer0000000.png", *vote_row(anger=10)]]
        csv.writer(file).writerows([["Usage", "Image name", *ANSWERS], *rows])
    with pytest.raises(UsageError, match="are of other pictures: the first is of fer0000000"):
        fer2013.read_corpus(named)


def test_answers_that_name_no_label_count_as_wrong_answers() -> None:
    clips = {"a": Clip("a", "unknown", "", "anger", "", None, None)}
    ratings = [Rating("a", "video", (5, 1, 0), other_votes=4)]
    found = human_scores(ratings, clips, ("anger", "disgust", "fear"))["video"]
    assert (found.responses, found.single_response, found.majority) == (10, 0.5, 1.0)


def test_a_majority_is_more_than_half_of_all_votes(table: Path, tmp_path: Path) -> None:
    folder = write_table(tmp_path / "fer")
    counts = [
        vote_row(anger=5, sadness=5),  # a tie
        vote_row(anger=5, sadness=3, unknown=2),  # most, but half
        vote_row(anger=6, sadness=2, NF=2),  # more than half
        vote_row(NF=10),
    ]
    with (folder / "fer2013new.csv").open("w", newline="") as file:
        rows = [["Training", f"fer{n:07d}.png", *votes] for n, votes in enumerate(counts)]
        csv.writer(file).writerows([["Usage", "Image name", *ANSWERS], *rows])
    store = stored(folder, tmp_path / "store")
    rows = store.rows[:4]
    crowd, notes = choose_targets(store, rows, "crowd")
    assert (
        crowd == {"fer0000001": "anger", "fer0000002": "anger"} and "single winner: 2" in notes[0]
    )
    majority, notes = choose_targets(store, rows, "majority")
    assert majority == {"fer0000002": "anger"} and "more than half: 3" in notes[0]


def test_other_parts_come_from_a_table(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, 48 * 48).tolist()
    rows = [[n % 7, " ".join(map(str, pixels)), "Training"] for n in range(70)]
    folder = write_table(tmp_path / "fer", rows)
    script = Path(__file__).parents[2] / "data_prep" / "fer2013.py"
    words = [sys.executable, str(script), str(folder), "--test", "0.2", "--validation", "0.25"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert "train 42, validation 14, test 14" in done.stdout, done.stderr
    corpus = fer2013.read_corpus(folder)
    by_part = Counter((clip.part, clip.emotion) for clip in corpus.clips)
    assert set(by_part.values()) == {6, 2}  # each emotion alike
    assert corpus.notes == ("The parts are those of parts.csv, not the official ones.",)
    (folder / "parts.csv").write_text("file,part\nfer0000000,train\n")
    with pytest.raises(UsageError, match="lacks 69 pictures, the first is fer0000001"):
        fer2013.read_corpus(folder)
    (folder / "parts.csv").write_text("file,part\nfer0000000,exam\n")
    with pytest.raises(UsageError, match="'exam', but must be train, validation, test"):
        fer2013.read_corpus(folder)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([3, "1 2 3", "Training"], "3 pixels, but there must be 2304 from 0 to 255"),
        ([3, " ".join(["256"] * 2304), "Training"], "2304 pixels, but there must be 2304 from 0"),
        ([3, " ".join(["x"] * 2304), "Training"], "row 2 of .*fer2013.csv is wrong"),
        ([3, " ".join(["9" * 20] * 2304), "Training"], "row 2 of .*fer2013.csv is wrong"),
        ([9, " ".join(["0"] * 2304), "Training"], "the emotion is '9', but must be from 0 to 6"),
        ([3, " ".join(["0"] * 2304), "Exam"], "the usage is 'Exam', but must be Training, Public"),
        ([3, " ".join(["0"] * 2304)], "does not have one value for each column"),
    ],
)
def test_a_wrong_row_is_named(row: list[object], message: str, tmp_path: Path) -> None:
    right = [0, " ".join(["7"] * 2304), "Training"]
    with pytest.raises(UsageError, match=message):
        fer2013.read_corpus(write_table(tmp_path, [right, row]))


def test_what_is_no_fer2013_is_refused(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        fer2013.read_corpus(tmp_path / "nothing")
    with pytest.raises(UsageError, match="neither fer2013.csv nor a folder train/"):
        fer2013.read_corpus(tmp_path)
    one = tmp_path / "one"
    (one / "train" / "happy").mkdir(parents=True)
    (one / "train" / "happy" / "Training_1.png").write_bytes(b"x")
    with pytest.raises(UsageError, match="only happiness of the seven emotions"):
        fer2013.read_corpus(one)


def test_verify_counts_duplicates_and_names_what_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folders(tmp_path / "fer")
    first = (folder / "train" / "angry" / "Training_0.png").read_bytes()
    (folder / "train" / "angry" / "Training_20.png").write_bytes(first)
    (folder / "test" / "sad").mkdir(exist_ok=True)
    (folder / "test" / "sad" / "PrivateTest_21.png").write_bytes(first)
    (folder / "train" / "fear" / "Training_22.png").write_bytes(b"")
    (folder / "train" / "fear" / "Training_23.jpg").write_text("no picture")
    (folder / "train" / "fear" / "notes.txt").write_text("x")
    (folder / "train" / "bored").mkdir()
    with (folder / "fer2013_votes.csv").open("w", newline="") as file:
        rows = [["train/happy/Training_3.png", "Training", *vote_row(NF=6, anger=4)]]
        csv.writer(file).writerows([["jpg", "usage", *ANSWERS], *rows])
    found = avemotion.verify(folder, corpus="fer2013", decode=True, progress=False)
    assert (found.duplicates, found.duplicates_between_parts, found.contradictions) == (2, 1, 1)
    assert not found.ok and found.rated == 1
    broken = [entry.split(":")[0] for entry in found.unreadable]
    assert broken == ["train/fear/Training_22.png", "train/fear/Training_23.jpg"]
    assert found.unrecognised_files == ("train/bored", "train/fear/notes.txt")
    assert found.non_faces == ("train/happy/Training_3.png",)
    assert main(["verify", str(folder), "--corpus", "fer2013", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["duplicates"] == 2
    assert main(["verify", str(folder), "--corpus", "fer2013"]) == 1
    assert "2 pictures are duplicates: 1 of them in two parts" in capsys.readouterr().out


@pytest.fixture(scope="module")
def real(test_data: Path) -> Path:
    if not (path := test_data / "fer2013" / "fer2013.zip").is_file():
        pytest.skip("AVEMOTION_TEST_DATA has no fer2013/fer2013.zip")
    return path


def test_the_real_names_and_votes_give_the_published_counts(
    real: Path, test_data: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(real) as archive:
        for name in archive.namelist():
            if name.endswith(".jpg"):
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name).touch()  # no picture is opened
    votes = (test_data / "ferplus" / "fer2013_votes.csv").read_text()
    (tmp_path / "fer2013_votes.csv").write_text(votes)
    corpus = fer2013.read_corpus(tmp_path)
    assert Counter(clip.part for clip in corpus.clips) == {
        "train": 28_709, "validation": 3_589, "test": 3_589,
    }  # fmt: skip
    counts = Counter(clip.emotion for clip in corpus.clips)
    assert counts == {
        "happiness": 8989, "neutral": 6198, "sadness": 6077, "fear": 5121, "anger": 4953,
        "surprise": 4002, "disgust": 547,
    }  # fmt: skip
    rows = [row for row in csv.DictReader(io.StringIO(votes)) if row["neutral"]]
    assert len(corpus.ratings) == len(rows)
    assert all(sum(r.votes) + r.other_votes == 10 for r in corpus.ratings[:1000])


def test_real_pictures_are_stored_as_opencv_decodes_them(real: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(real) as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")][::1500]
        archive.extractall(tmp_path / "fer", names)
    report = avemotion.preprocess(
        tmp_path / "fer", corpus="fer2013", out=tmp_path / "store", progress=False
    )
    store = FeatureStore(report.store)
    for row in store.rows:
        theirs = cv2.imread(str(tmp_path / "fer" / row.clip), cv2.IMREAD_GRAYSCALE).astype(int)
        assert np.abs(theirs - store.read(row, "image")[0]).max() <= 2  # two JPEG decoders
