"""What every machine of a cluster must share before it works: the folders, and the software."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

from avemotion.errors import UsageError

TOKEN_NAME = ".shared"
"""A file in the folder that is written, there while the cluster works."""

_PACKAGES = (
    "av",
    "decord",
    "numpy",
    "opencv-python-headless",
    "pytorch-lightning",
    "scipy",
    "torch",
    "torchaudio",
)


@dataclass(frozen=True, slots=True)
class ClusterCheck:
    """What a worker compares with what it sees and has."""

    token: Path
    """A file in the folder that is written."""
    content: str
    """What stands in it."""
    sample: Path
    """A file of what is read."""
    sample_bytes: int
    """Its size."""
    software: tuple[tuple[str, str], ...]
    """Packages that results depend on, and their versions; avemotion itself by its code."""

    def complaint(self) -> str:
        """Say why this machine cannot take part; empty where it can. Looked up once a process."""
        return _complaint(self)

    def require(self) -> None:
        """Refuse to work on a machine that cannot take part.

        Raises:
            UsageError: It does not see the folders, or has other software.
        """
        if complaint := self.complaint():
            raise UsageError(f"{platform.node()} cannot take part: {complaint}")


@contextmanager
def cluster_check(out: Path, sample: Path) -> Iterator[ClusterCheck]:
    """Leave a token in a folder while others work for this process.

    Args:
        out: Absolute path of the folder that is written.
        sample: Absolute path of a file that is read.
    """
    token, content = out / TOKEN_NAME, uuid4().hex
    token.write_text(content, encoding="utf-8")
    try:
        yield ClusterCheck(token, content, sample, sample.stat().st_size, software())
    finally:
        token.unlink(missing_ok=True)


@cache
def _complaint(admitted: ClusterCheck) -> str:
    for path, same in ((admitted.token, _has_token), (admitted.sample, _has_sample)):
        if not same(admitted):
            return (
                f"it does not see the same {path.parent} as the machine that asks. Put that folder "
                "on a file system that all machines share, under one path."
            )
    for (name, theirs), (_, ours) in zip(admitted.software, software(), strict=True):
        if theirs != ours:
            return (
                f"it has {name} {ours or 'not at all'}, the machine that asks has "
                f"{theirs or 'none'}. Results depend on it: install the same on all machines."
            )
    return ""


def _has_token(admitted: ClusterCheck) -> bool:
    try:
        return admitted.token.read_text(encoding="utf-8") == admitted.content
    except (OSError, UnicodeDecodeError):
        return False


def _has_sample(admitted: ClusterCheck) -> bool:
    try:
        return admitted.sample.stat().st_size == admitted.sample_bytes
    except OSError:
        return False


@cache
def software() -> tuple[tuple[str, str], ...]:
    """Return what results depend on, and its versions here; empty where it is not installed."""
    found = [("avemotion", f"{version('avemotion')} (code {_code_digest()})")]
    for package in _PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            found.append((package, ""))
    return tuple(found)


def _code_digest() -> str:
    """Identify the package's own code: versions stay the same while one works on it."""
    package = Path(str(files("avemotion")))
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py"), key=lambda p: p.relative_to(package).as_posix()):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
