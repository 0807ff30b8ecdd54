"""Files of results: interrupted anywhere, they go on, and rows of different runs never mix."""

import json
from pathlib import Path

import pytest

from avemotion.errors import MediaError, UsageError
from avemotion.inference.result_file import result_file

COLUMNS = ("clip", "label", "warnings")
# Two rows of a clip, a quoted line break, a separator of lines that is none in CSV.
CLIPS = {
    "a.mp4": [("a.mp4", "joy", ""), ("a.mp4", "fear", "one\ntwo")],
    "b, c.mp4": [("b, c.mp4", "joy", 'said "ü"')],
    "d\u2028.mp4": [("d\u2028.mp4", "fear", "x"), ("d\u2028.mp4", "joy", "")],
}


def write(
    path: Path, clips: list[str], stop_after: int | None = None, **asked: object
) -> list[str]:
    """Write the rows of the clips that are not there yet; return the clips that are."""
    with result_file(path, COLUMNS, "clip", asked) as results:
        done = [row["clip"] for row in results.earlier]
        for number, clip in enumerate(name for name in clips if name not in done):
            if number == stop_after:
                raise KeyboardInterrupt
            rows = CLIPS[clip]
            results.write([(row, dict(zip(COLUMNS, row, strict=True))) for row in rows])
    return done


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_cut_off_anywhere_the_file_ends_the_same(suffix: str, tmp_path: Path) -> None:
    whole = tmp_path / f"whole{suffix}"
    write(whole, list(CLIPS))
    expected = whole.read_bytes()
    out, partial = tmp_path / f"out{suffix}", tmp_path / f".out{suffix}.partial"
    kept = set()
    ends = [at for at, byte in enumerate(expected) if byte == ord("\n")]
    near = {at + step for at in ends for step in (0, 1, 2)} & set(range(len(expected) + 1))
    for size in sorted({*range(0, len(expected), 7), *near}):
        (tmp_path / f".out{suffix}.asked.json").write_text("{}")
        partial.write_bytes(expected[:size])
        kept.add(len(set(write(out, list(CLIPS)))))
        assert out.read_bytes() == expected, size
        assert {path.name for path in tmp_path.iterdir()} == {whole.name, out.name}
        out.unlink()
    assert kept == {0, 1, 2}  # all but the last


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_an_interruption_says_where_the_rows_are(suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"out{suffix}"
    with pytest.raises(KeyboardInterrupt, match="The rows before it are in .*partial; the same"):
        write(out, list(CLIPS), stop_after=2)
    assert not out.exists()
    assert write(out, list(CLIPS)) == ["a.mp4"] * 2
    with pytest.raises(MediaError, match="at last. The rows before it are in"):
        with result_file(out, COLUMNS, "clip", {}) as results:
            results.write([(CLIPS["a.mp4"][0], dict(zip(COLUMNS, CLIPS["a.mp4"][0], strict=True)))])
            raise MediaError("x.mp4 cannot be decoded: at last")


def test_without_a_row_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "out.csv", list(CLIPS), stop_after=0)
    assert list(tmp_path.iterdir()) == []


def test_rows_of_another_run_are_not_taken(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        write(out, list(CLIPS), stop_after=2, modality="av", face="main")
    with pytest.raises(UsageError, match="modality 'av', now 'video'. Delete .*partial") as refused:
        write(out, list(CLIPS), modality="video", face="main")
    assert "face" not in str(refused.value)
    assert len((tmp_path / ".out.csv.partial").read_text().splitlines()) > 3  # they are kept
    assert write(out, list(CLIPS), modality="av", face="main") == ["a.mp4"] * 2


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    with result_file(tmp_path / "out.csv", COLUMNS, "clip", {}):
        with pytest.raises(UsageError, match="is being written by another run"):
            write(tmp_path / "out.csv", list(CLIPS))


def test_what_is_no_table_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".out.jsonl.partial").write_text("no JSON\n{}\n")
    (tmp_path / ".out.jsonl.asked.json").write_text(json.dumps({}))
    with pytest.raises(UsageError, match="is damaged .* Delete it to start anew"):
        write(tmp_path / "out.jsonl", list(CLIPS))
