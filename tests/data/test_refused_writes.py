"""A disk that is full, or may not be written: one clear message, and nothing is lost."""

import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from preprocess_maker import contents, run, voices

from avemotion.errors import AvemotionError
from avemotion.files import claimed, write_atomically

# Root, too, then respects permissions.
UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def command(corpus: Path, out: Path, before: list[str], **how) -> subprocess.CompletedProcess:
    words = ["preprocess", str(corpus), "--out", str(out), "--workers", "1", "--views", "2"]
    return subprocess.run(
        [*before, sys.executable, "-m", "avemotion", *words], capture_output=True, text=True, **how
    )


def check_refused(done: subprocess.CompletedProcess, message: str) -> None:
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    assert done.returncode == 1 and len(errors) == 1 and message in errors[0], done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return voices(tmp_path_factory.mktemp("voices") / "corpus", actors=2)


def test_a_file_too_large_for_the_disk_is_one_message(corpus: Path, tmp_path: Path):
    out = tmp_path / "out"
    run(corpus, tmp_path / "undisturbed")
    limit = max(map(len, contents(tmp_path / "undisturbed").values())) // 2
    done = command(
        corpus,
        out,
        [],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    check_refused(done, "1001.safetensors cannot be written: File too large")
    assert not list(out.rglob("*.partial")) and not list(out.rglob("*.safetensors"))
    run(corpus, out)
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_a_folder_that_may_not_be_written_is_one_message(corpus: Path, tmp_path: Path):
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("root may write everywhere, and there is no setpriv")
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o555)
    done = command(corpus, out, UNPRIVILEGED if os.geteuid() == 0 else [])
    out.chmod(0o755)
    check_refused(done, "cannot be written: Permission denied. Allow writing there")
    assert run(corpus, out).counts == {"audio": 4}


def test_what_a_killed_run_left_is_cleared_away(corpus: Path, tmp_path: Path):
    out = tmp_path / "out"
    run(corpus, out)
    before = contents(out)
    (out / ".manifest.csv.partial").write_text("half a li")
    (out / "actors" / ".1009.safetensors.partial").write_bytes(b"half")
    (out / "actors" / ".tmpk3Xw0Z").write_bytes(b"half")  # a name that safetensors gives
    run(corpus, out)
    assert contents(out) == before


@pytest.mark.parametrize(
    "number, message",
    [
        (errno.ENOSPC, "No space left on device. Free some space"),
        (errno.EROFS, "Read-only file system. Allow writing there"),
        (errno.EIO, "Input/output error. Make that possible"),
    ],
)
def test_refusals_leave_the_old_file_and_say_what_to_do(tmp_path: Path, number: int, message: str):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(number, os.strerror(number))

    with pytest.raises(AvemotionError, match=f"{path} cannot be written: {message}"):
        write_atomically(path, write)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(AvemotionError, match="file/out cannot be written: Not a directory"),
        claimed(tmp_path / "file" / "out"),
    ):
        pass
