"""The campaigns of benchmarks/ in a short form: damaged files, and runs that are killed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def clips(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for clip in sorted((small_corpus / "VideoFlash").glob("*.flv"))[:2]:
        (folder / clip.name).symlink_to(clip)
    return folder


def run(name: str, out: Path, *arguments: object) -> dict:
    words = [BENCHMARKS / f"{name}.py", "--out", out, *arguments]
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_damaged_files_are_refused_with_reasons_or_decode_to_frames_that_differ(
    clips: Path, tmp_path: Path
):
    result = run("fuzz", tmp_path, "--clips", clips, "--files", 60, "--hours", 0, "--seconds", 5)
    assert result["files"] == 60 and result["exit_code"] == 1
    ends = ("both", "one_modality", "refused", "time_out", "memory", "crash")
    assert sum(result[end] for end in ends) == 60
    assert result["both"] > 5 and result["refused"] > 20 and result["crash"] == 0
    for never in (
        "clips_not_listed", "reasons_not_understood", "accepted_with_repeating_frames",
        "features_not_finite", "noise_lines",
    ):  # fmt: skip
        assert result[never] == 0, never
    assert "a named pipe (sound)" in (tmp_path / "fuzz.md").read_text(encoding="utf-8")
