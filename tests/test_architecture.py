"""The package's shape: what imports what, and what is loaded when."""

import ast
import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import avemotion
from avemotion.cli import COMMANDS

PACKAGE = Path(avemotion.__file__).parent

# From the ground up: a wing may import those on lower floors, and itself.
FLOORS = (
    ("errors",),
    ("config", "files", "compat", "progress"),
    ("parallel", "media", "encoders"),
    ("features",),
    ("data",),
    ("models",),
    ("training", "inference"),
    ("evaluation",),
    ("web",),
    ("cli",),
    ("__main__",),
)
APART = {("evaluation", "inference")}  # on different floors, but neither imports the other
MODULES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def floor(wing: str) -> int:
    found = [number for number, wings in enumerate(FLOORS) if wing in wings]
    assert found, f"avemotion.{wing} is no wing of docs/architecture.md"
    return found[0]


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
            ours = [a.name for a in node.names if a.name.split(".")[0] == "avemotion"]
            # The command line takes the version and the functions of the front door.
            assert not ours or module_name(path) in ("cli", "cli.commands"), (
                f"{path}: from avemotion.x import y"
            )
        if isinstance(node, ast.ImportFrom) and node not in typing_only:
            assert not node.level, "imports are absolute"
            home = node.module or ""
            if home.split(".")[0] == "avemotion":
                for alias in node.names:
                    inner = f"{home}.{alias.name}".removeprefix("avemotion.")
                    file = PACKAGE / inner.replace(".", "/")
                    is_module = file.is_dir() or file.with_suffix(".py").exists()
                    found.add(inner if is_module else home.removeprefix("avemotion").lstrip("."))
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: module_name(p) or "avemotion")
def test_imports_go_only_downward(path: Path) -> None:
    name = module_name(path)
    if not name:
        return  # the front door loads by name, when used
    wing = name.split(".")[0]
    for imported in imports(path):
        below = imported.split(".")[0]
        assert below == wing or (floor(below) < floor(wing) and (wing, below) not in APART), (
            f"{name} imports {imported or 'the front door'}: upward"
        )


def test_the_top_level_holds_the_ground_and_the_doors_alone() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")}
    assert modules == {"__init__", "__main__", "config", "errors", "files", "compat", "progress"}


def test_no_circle_inside_a_wing() -> None:
    graph = {module_name(path): imports(path) for path in MODULES}
    inside = {
        name: {other for other in found if other.split(".")[0] == name.split(".")[0]}
        for name, found in graph.items()
    }
    assert list(TopologicalSorter(inside).static_order())  # raises CycleError, which names them


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


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_loads_no_network_no_statistics_and_no_plot(command: str) -> None:
    code = f"""
from avemotion.cli import main
try:
    main(["{command}", "--help"])
except SystemExit:
    pass
"""
    assert not loaded_after(code) & (HEAVY - {"cv2", "av"} | {"matplotlib"})


@pytest.mark.parametrize("name", ["fit", "evaluate", "report"])
def test_lightning_is_loaded_only_to_train(name: str) -> None:
    assert "pytorch_lightning" not in loaded_after(f"from avemotion import {name}")


def test_every_public_name_is_there() -> None:
    for name in avemotion.__all__:
        assert getattr(avemotion, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        avemotion.no_such_name  # noqa: B018


def test_a_command_has_a_function_of_its_name() -> None:
    for command in COMMANDS:
        # `avemotion.models` is the wing.
        function = getattr(avemotion, "list_models" if command == "models" else command)
        assert callable(function)
        module = function.__module__
        assert module != f"avemotion.{command}"  # else importing it would hide the function
