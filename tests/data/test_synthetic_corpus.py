"""The synthetic corpus: its ceilings, its layout, and that its faces and voices are real media."""

import csv
import hashlib
import json
import wave
from collections import Counter
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate, resample_poly

from avemotion.data.corpora.crema_d import CODE_BY_EMOTION, EMOTIONS, SENTENCES, VOTE_LETTERS
from avemotion.data.corpora.synthetic import TABLES, bayes_predictions, ceilings, synth
from avemotion.data.corpora.synthetic.corpus import plan_clips
from avemotion.data.corpora.synthetic.face import face_frames
from avemotion.data.corpora.synthetic.names import clips_of_each, names_of
from avemotion.data.corpora.synthetic.performance import cast_actor, media_paths
from avemotion.data.corpora.synthetic.phones import PHONES, SPOKEN
from avemotion.data.corpora.synthetic.records import VOTE_COLUMNS, draw_votes, winners
from avemotion.data.corpora.synthetic.tables import posterior
from avemotion.errors import UsageError
from avemotion.files import PARTIAL


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("synthetic") / "crema-d"
    written = synth(directory, actors=2, clips_per_actor=6, seed=3, workers=1)
    assert written.clips == 12
    assert written.tables == "complementary"
    return directory


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def digests(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


# --- tables and ceilings -------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_rows_of_the_tables_sum_to_one(name: str) -> None:
    for table in (TABLES[name].face, TABLES[name].voice):
        assert table.shape == (6, 6)
        assert (table >= 0).all()
        np.testing.assert_allclose(table.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "video", "audio", "both"),
    [("complementary", 0.65, 0.55, 0.85), ("human", 0.58, 0.41, 0.62)],
)
def test_ceilings_are_the_designed_ones(name: str, video: float, audio: float, both: float) -> None:
    best = ceilings(TABLES[name].face, TABLES[name].voice)
    assert best == pytest.approx({"video": video, "audio": audio, "av": both}, abs=0.006)


def test_ceilings_of_two_emotions_in_closed_form() -> None:
    # Right with probability p from the face and q from the voice: with p > q both together are no
    # better than the face alone, because two channels of unequal trust never outvote the better.
    p, q = 0.8, 0.7
    best = ceilings([[p, 1 - p], [1 - p, p]], [[q, 1 - q], [1 - q, q]])
    assert best == pytest.approx({"video": p, "audio": q, "av": p})


@pytest.mark.parametrize("name", TABLES)
def test_ceilings_are_what_the_bayes_rule_reaches(name: str) -> None:
    tables, rng, clips = TABLES[name], np.random.default_rng(0), 24_000
    intended = np.arange(clips) % 6

    def shown(table: np.ndarray) -> list[str]:
        draws = (rng.random((clips, 1)) > table.cumsum(axis=1)[intended]).sum(axis=1)
        return [EMOTIONS[index] for index in draws.clip(max=5)]

    face, voice = shown(tables.face), shown(tables.voice)
    truth = [EMOTIONS[index] for index in intended]
    answers = {
        "video": bayes_predictions(tables, face=face),
        "audio": bayes_predictions(tables, voice=voice),
        "av": bayes_predictions(tables, face, voice),
    }
    for modality, best in ceilings(tables.face, tables.voice).items():
        reached = np.mean([a == t for a, t in zip(answers[modality], truth, strict=True)])
        # 24,000 draws: three standard errors are about 0.01.
        assert reached == pytest.approx(best, abs=0.01)


@given(
    faces=st.lists(st.floats(0.01, 1), min_size=16, max_size=16),
    voices=st.lists(st.floats(0.01, 1), min_size=16, max_size=16),
)
@settings(max_examples=60, deadline=None)
def test_both_modalities_are_never_worse_than_one(faces: list[float], voices: list[float]) -> None:
    face, voice = (np.reshape(values, (4, 4)) for values in (faces, voices))
    best = ceilings(
        face / face.sum(axis=1, keepdims=True), voice / voice.sum(axis=1, keepdims=True)
    )
    assert best["av"] >= max(best["video"], best["audio"]) - 1e-12
    assert 0.25 - 1e-12 <= min(best.values()) <= best["av"] <= 1 + 1e-12


def test_bayes_predictions_need_matching_channels() -> None:
    tables = TABLES["human"]
    with pytest.raises(UsageError, match="both None"):
        bayes_predictions(tables)
    with pytest.raises(UsageError, match="2 clips and voice 1"):
        bayes_predictions(tables, face=["anger", "fear"], voice=["anger"])


# --- names and plan ------------------------------------------------------------------------------


def test_an_actor_has_82_names_at_most() -> None:
    assert sum(len(names_of(emotion)) for emotion in EMOTIONS) == 82
    assert clips_of_each(82, first=0)["neutral"] == 12
    assert sorted(clips_of_each(24, first=5).values()) == [4] * 6


@given(actors=st.integers(1, 20), clips=st.integers(6, 82))
@settings(max_examples=25, deadline=None)
def test_plan_has_distinct_names_and_equal_classes(actors: int, clips: int) -> None:
    plan = plan_clips(actors, clips, 0, TABLES["human"])
    assert len({clip.name for clip in plan}) == len(plan) == actors * clips
    counts = Counter(clip.intended for clip in plan)
    if clips <= 72:
        assert max(counts.values()) - min(counts.values()) <= 1


def test_every_sentence_can_be_spoken() -> None:
    assert set(SPOKEN) == set(SENTENCES)
    assert {name for sounds in SPOKEN.values() for name in sounds.split()} <= set(PHONES)


def test_a_clip_does_not_depend_on_how_many_actors_there_are() -> None:
    few, many = (plan_clips(actors, 24, 5, TABLES["human"]) for actors in (2, 4))
    assert few == many[: len(few)]


# --- layout --------------------------------------------------------------------------------------


def test_layout_and_names_are_those_of_crema_d(corpus: Path) -> None:
    names = [row["Filename"] for row in read_rows(corpus / "SentenceFilenames.csv")]
    assert len(names) == len(set(names)) == 12
    assert sorted(path.stem for path in (corpus / "VideoFlash").iterdir()) == sorted(names)
    assert sorted(path.stem for path in (corpus / "AudioWAV").iterdir()) == sorted(names)
    assert not list(corpus.rglob(PARTIAL))
    for name in names:
        actor, sentence, code, level = name.split("_")
        assert actor in {"1001", "1002"}
        assert sentence in SENTENCES
        assert code in CODE_BY_EMOTION.values()
        assert (level in {"LO", "MD", "HI"}) == (sentence == "IEO" and code != "NEU")
        assert level in {"LO", "MD", "HI", "XX"}
    people = read_rows(corpus / "VideoDemographics.csv")
    assert list(people[0]) == ["ActorID", "Age", "Sex", "Race", "Ethnicity"]
    assert [row["ActorID"] for row in people] == ["1001", "1002"]


def test_shown_and_settings_are_written(corpus: Path) -> None:
    metadata = json.loads((corpus / "synthetic.json").read_text(encoding="utf-8"))
    assert metadata["labels"] == list(EMOTIONS)
    assert (metadata["tables"], metadata["seed"], metadata["actors"]) == ("complementary", 3, 2)
    assert ceilings(metadata["face_table"], metadata["voice_table"]) == metadata["ceilings"]
    for row in read_rows(corpus / "shown.csv"):
        assert CODE_BY_EMOTION[row["intended"]] == row["clip"].split("_")[2]
        assert {row["face"], row["voice"]} <= set(EMOTIONS)


def test_votes_add_up(corpus: Path) -> None:
    path = corpus / "processedResults" / "tabulatedVotes.csv"
    assert path.read_text(encoding="utf-8").startswith('"","A","D","F","H","N","S","fileName"')
    rows = read_rows(path)
    assert tuple(rows[0]) == VOTE_COLUMNS
    assert [row[""][0] for row in rows] == ["1"] * 12 + ["2"] * 12 + ["3"] * 12
    for row in rows:
        votes = [int(row[letter]) for letter in VOTE_LETTERS]
        assert sum(votes) == int(row["numResponses"])
        assert float(row["agreement"]) == pytest.approx(max(votes) / sum(votes))
        assert row["emoVote"] == winners(votes)
    assert {int(row["numResponses"]) for row in rows} == set(range(8, 13))
    summary = read_rows(corpus / "processedResults" / "summaryTable.csv")
    assert [row["VoiceVote"] for row in summary] == [row["emoVote"] for row in rows[:12]]


def test_ties_are_named_together() -> None:
    assert winners([4, 4, 0, 1, 0, 1]) == "A:D"


def test_votes_follow_the_posterior() -> None:
    tables = TABLES["human"]
    plan = plan_clips(10, 82, 0, tables)
    chosen = [clip for clip in plan if clip.face == "sadness"]
    votes = np.sum([draw_votes(tables, clip)[1] for clip in chosen], axis=0)
    expected = posterior(tables, EMOTIONS.index("sadness"), None)
    np.testing.assert_allclose(votes / votes.sum(), expected, atol=0.05)


# --- media ---------------------------------------------------------------------------------------


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16000)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768


def test_flv_holds_the_video_and_the_speech_of_the_wav(corpus: Path) -> None:
    for flv in sorted((corpus / "VideoFlash").iterdir())[::4]:
        with av.open(str(flv)) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == (480, 360)
            assert float(stream.average_rate) == pytest.approx(29.97, abs=0.01)
            frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        with av.open(str(flv)) as container:
            sound = container.streams.audio[0]
            assert (sound.codec_context.name[:3], sound.rate, sound.channels) == ("mp3", 44100, 1)
            track = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        wav = read_wav(corpus / "AudioWAV" / f"{flv.stem}.wav")
        assert 1.75 <= len(frames) / 29.97 <= 2.7
        assert len(wav) / 16000 == pytest.approx(len(frames) / 29.97, abs=0.05)
        assert len({frame.tobytes() for frame in frames}) == len(frames)
        track = resample_poly(track, 160, 441)
        # MP3 shifts the sound by its filter's delay, so the best alignment is looked for.
        joint = correlate(track, wav, method="fft")
        assert joint.max() / np.sqrt((track**2).sum() * (wav**2).sum()) > 0.95
        assert abs(joint.argmax() - (len(wav) - 1)) < 0.08 * 16000


@pytest.mark.parametrize("number", [1001, 1002, 1007])
def test_the_cascade_finds_every_face(number: int) -> None:
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    actor = cast_actor(0, number)
    speech = np.abs(np.sin(np.arange(60) / 3))
    for index, emotion in enumerate(EMOTIONS):
        rng = np.random.default_rng([number, index])
        frames = list(face_frames(actor.look, emotion, speech, 29.97, 1.2, rng))
        shown = [frames[k][:360] for k in np.linspace(0, 59, 20).astype(int)]
        found = sum(len(cascade.detectMultiScale(grey, 1.1, 5)) > 0 for grey in shown)
        assert found >= 19, f"{emotion} of actor {number}: {found} of 20"


def test_expressions_move_the_face_away_from_neutral() -> None:
    actor = cast_actor(0, 1001)
    silence = np.zeros(45)

    def film(emotion: str) -> np.ndarray:
        rng = np.random.default_rng(1)
        return np.stack(list(face_frames(actor.look, emotion, silence, 29.97, 1.0, rng)))[:, :360]

    neutral = film("neutral").astype(float)
    for emotion in set(EMOTIONS) - {"neutral"}:
        difference = np.abs(film(emotion) - neutral).mean(axis=(1, 2))
        # Same head, light and sway: what differs is the expression, which comes and goes.
        assert difference.max() > 4 * difference.min() + 0.05


# --- determinism, going on, refusals -------------------------------------------------------------


def test_same_bytes_however_many_workers_and_after_an_interruption(
    corpus: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    synth(again, actors=2, clips_per_actor=6, seed=3, workers=2)
    assert digests(again) == digests(corpus)
    name = read_rows(again / "SentenceFilenames.csv")[4]["Filename"]
    flv, wav = media_paths(again, name)
    flv.unlink()
    kept = next(path for path in (again / "AudioWAV").iterdir() if path != wav)
    before = kept.stat().st_mtime_ns
    synth(again, actors=2, clips_per_actor=6, seed=3, workers=1)
    assert digests(again) == digests(corpus)
    assert kept.stat().st_mtime_ns == before


def test_a_corpus_with_other_settings_is_refused(corpus: Path) -> None:
    with pytest.raises(UsageError, match="seed there 3, asked for 4"):
        synth(corpus, actors=2, clips_per_actor=6, seed=4, workers=1)
    with pytest.raises(UsageError, match="tables there 'complementary', asked for 'human'"):
        synth(corpus, actors=2, clips_per_actor=6, seed=3, tables="human", workers=1)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="not empty"):
        synth(tmp_path, workers=1)
    with pytest.raises(UsageError, match="is a file"):
        synth(tmp_path / "thesis.txt", workers=1)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "synthetic.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match="synthetic.json is damaged"):
        synth(broken, workers=1)
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"actors": 0}, "--actors is 0, but must be a whole number from 1 to 91"),
        ({"actors": 92}, "actors is 92"),
        ({"actors": True}, "actors is True"),
        ({"clips_per_actor": 5}, "--clips_per_actor is 5, but must be a whole number from 6 to 82"),
        ({"clips_per_actor": 83}, "clips_per_actor is 83"),
        ({"seed": -1}, "--seed is -1, but must be a whole number of 0 or more"),
        ({"workers": 0}, "workers is 0"),
        ({"tables": "perfect"}, "--tables is 'perfect', but must be complementary or human"),
    ],
)
def test_arguments_out_of_range_are_refused(
    tmp_path: Path, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        synth(tmp_path / "new", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()
