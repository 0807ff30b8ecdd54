"""CREMA-D: its names, its folders and its tables."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_maker import make_wav, speech_like

from avemotion.data.corpora.crema_d import (
    CLIPS,
    CLIPS_BY_EMOTION,
    CODE_BY_EMOTION,
    EMOTION_BY_CODE,
    EMOTIONS,
    SENTENCES,
    VOTE_LETTERS,
    parse_name,
    read_corpus,
    read_demographics,
    read_names,
    read_ratings,
)
from avemotion.errors import UsageError

actors = st.integers(1000, 1999).map(str)
sentences = st.sampled_from(sorted(SENTENCES))
codes = st.sampled_from(sorted(EMOTION_BY_CODE))
levels = st.sampled_from(["LO", "MD", "HI", "XX"])


def test_tables_agree():
    assert EMOTIONS == ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
    assert VOTE_LETTERS == ("A", "D", "F", "H", "N", "S")
    assert all(CODE_BY_EMOTION[EMOTION_BY_CODE[code]] == code for code in EMOTION_BY_CODE)
    assert CLIPS == 7442 and CLIPS_BY_EMOTION["neutral"] == 1087
    assert len(SENTENCES) == 12


@given(actors, sentences, codes, levels)
def test_well_formed_names_come_apart(actor, sentence, code, level):
    parts = parse_name(f"{actor}_{sentence}_{code}_{level}")
    assert parts == (actor, sentence, EMOTION_BY_CODE[code], level)


@given(actors, sentences, codes)
def test_one_x_means_two(actor, sentence, code):
    assert parse_name(f"{actor}_{sentence}_{code}_X") == parse_name(f"{actor}_{sentence}_{code}_XX")


@given(actors, sentences, codes, levels, st.integers(0, 14), st.characters(codec="utf-8"))
def test_a_changed_character_is_no_other_clip(actor, sentence, code, level, index, other):
    name = f"{actor}_{sentence}_{code}_{level}"
    changed = name[:index] + other + name[index + 1 :]
    parts = parse_name(changed)
    # Either it is refused, or it is another well-formed name that reads as written.
    assert (
        parts is None
        or "_".join([parts[0], parts[1], CODE_BY_EMOTION[parts[2]], parts[3]]) == changed
    )


@given(st.text(max_size=20))
def test_other_text_is_refused(text):
    parts = parse_name(text)
    assert parts is None or text.startswith(parts[0])


@pytest.mark.parametrize(
    "name",
    ["", "1001_IEO_ANG_HI.wav", " 1001_IEO_ANG_HI", "1001_IEO_ANG_HI\n", "1001_ieo_ang_hi",
     "2001_IEO_ANG_HI", "1001_IEO_ANG",
     "1001_IEO_ANG_HI_", "１００1_IEO_ANG_HI", "1001_XXX_ANG_HI"],
)  # fmt: skip
def test_near_misses_are_refused(name):
    assert parse_name(name) is None


def test_corpus_joins_videos_and_sounds(tmp_path: Path):
    for folder in ("VideoFlash", "AudioWAV"):
        (tmp_path / folder).mkdir()
    (tmp_path / "VideoFlash" / "1001_DFA_ANG_XX.FLV").write_bytes(b"x")
    (tmp_path / "VideoFlash" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "VideoFlash" / "notes.txt").write_bytes(b"x")
    (tmp_path / "AudioWAV" / "1001_DFA_ANG_XX.wav").write_bytes(b"x")
    make_wav(tmp_path / "AudioWAV" / "1040_ITH_SAD_X.wav", speech_like(1))
    make_wav(tmp_path / "AudioWAV" / "1076_MTI_SAD_XX.wav", speech_like(1))
    corpus = read_corpus(tmp_path)
    assert [clip.name for clip in corpus.clips] == [
        "1001_DFA_ANG_XX", "1040_ITH_SAD_XX", "1076_MTI_SAD_XX"
    ]  # fmt: skip
    assert corpus.clips[0].video and corpus.clips[0].audio
    assert corpus.clips[1].video is None
    assert list(corpus.excluded) == ["1076_MTI_SAD_XX"]
    assert [path.name for path in corpus.unrecognised_files] == ["notes.txt"]


def test_folders_without_clips_are_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="not a folder"):
        read_corpus(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no CREMA-D clip.*VideoFlash"):
        read_corpus(tmp_path)


HEADER = '"","A","D","F","H","N","S","fileName"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (HEADER.replace("S", "Z"), "lacks the columns 'S'"),
        (HEADER + '"400001",0,0,0,0,0,0,"1001_DFA_ANG_XX"\n', "row 1 .*'400001'"),
        (HEADER + '"100001",0,0,0,0,0,0,"a"\n"100002",0,0\n', "row 2 .*one value for each column"),
        (HEADER + '"100001",0,0,many,0,0,0,"a"\n', "row 1 .*'many'"),
        (b"\xff\xfe\x00\x01", "UTF-8"),
    ],
)
def test_damaged_votes_are_refused(tmp_path: Path, text, message):
    (tmp_path / "processedResults").mkdir()
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "processedResults" / "tabulatedVotes.csv").write_bytes(data)
    with pytest.raises(UsageError, match=message):
        read_ratings(tmp_path)


def test_damaged_synthetic_description_is_refused(tmp_path: Path):
    (tmp_path / "AudioWAV").mkdir()
    make_wav(tmp_path / "AudioWAV" / "1001_DFA_ANG_XX.wav", speech_like(1))
    (tmp_path / "synthetic.json").write_text('{"actors": ')
    with pytest.raises(UsageError, match="synthetic.json is damaged"):
        read_corpus(tmp_path)


def test_real_tables_are_whole(crema_d: Path):
    names = read_names(crema_d)
    assert len(names) == len(set(names)) == CLIPS
    assert Counter(parse_name(name)[2] for name in names) == CLIPS_BY_EMOTION
    assert len(read_demographics(crema_d)) == 91
    ratings = read_ratings(crema_d)
    assert Counter(rating.channel for rating in ratings) == dict.fromkeys(
        ("audio", "video", "av"), CLIPS
    )
    # The first row as it stands in the file: 10 of 11 heard the first clip as neutral.
    assert (ratings[0].clip, ratings[0].channel) == ("1001_IEO_NEU_XX", "audio")
    assert ratings[0].votes == (0, 0, 0, 1, 10, 0)
