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
"""Name of the token, a file that lies in the output folder while the cluster works."""

_PACKAGES = (
    "av",
    "decord",
    "librosa",
    "numpy",
    "opencv-python-headless",
    "pytorch-lightning",
    "scikit-learn",
    "scipy",
    "soxr",
    "torch",
    "torchaudio",
)
_SPLIT_PACKAGES = ("numpy", "scikit-learn")  # they draw and deal the actors


@dataclass(frozen=True, slots=True)
class ClusterCheck:
    """What a worker compares with its own machine before it works."""

    token: Path
    """The token in the output folder."""
    content: str
    """Its content, random for each run."""
    sample: Path
    """One of the input files."""
    sample_bytes: int
    """Its size."""
    software: tuple[tuple[str, str], ...]
    """See `software`."""

    def problem(self) -> str:
        """Return why this machine cannot take part; empty if it can. Computed once a process."""
        return _problem(self)

    def require(self) -> None:
        """Refuse to work on a machine that cannot take part.

        Raises:
            UsageError: It does not see the folders, or has other software.
        """
        if problem := self.problem():
            raise UsageError(f"{platform.node()} cannot take part: {problem}")


@contextmanager
def cluster_check(out: Path, sample: Path) -> Iterator[ClusterCheck]:
    """Keep a token in the output folder while a cluster works.

    Args:
        out: Absolute path of the output folder.
        sample: Absolute path of an input file.
    """
    token, content = out / TOKEN_NAME, uuid4().hex
    token.write_text(content, encoding="utf-8")
    try:
        yield ClusterCheck(
            token=token,
            content=content,
            sample=sample,
            sample_bytes=sample.stat().st_size,
            software=software(),
        )
    finally:
        token.unlink(missing_ok=True)


@cache
def _problem(check: ClusterCheck) -> str:
    for path, is_same in ((check.token, _has_token), (check.sample, _has_sample)):
        if not is_same(check):
            return (
                f"it does not see the same {path.parent} as the machine that runs the command. "
                "Put that folder on a file system that all machines share, under one path."
            )
    for (name, theirs), (_, ours) in zip(check.software, software(), strict=True):
        if theirs != ours:
            return (
                f"its {name} is {ours or 'not installed'}, but {theirs or 'not installed'} on the "
                "machine that runs the command. Results depend on it: install the same version on "
                "all machines."
            )
    return ""


def _has_token(check: ClusterCheck) -> bool:
    try:
        return check.token.read_text(encoding="utf-8") == check.content
    except (OSError, UnicodeDecodeError):
        return False


def _has_sample(check: ClusterCheck) -> bool:
    try:
        return check.sample.stat().st_size == check.sample_bytes
    except OSError:
        return False


@cache
def software() -> tuple[tuple[str, str], ...]:
    """Return name and version of what results depend on: this package's code, and packages."""
    ours = f"{version('avemotion')} (code {code_digest(Path(str(files('avemotion'))))})"
    return ("avemotion", ours), *package_versions().items()


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that results depend on; empty if not installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def split_versions() -> dict[str, str]:
    """Return the versions of the packages that decide which actor is in which part of a split."""
    found = package_versions()
    return {name: found[name] for name in _SPLIT_PACKAGES}


def code_digest(package: Path) -> str:
    """Identify the code of a package, all folders included: its version rarely changes with it.

    Args:
        package: Its folder.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py"), key=lambda p: p.relative_to(package).as_posix()):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
