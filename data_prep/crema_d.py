"""Fetch CREMA-D, or go on with a fetch that was interrupted, then check it.

    python data_prep/crema_d.py ~/crema-d
    python data_prep/crema_d.py --check-only ~/crema-d

Exit codes: 0 the corpus is complete, 1 something is missing or broken, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from avemotion.data.verification import verify
from avemotion.errors import UsageError

SOURCE = "https://github.com/CheyneyComputerScience/CREMA-D"
MIRROR = "https://gitlab.com/cs-cooper-lab/crema-d-mirror"
"""Named by the corpus' own page for when GitHub's quota is used up."""

WANTED = "VideoFlash,AudioWAV,processedResults"
UNWANTED = "AudioMP3"
"""The same sound as in the WAVs, another 0.6 GB."""


def check_tools() -> None:
    """Refuse to start without git and Git LFS.

    Raises:
        UsageError: One of them is not installed.
    """
    if shutil.which("git") is None:
        raise UsageError("git is not installed. Install it (https://git-scm.com) and try again.")
    found = subprocess.run(["git", "lfs", "version"], capture_output=True)
    if found.returncode:
        raise UsageError(
            "Git LFS is not installed, so git would fetch pointers instead of videos and sounds. "
            "Install it (`apt install git-lfs`, `brew install git-lfs` or https://git-lfs.com) "
            "and try again."
        )


def fetch(directory: Path, source: str) -> None:
    """Clone the corpus without its media, then pull these; each step goes on where it stopped.

    Args:
        directory: An empty or new folder, or an earlier clone.
        source: Address of a git repository.

    Raises:
        UsageError: The folder holds something else, a tool is missing, or git failed.
    """
    check_tools()
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is a file, but must be a folder or not exist yet.")
    if not (directory / ".git").exists():
        if directory.exists() and any(directory.iterdir()):
            raise UsageError(
                f"{directory} is neither empty nor a git clone. A zip download holds pointers that "
                "nothing can be pulled into: give another folder."
            )
        directory.parent.mkdir(parents=True, exist_ok=True)
        _git("clone", source, str(directory))
    # Only in this clone: the user's own settings stay as they are.
    _git("lfs", "install", "--local", inside=directory)
    _git("config", "lfs.fetchexclude", UNWANTED, inside=directory)  # fsck passes over these too
    _git("checkout-index", "--all", "--quiet", inside=directory)  # what is missing, nothing else
    _git("lfs", "pull", f"--include={WANTED}", f"--exclude={UNWANTED}", inside=directory)
    _git("lfs", "fsck", inside=directory)


def _git(*arguments: str, inside: Path | None = None) -> None:
    """Run git, showing its output.

    Raises:
        UsageError: It failed.
    """
    command = ["git", *(["-C", str(inside)] if inside else []), *arguments]
    print("$", " ".join(command), flush=True)
    # Media are pulled in one step of their own, which can be resumed, not while checking out.
    status = subprocess.run(command, env=os.environ | {"GIT_LFS_SKIP_SMUDGE": "1"}).returncode
    if status:
        raise UsageError(
            f"`{' '.join(command)}` failed (exit code {status}; its own message is above). "
            "Run the same command again to go on. If it reports that the repository exceeded its "
            f"LFS budget, fetch into another folder with --source {MIRROR}."
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="folder of the corpus")
    parser.add_argument(
        "--source", default=SOURCE, help="git repository to clone (default: %(default)s)"
    )
    parser.add_argument(
        "--check-only", action="store_true", help="fetch nothing, only check what is there"
    )
    options = parser.parse_args(arguments)
    try:
        if not options.check_only:
            fetch(options.directory, options.source)
        found = verify(options.directory)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(found.summary())
    return 0 if found.ok else 1


if __name__ == "__main__":
    sys.exit(main())
