"""What is installed: the wheel, and a checkout in development."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from avemotion.compat import EXTRAS, install_line

ROOT = Path(__file__).parents[1]
NOT_PACKAGED = {"__pycache__", ".mypy_cache", ".ruff_cache"}


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("avemotion-*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("avemotion/")}
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "avemotion").rglob("*")
        if path.is_file() and not NOT_PACKAGED & set(path.parts)
    }
    assert packed == files
    assert {"avemotion/py.typed", "avemotion/web/page/index.html"} <= files


def test_a_folder_of_the_same_name_does_not_hide_the_package(tmp_path: Path) -> None:
    """A clone is called like the package, and people write scripts beside it."""
    (tmp_path / "avemotion" / "docs").mkdir(parents=True)
    words = [sys.executable, "-c", "from avemotion import classify_clip"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_install_line_works_from_a_clone() -> None:
    """No such package is published: pip is given the clone, never the name."""
    texts = [ROOT / "README.md", ROOT / "requirements-onnx.txt", ROOT / "Makefile"]
    for folder in ("avemotion", "docs", "benchmarks", "data_prep"):
        texts += [p for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".md", ".html")]
    for path in texts:
        for line in path.read_text(encoding="utf-8").splitlines():
            given = re.findall(r"pip install ([^`#&)]*)", line)
            assert not [words for words in given if "avemotion" in words], f"{path}: {line}"
            assert "avemotion[" not in line, f"{path}: {line}"


def test_every_extra_that_a_message_names_exists() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    assert set(EXTRAS.values()) <= set(extras)
    assert install_line("app") == "`pip install '.[app]'` in the checkout of avemotion"
    assert install_line() == "`pip install .` in the checkout of avemotion"
