"""`classify --runtime onnx` without torch: hidden from it, and in an environment that has none."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

import avemotion

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements-onnx.txt"


def requirements() -> list[str]:
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def package(requirement: str) -> str:
    """Name of a package, without its versions."""
    return re.split(r"[<>=;\s]", requirement)[0]


@pytest.fixture(scope="module")
def clip(small_corpus: Path) -> Path:
    """An FLV with sound at 44.1 kHz, as CREMA-D's: face and voice, to be resampled."""
    return next((small_corpus / "VideoFlash").glob("*.flv"))


def check_answer(out: str, clip: Path, run: Path) -> None:
    """What was printed is torch's answer."""
    expected = avemotion.classify_clip(clip, run, device="cpu")
    found = json.loads(out)
    assert found["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)
    assert found["modality"] == "av" and found["checkpoint"].endswith("checkpoint.onnx")


HIDING = """
import json, runpy, sys, sysconfig

class Hide:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        known = name.split(".")[0] in allowed
        return self.finder.find_spec(name, path, target) if known else None

allowed, words = json.loads(sys.argv[1])
allowed = {*allowed, "avemotion", *sys.stdlib_module_names, sysconfig._get_sysconfigdata_name()}
sys.meta_path[:] = map(Hide, sys.meta_path)
sys.argv = ["avemotion", *words]
runpy.run_module("avemotion", run_name="__main__")
"""


def run_with_imports(allowed: list[str], *words: object) -> subprocess.CompletedProcess[str]:
    """Run the command where nothing but the standard library and these can be imported."""
    given = json.dumps([allowed, [str(word) for word in words]])
    command = [sys.executable, "-c", HIDING, given]
    return subprocess.run(command, capture_output=True, text=True)


# Modules of the packages in requirements-onnx.txt, and of those that they need themselves.
IMPORTS = ["av", "cv2", "docstring_parser", "jsonargparse", "numpy", "onnxruntime", "safetensors"]
IMPORTS += ["filelock", "soxr", "tabulate", "threadpoolctl", "tqdm", "packaging", "yaml"]
IMPORTS += ["matplotlib", "mpl_toolkits", "PIL", "contourpy", "cycler", "dateutil", "fontTools"]
IMPORTS += ["kiwisolver", "pylab", "pyparsing", "six"]


def test_classifies_where_only_its_requirements_can_be_imported(clip: Path, exported: Path) -> None:
    run = exported / "av"
    words = ("classify", clip, "--json", "--checkpoint", run, "--runtime", "onnx")
    done = run_with_imports(IMPORTS, *words)
    assert done.returncode == 0, done.stderr
    check_answer(done.stdout, clip, run)


def test_many_clips_and_a_timeline_need_no_more(clip: Path, exported: Path) -> None:
    run = exported / "av"
    done = run_with_imports(
        IMPORTS, "classify", clip, clip, "--json", "--checkpoint", run, "--runtime", "onnx"
    )
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        check_answer(line, clip, run)
    words = ("classify", clip, "--timeline", "--json", "--checkpoint", run, "--runtime", "onnx")
    done = run_with_imports(IMPORTS, *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["modality"] == "av"


def test_a_plot_of_a_timeline_needs_no_more(clip: Path, exported: Path, tmp_path: Path) -> None:
    words = ("classify", clip, "--timeline", "--checkpoint", exported / "av", "--runtime", "onnx")
    files = ("--out", tmp_path / "t.csv", "--plot", tmp_path / "t.png")
    done = run_with_imports(IMPORTS, *words, *files)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    assert "av" in (tmp_path / "t.csv").read_text()


def test_verify_needs_no_more(small_corpus: Path) -> None:
    for words in ((), ("--json",), ("--decode",)):
        done = run_with_imports(IMPORTS, "verify", small_corpus, *words)
        assert done.returncode == 0, done.stderr


def test_what_is_missing_there_is_named(clip: Path, exported: Path) -> None:
    done = run_with_imports(IMPORTS, "classify", clip, "--checkpoint", exported / "av")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "needs torch" in done.stderr and "avemotion export" in done.stderr
    words = ("export", exported / "av", "again.onnx")
    done = run_with_imports(IMPORTS, *words)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "`pip install '.[onnx]'` in the checkout" in done.stderr
    without = [name for name in IMPORTS if name != "onnxruntime"]
    words = ("classify", clip, "--checkpoint", exported / "av", "--runtime", "onnx")
    done = run_with_imports(without, *words)
    assert done.returncode == 2 and "pip install onnxruntime" in done.stderr


def test_requirements_are_the_projects_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    exporting = project["optional-dependencies"]["onnx"]
    assert set(requirements()) <= {*project["dependencies"], *exporting}
    assert not {"torch", "scipy", "onnx"} & set(map(package, requirements()))


def test_an_environment_made_from_the_requirements_classifies(
    clip: Path, exported: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")

    def pip(*words: object) -> subprocess.CompletedProcess[str]:
        quiet = ("--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "30")
        command = [binaries / "python", "-m", "pip", *words, *quiet]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True)

    probe = pip("install", "--no-deps", package(requirements()[0]))
    if probe.returncode:
        pytest.skip(f"no package index answers: {probe.stderr.strip().splitlines()[-1]}")
    # A copy, so that the build leaves nothing in the checkout.
    shutil.copytree(ROOT / "avemotion", tmp_path / "project" / "avemotion")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / "project")
    for words in (("-r", REQUIREMENTS), ("--no-deps", tmp_path / "project")):
        done = pip("install", *words)
        assert done.returncode == 0, done.stderr
    run = exported / "av"
    done = subprocess.run(
        [binaries / "avemotion", "classify", clip, "--json", "--checkpoint", run]
        + ["--runtime", "onnx"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    check_answer(done.stdout, clip, run)
