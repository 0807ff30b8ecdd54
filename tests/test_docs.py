"""The documentation: it builds clean, stands alone, and what it shows is what happens."""

import ast
import doctest
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import av
import pytest
from app_maker import save_picture_model

import avemotion
from avemotion.cli import COMMANDS, main
from avemotion.config import PreprocessSettings, TrainingSettings
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.models.ar5 import AR5Settings

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps() -> Iterator[tuple[str, str]]:
    """Each command of the tutorial, and what the page says it prints."""
    for block in CONSOLE.findall((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = step.partition("\n")
            yield command, printed


def shape(text: str) -> list[str]:
    """What a text says but for its figures and the answers of untrained networks."""
    plain = re.sub(r"-{2,}", "--", text)
    plain = re.sub(r"^ar5/\w+(:| is no).*$", "HEADLINE", plain, flags=re.MULTILINE)
    plain = re.sub(r"^\S.* points (above|below) .*$", "COMPARISON", plain, flags=re.MULTILINE)
    plain = re.sub(rf"\b({'|'.join(EMOTIONS)})\b", "EMOTION", plain)
    plain = re.sub(r"no interval|[-+]?\d[\d,.]*(e-\d+)?", "#", plain)
    plain = re.sub(r"# to #", "#", plain)  # all actors may score the same: no interval
    return [" ".join(line.split()) for line in plain.splitlines() if line.strip()]


Step = tuple[str, str, int, str]


@pytest.fixture(scope="module")
def toured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Step]]:
    """The folder that the tutorial leaves; each command, what is promised, its code, its output."""
    folder = tmp_path_factory.mktemp("tutorial")
    done = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("AVEMOTION_CHECKPOINT", raising=False)
        for command, promised in steps():
            name, *words = shlex.split(command)
            assert name == "avemotion"
            with (folder / "printed").open("w+", encoding="utf-8") as file:
                patch.setattr("sys.stdout", file)
                code = main(words)
                file.seek(0)
                done.append((command, promised, code, file.read()))
        patch.undo()
    clip = min((folder / "crema" / "VideoFlash").iterdir())
    shutil.copy(clip, folder / "clip.mp4")
    with av.open(str(clip)) as container:
        next(container.decode(video=0)).to_image().save(folder / "face.jpg")
    save_picture_model(folder)
    return folder, done


def test_the_tutorial_prints_what_it_shows(toured: tuple[Path, list[Step]]) -> None:
    _, done = toured
    commands = [command.split()[1] for command, *_ in done]
    assert set(commands) == set(COMMANDS) - {"demo", "report", "cite", "export", "app"}
    for command, promised, code, printed in done:
        assert code == 0, command
        assert shape(printed) == shape(promised), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_run(
    page: Path, toured: tuple[Path, list[Step]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = toured
    monkeypatch.chdir(folder)
    names: dict[str, object] = {"__name__": "example"}
    for n, example in enumerate(PYTHON.findall(page.read_text(encoding="utf-8")), 1):
        exec(compile(example, f"{page.name}, example {n}", "exec"), names)


EXAMPLES = sorted({*avemotion.__all__} - {"__version__", "demo"})  # `demo` has a test of its own


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_public_name_runs(
    name: str, toured: tuple[Path, list[Step]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the folder that the tutorial leaves, with a clip, a picture and a model for it."""
    if name == "to_frame":
        pytest.importorskip("pandas", reason="pandas is not installed")
    monkeypatch.chdir(toured[0])
    text = inspect.getdoc(getattr(avemotion, name)) or ""
    example = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    assert example.examples
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    complaints: list[str] = []
    assert not runner.run(example, out=complaints.append).failed, "".join(complaints)


class Loaded(HTMLParser):
    """What a page makes a browser fetch, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag in ("script", "img", "iframe", "source"):
            self.fetched.append(found.get("src", ""))
        elif tag == "link" and found.get("rel") != "canonical":
            self.fetched.append(found.get("href", ""))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as `make docs` builds it, and without a word of complaint."""
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    folder = tmp_path_factory.mktemp("site")
    words = [
        "make",
        "-o",
        "install",
        "docs",
        f"BIN={Path(sys.executable).parent}",
        f"SITE={folder}",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and "WARNING" not in done.stdout
    return folder


def read(page: Path) -> Loaded:
    parser = Loaded()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def test_every_page_is_built_and_loads_nothing_from_elsewhere(site: Path) -> None:
    assert {p.stem for p in PAGES} <= {p.stem for p in site.glob("*.html")}
    for page in site.glob("*.html"):
        assert not [url for url in read(page).fetched if re.match(r"(https?:)?//", url)], page


def test_the_reference_is_that_of_the_package(site: Path) -> None:
    commands = "".join(read(site / "cli.html").text)
    for command in COMMANDS:
        assert f"usage: avemotion {command}" in commands
    assert "--training.modality_dropout" in commands
    settings = "".join(read(site / "configuration.html").text)
    for cls in (AR5Settings, TrainingSettings, PreprocessSettings):
        for name, field in cls.__dataclass_fields__.items():
            default = json.dumps(field.default).strip('"')
            assert f"\n{name}\n{default}\n" in settings
    assert "Chance that a clip's face, and likewise its voice" in settings
    reference = (site / "api.html").read_text(encoding="utf-8")
    ids = re.findall(r'id="([\w.]+)"', reference)
    public = [name for name in avemotion.__all__ if not name.startswith("_")]
    assert {i.rsplit(".")[-1] for i in ids} >= set(public)
    assert reference.count('<span class="gp">&gt;&gt;&gt; </span>') >= len(public)  # as code
    changelog = "".join(read(site / "changelog.html").text)
    assert avemotion.__version__ in changelog


def messages(code: str) -> Iterator[str]:
    """The texts in a file, with an ellipsis for each value that is filled in."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(p.value) if isinstance(p, ast.Constant) else "…" for p in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_the_messages_explained_are_those_of_the_package() -> None:
    texts = "\n".join(
        text
        for path in (ROOT / "avemotion").rglob("*.py")
        for text in messages(path.read_text(encoding="utf-8"))
    )
    page = (ROOT / "docs" / "classify.md").read_text(encoding="utf-8")
    tables = page[page.index("## Warnings") : page.index("## What happens")]
    explained = [m.strip() for _, m in re.findall(r"^\| (`+)(.*?)\1 \|", tables, re.MULTILINE)]
    assert len(explained) == 57
    for message in explained:
        assert message in texts, message
