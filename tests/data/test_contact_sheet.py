"""The contact sheet of a store: which clips it shows, where, and that these are its pixels."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_maker import make_clip, make_wav, noise_frames, sine, speech_like

from avemotion.config import PreprocessSettings
from avemotion.data.checksums import write_checksums
from avemotion.data.contact_sheet import FRAMES, badness, caption, draw_preview, heading, lay_out
from avemotion.data.preprocessing import preprocess
from avemotion.data.store import COLUMNS, FeatureStore, ManifestRow
from avemotion.errors import UsageError
from avemotion.features.spectrogram import mel_edges

GOOD = ManifestRow(
    clip="1001_DFA_ANG_XX", actor="1001", sentence="DFA", emotion="anger", level="XX", part="",
    shard="1001", status="av", reason="", frames_decoded=70, faces_found=20, searched_frames=5,
    searched_frames_with_face=5, face_box="1 2 80 98",
    video_file="VideoFlash/1001_DFA_ANG_XX.flv", video_bytes=9,
    audio_file="AudioWAV/1001_DFA_ANG_XX.wav", audio_bytes=9,
)  # fmt: skip


def test_clips_with_few_faces_come_first():
    rows = {
        "no face in its video": replace(GOOD, clip="f", status="audio", faces_found=0),
        "few faces": replace(GOOD, clip="e", faces_found=9),
        "more": replace(GOOD, clip="d", faces_found=17, searched_frames_with_face=2),
        "a thin ground for the box": replace(GOOD, clip="c", searched_frames_with_face=3),
        "good": replace(GOOD, clip="a"),
        "good, and drawn from landmarks": replace(
            GOOD, clip="b", searched_frames=0, searched_frames_with_face=0
        ),
        "never had a video": replace(GOOD, clip="0", status="audio", video_file="", faces_found=0),
    }
    assert sorted(rows, key=lambda name: badness(rows[name])) == list(rows)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20)), max_size=120),
    st.integers(1, 100),
)
def test_the_worst_clips_of_each_actor_are_shown(found: list[tuple[int, int]], limit: int):
    rows = [
        replace(GOOD, clip=f"{i}", actor=f"{actor}", faces_found=n, status="av" if n else "failed")
        for i, (actor, n) in enumerate(found)
    ]
    layout = lay_out(rows, limit)
    shown = [row for strips in layout.rows for row in strips]
    usable = [row for row in rows if row.status == "av"]
    actors = {row.actor for row in usable}
    assert len(shown) <= max(limit, len(shown[:1])) and layout.columns <= 3
    assert len({row.actor for row in shown}) == layout.actors == min(len(actors), limit)
    if usable:
        assert shown[0] == min(usable, key=badness)
    for actor in {row.actor for row in shown}:
        mine = [row for row in shown if row.actor == actor]
        assert mine == sorted((r for r in usable if r.actor == actor), key=badness)[: layout.each]
    firsts = [badness(row) for i, row in enumerate(shown) if row.actor != shown[i - 1].actor]
    assert firsts == sorted(firsts)
    if layout.each > 1:  # an actor has a row of strips
        assert all(len({row.actor for row in strips}) == 1 for strips in layout.rows)


@pytest.mark.parametrize(
    ("changes", "found", "warns"),
    [
        ({}, "found 20/20", False),
        ({"faces_found": 17}, "found 17/20", True),
        ({"searched_frames_with_face": 4}, "found 20/20, in 4/5 searched", False),
        (
            {"searched_frames": 20, "searched_frames_with_face": 8},
            "found 20/20, in 8/20 searched",
            True,
        ),
        ({"searched_frames": 0, "searched_frames_with_face": 0}, "found 20/20", False),
        ({"status": "audio", "faces_found": 0}, "found 0/20", True),
        ({"status": "audio", "video_file": ""}, "no video", False),
    ],
)
def test_captions(changes: dict, found: str, warns: bool):
    assert caption(replace(GOOD, **changes)) == ("1001   1001_DFA_ANG_XX   anger", found, warns)


@pytest.fixture(scope="module")
def corpus(crema_d: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real clips dealt to three actors, a voice alone, a video without a face, a broken one."""
    folder = tmp_path_factory.mktemp("preview") / "corpus"
    for name in ("VideoFlash", "AudioWAV"):
        (folder / name).mkdir(parents=True)
    for number, video in enumerate(sorted((crema_d / "VideoFlash").glob("*.flv"))[:6]):
        name = f"{1001 + number // 2}{video.stem[4:]}.flv"
        shutil.copyfile(video, folder / "VideoFlash" / name)
    make_wav(folder / "AudioWAV" / "1004_DFA_ANG_XX.wav", speech_like(1))
    noise = sine(300, 1, 44_100)
    make_clip(folder / "VideoFlash" / "1005_DFA_ANG_XX.flv", noise_frames(25), sound=noise)
    (folder / "VideoFlash" / "1005_DFA_DIS_XX.flv").write_text("no video at all")
    return folder


@pytest.fixture(scope="module")
def drawn(corpus: Path) -> tuple[Path, np.ndarray]:
    """Its store, with few faces noted for the last good clip, and the sheet."""
    out, image = corpus.parent / "features", corpus.parent / "sheets" / "preview.png"
    settings = PreprocessSettings(views=1)
    preprocess(corpus, out=out, settings=settings, preview=image, workers=1, progress=False)
    assert image.read_bytes().startswith(b"\x89PNG")
    rows = FeatureStore(out).rows
    few = max(row.clip for row in rows if row.status == "av")
    rows = [replace(row, faces_found=7) if row.clip == few else row for row in rows]
    with (out / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *([getattr(r, c) for c in COLUMNS] for r in rows)])
    write_checksums(out)
    draw_preview(FeatureStore(out), image)
    assert [path.name for path in image.parent.iterdir()] == ["preview.png"]
    return out, cv2.imread(str(image))


def position(sheet: np.ndarray, image: np.ndarray) -> tuple[int, int]:
    """Return the row and column at which these very pixels begin."""
    difference = cv2.matchTemplate(sheet, image, cv2.TM_SQDIFF)
    y, x = np.unravel_index(difference.argmin(), difference.shape)
    assert (sheet[y : y + len(image), x : x + image.shape[1]] == image).all()
    return int(y), int(x)


def test_the_sheet_shows_the_pixels_of_the_store_in_order(drawn: tuple[Path, np.ndarray]):
    store, sheet = FeatureStore(drawn[0]), drawn[1][:, :, 0]
    layout = lay_out(store.rows)
    assert [len(strips) for strips in layout.rows] == [1, 2, 2, 2, 1]
    worst = layout.rows[1][0]
    assert layout.rows[0][0].clip == "1005_DFA_ANG_XX" and worst.faces_found == 7
    corners = {}
    for r, strips in enumerate(layout.rows):
        for c, row in enumerate(strips):
            if row.status == "av":
                faces = store.read(row, "faces")[0, list(FRAMES)]
                found = [position(sheet, face) for face in faces]
                assert len({y for y, _ in found}) == 1 and sorted(found) == found
                corners[r, c] = found[0]
    assert min(corners.values()) == corners[1, 0]  # the clip with the fewest faces is on top
    assert sorted(corners.values()) == [corners[key] for key in sorted(corners)]
    step = corners[2, 0][0] - corners[1, 0][0]
    assert corners[3, 0][0] - corners[2, 0][0] == step
    red = np.where((drawn[1][:, :, 2] > 130) & (drawn[1][:, :, 0] < 60))  # no spectrogram has it
    y = corners[1, 0][0]
    warned = set((red[0] - y) // step)  # captions stand above their strips
    assert warned <= {-2, -1}, "only the two clips with missing faces are marked"
    assert len(warned) == 2


def test_spectrograms_stand_beside_faces_low_frequencies_below(drawn: tuple[Path, np.ndarray]):
    store, sheet = FeatureStore(drawn[0]), drawn[1].astype(float)
    # The axis shows 0 to 1 kHz as high as two of the octaves above it.
    octaves = 5 * (np.arange(98)[::-1] + 0.5) / 98
    hertz = np.where(octaves < 2, 500 * octaves, 1_000 * 2 ** (octaves - 2))
    bands = np.abs(mel_edges()[1:-1] - hertz[:, None]).argmin(axis=1)
    for row in store.usable("av"):
        y, x = position(drawn[1][:, :, 0], store.read(row, "faces")[0, FRAMES[-1]])
        pixels = sheet[y : y + 98, x + 116 : x + 116 + 150]
        length = int(store.read(row, "log_mel_lengths"))
        columns = np.minimum(np.arange(150) * length // 150, length - 1)
        wanted = store.read(row, "log_mel")[bands][:, columns].astype(float).clip(30, 105)
        green_and_red = pixels[..., 1] + pixels[..., 2]
        assert np.corrcoef(green_and_red.ravel(), wanted.ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    ("names", "words"),
    [(("image",), "and the sound."), (("power", "log_mel"), "and the log-mel."),
     (("faces", "power"), "and the power."), (("stills", "mel"), "and the mel."),
     (("faces", "stills"), "and the sound.")],
)  # fmt: skip
def test_a_store_of_other_features_is_drawn_too(
    small_corpus: Path, tmp_path: Path, names: tuple[str, ...], words: str
):
    for folder in ("VideoFlash", "AudioWAV"):
        (tmp_path / "corpus" / folder).mkdir(parents=True)
        for file in (small_corpus / folder).glob("1001_*"):
            (tmp_path / "corpus" / folder / file.name).symlink_to(file)
    out, image = tmp_path / "out", tmp_path / "sheet.png"
    settings = PreprocessSettings(views=1, features=names)
    preprocess(tmp_path / "corpus", out=out, settings=settings, preview=image, progress=False)
    store = FeatureStore(out)
    assert store.settings.features == names
    assert heading(store, lay_out(store.rows))[-1].endswith(words)
    sheet = cv2.imread(str(image))[:, :, 0]
    faces = [store.read(row, names[0])[0] for row in store.usable("av")]
    for face in faces[: lay_out(store.rows).each]:
        if names == ("image",):
            position(sheet, face)
        if names == ("faces", "stills"):
            position(sheet, face[FRAMES[0]])


def test_the_heading_counts_and_names_what_failed(drawn: tuple[Path, np.ndarray]):
    store = FeatureStore(drawn[0])
    title, counts, failed, shown = heading(store, lay_out(store.rows))
    assert title == "crema_d: 9 clips of 5 actors"
    assert counts == "6 with face and voice, 2 with a voice alone, 1 failed"
    assert failed == "Failed: 1005_DFA_DIS_XX; see manifest.csv for the reasons."
    assert shown.startswith("Of each actor, up to 3 clips with the fewest faces found")
    assert heading(store, lay_out(store.rows, 2))[3].startswith("Of each of 2 actors, the clip")


def test_preprocess_draws_it_also_when_nothing_was_left_to_do(tmp_path: Path):
    corpus, out, image = tmp_path / "corpus", tmp_path / "out", tmp_path / "out" / "sheet.PNG"
    (corpus / "AudioWAV").mkdir(parents=True)
    for name in ("1001_DFA_ANG_XX", "1002_DFA_ANG_XX"):
        make_wav(corpus / "AudioWAV" / f"{name}.wav", speech_like(1))

    def run(preview: Path) -> int:
        return preprocess(corpus, out=out, preview=preview, workers=1, progress=False).processed

    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    for wrong in ("sheet.jpg", "sheet", "folder.png", "file/sheet.png"):
        with pytest.raises(UsageError, match="--preview is .*(must end in|no file can)"):
            run(tmp_path / wrong)
    assert not out.exists()
    assert run(image) == 2
    before = image.read_bytes()
    image.unlink()
    assert run(image) == 0 and image.read_bytes() == before
