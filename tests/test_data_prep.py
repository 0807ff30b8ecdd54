import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from media_maker import make_clip, make_wav, noise_frames, speech_like

SCRIPT = Path(__file__).parents[1] / "data_prep" / "crema_d.py"

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
needs_lfs = pytest.mark.skipif(
    shutil.which("git-lfs") is None, reason="Git LFS is not installed: nothing can be pulled"
)


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def git(directory: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-C", str(directory), "-c", "user.name=A", "-c", "user.email=a@b.c", *arguments],
        check=True,
        capture_output=True,
    )


def fill(directory: Path) -> Path:
    """One clip of each kind of media; far from all of CREMA-D."""
    for folder in ("VideoFlash", "AudioWAV", "AudioMP3", "processedResults"):
        (directory / folder).mkdir(parents=True)
    make_clip(directory / "VideoFlash" / "1001_DFA_ANG_XX.flv", noise_frames(12))
    make_wav(directory / "AudioWAV" / "1001_DFA_ANG_XX.wav", speech_like(0.5))
    (directory / "AudioMP3" / "1001_DFA_ANG_XX.mp3").write_bytes(b"x" * 5000)
    return directory


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository with its media in Git LFS, as CREMA-D's."""
    repository = fill(tmp_path / "source")
    git(repository, "init", "-q")
    git(repository, "lfs", "install", "--local")
    patterns = "".join(
        f"*.{s} filter=lfs diff=lfs merge=lfs -text\n" for s in ("flv", "wav", "mp3")
    )
    (repository / ".gitattributes").write_text(patterns)
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "clips")
    return repository


def test_check_only_reports_and_fetches_nothing(tmp_path: Path):
    done = run("--check-only", fill(tmp_path / "corpus"))
    assert done.returncode == 1, done.stderr
    assert "SentenceFilenames.csv is missing" in done.stdout and "$ git" not in done.stdout
    assert "Traceback" not in done.stderr


def test_check_only_of_nothing_is_wrong_usage(tmp_path: Path):
    done = run("--check-only", tmp_path / "nowhere")
    assert done.returncode == 2 and "is not a folder" in done.stderr


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """An empty folder to look for programs in."""
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def test_missing_git_is_named(tmp_path: Path, tools: Path):
    done = run(tmp_path / "corpus", PATH=str(tools))
    assert done.returncode == 2 and "git is not installed" in done.stderr
    assert not (tmp_path / "corpus").exists()


@needs_git
def test_missing_git_lfs_is_named_before_anything_is_cloned(tmp_path: Path, tools: Path):
    # The real git, with nowhere to find its LFS part.
    (tools / "git").symlink_to(shutil.which("git"))
    elsewhere = str(tmp_path)
    done = run(tmp_path / "corpus", PATH=str(tools), GIT_EXEC_PATH=elsewhere)
    assert done.returncode == 2
    assert "Git LFS is not installed" in done.stderr and "git-lfs.com" in done.stderr
    assert not (tmp_path / "corpus").exists()


@needs_git
@needs_lfs
def test_foreign_folders_are_refused(tmp_path: Path):
    (tmp_path / "zip").mkdir()
    (tmp_path / "zip" / "1001.flv").touch()
    done = run(tmp_path / "zip", "--source", tmp_path)
    assert done.returncode == 2 and "neither empty nor a git clone" in done.stderr


@needs_git
@needs_lfs
def test_failing_git_is_explained(tmp_path: Path):
    done = run(tmp_path / "corpus", "--source", tmp_path / "nowhere")
    assert done.returncode == 2 and "failed (exit code 128" in done.stderr
    assert "gitlab.com" in done.stderr


@needs_git
@needs_lfs
def test_clone_pulls_what_is_wanted_and_goes_on(tmp_path: Path, source: Path):
    corpus = tmp_path / "corpus"
    video = Path("VideoFlash", "1001_DFA_ANG_XX.flv")
    done = run(corpus, "--source", source.as_uri())
    assert done.returncode == 1, done.stderr  # one clip is not all of CREMA-D
    assert "Git LFS fsck OK" in done.stdout and "clips" in done.stdout
    assert (corpus / video).read_bytes() == (source / video).read_bytes()
    mp3 = (corpus / "AudioMP3" / "1001_DFA_ANG_XX.mp3").read_bytes()
    assert mp3.startswith(b"version https://git-lfs")

    (corpus / video).unlink()
    shutil.rmtree(corpus / ".git" / "lfs" / "objects")  # as after an interrupted pull
    done = run(corpus, "--source", source.as_uri())
    assert done.returncode == 1, done.stderr
    assert "git clone" not in done.stdout
    assert (corpus / video).read_bytes() == (source / video).read_bytes()
