"""The package's shape: what imports what, and what is loaded when."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import avemotion

PACKAGE = Path(avemotion.__file__).parent

# From the top down: a module may import only what stands further down.
ROAD = """
    __main__ cli options help_text demonstration display evaluation judgement evaluation_plan
    fitting folds robustness
    web.serving web.server web.reading web.answering web.stills web.live web.uploads web.guard web
    training emotion_module onnx_export clip_batches timelines inference isolated_preparation
    window_rows preparation verification inspection
    runtimes.loading runtimes.torch_runtime runtimes.onnx_runtime runtimes.interface runtimes
    reports report_page report_charts results records timeline_picture timeline_files
    robustness_scores spoiling fairness calibration humans scores intervals curves model_card
    augmentation torchaudio_import dataset splits preprocessing preview
    engines ray_shards ray_engine admission manifest window_features extraction
    models.checkpoint models.ar5 models.facts models
    corpora corpora.synthetic corpora.crema_d corpora.ravdess corpora.folder store_writer shards
    store
    task_pool isolation isolated_work processes people timeline_rows streaming frame_stream
    sound_stream stream_clock faces face_groups crops grids spectrogram media decoding kept_frames
    pictures soundtracks timing sources resampling containers
    provenance config types arrays emotions files errors
""".split()


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def place(name: str) -> int:
    """A module's place on the road; parts of the synthetic corpus share one."""
    known = "corpora.synthetic" if name.startswith("corpora.synthetic") else name
    assert known in ROAD, f"avemotion.{name} has no place on the road: give it one"
    return ROAD.index(known)


def imports(path: Path) -> set[str]:
    """Modules of avemotion that a file imports when it runs, at any depth of the code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not any(a.name.split(".")[0] == "avemotion" for a in node.names) or (
                path.name == "cli.py"  # it takes the functions of the front door
            )
        assert not (isinstance(node, ast.ImportFrom) and node.level), "imports are absolute"
        if isinstance(node, ast.ImportFrom) and node not in typing_only:
            home = node.module or ""
            if home.split(".")[0] == "avemotion":
                for alias in node.names:
                    longer = f"{home}.{alias.name}"
                    is_module = (PACKAGE.parent / longer.replace(".", "/")).exists() or (
                        PACKAGE.parent / (longer.replace(".", "/") + ".py")
                    ).exists()
                    found.add((longer if is_module else home).removeprefix("avemotion").lstrip("."))
    return found - {""}


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: module_name(p) or "avemotion"
)
def test_imports_go_only_downward(path: Path) -> None:
    name = module_name(path)
    if not name:
        return  # the front door loads by name, when used
    for imported in imports(path):
        same_part = {name.split(".")[:2] == imported.split(".")[:2], "." in name} == {True}
        assert same_part or place(imported) > place(name), f"{name} imports {imported}: upward"


def loaded_after(code: str) -> set[str]:
    """Top-level modules loaded by a fresh interpreter after some code."""
    ask = "import sys, json\nprint(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    ask = f"{code}\n{ask}"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


HEAVY = {
    "torch",
    "pytorch_lightning",
    "lightning_fabric",
    "cv2",
    "scipy",
    "sklearn",
    "librosa",
    "av",
    "ray",
}


def test_importing_avemotion_loads_nothing_heavy() -> None:
    assert not loaded_after("import avemotion") & HEAVY


def test_help_loads_nothing_heavy() -> None:
    help_text = "from avemotion.cli import main\nmain(['--help'])"
    assert not loaded_after(help_text) & (HEAVY | {"jsonargparse"})


def test_every_public_name_is_there() -> None:
    for name in avemotion.__all__:
        assert getattr(avemotion, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        avemotion.no_such_name  # noqa: B018


def test_a_command_has_a_function_of_its_name() -> None:
    from avemotion.cli import COMMANDS

    for command in COMMANDS:
        assert callable(getattr(avemotion, command))
        module = getattr(avemotion, command).__module__
        assert module != f"avemotion.{command}"  # else importing it would hide the function
