"""benchmarks/mutants.py: what it breaks, and how it tells which breaks the tests notice."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from mutations import edits, functions, is_another_program  # noqa: E402


@pytest.mark.parametrize(("line", "expected"), [
    ("a < b", {("comparison", "a <= b")}),
    ("a >= b", {("comparison", "a > b")}),
    ("a < b <= c", {("comparison", "a <= b <= c"), ("comparison", "a < b < c")}),
    ("a is not b", {("comparison", "a is b")}),
    ("(a) not in (b)", {("comparison", "(a) in (b)")}),
    ("a and (b)", {("and, or", "a or (b)")}),
    ("a * b", {("arithmetic", "a / b")}),
    ("a / 'name'", set()),
    ("not (a or b)", {("not removed", "(a or b)"), ("and, or", "not (a and b)")}),
    ("é[1_000]", {("constant", "é[1001]")}),
    ("0.5", {("constant", "1.5")}),
    ("True", {("constant", "False")}),
    ("return a(b)", {("returns None", "return None")}),
    ("return None", set()),
    ("x = f(a, b=c)", {("argument dropped", "x = f(a)")}),
    ("x = f(a=b, c=d)", {("argument dropped", "x = f(c=d)"), ("argument dropped", "x = f(a=b)")}),
    ("a(b)", {("call removed", "pass")}),
    ("await a(b)", {("call removed", "pass")}),
    ("x = b if a else c", {("condition negated", "x = b if not (a) else c")}),
    ("if a: b", {("condition negated", "if not (a): b")}),
    ("x: int | str = a", set()),
    ("print(a + b)", set()),
    ("x = f'{a + b:.1f}'", set()),
    ("raise Error(a + b)", set()),
    ("def inner(): return a < b", set()),
])  # fmt: skip
def test_what_is_broken(line: str, expected: set[tuple[str, str]]) -> None:
    source = f"async def outer():\n    'No text: a < b.'\n    {line}  # a and b\n".encode()
    found = {
        (edit.operator, edit.lines(source)[1].removesuffix(" # a and b"))
        for edit in edits(source, functions(source)["outer"])
        if is_another_program(source, edit.changed(source))
    }
    assert found == expected


def test_functions_have_qualified_names() -> None:
    source = b"class A:\n    def f(self):\n        def g(): pass\ndef h(): pass\n"
    assert list(functions(source)) == ["A.f", "A.f.g", "h"]


MODULE = """\"\"\"Sums.\"\"\"


def total(a, b):
    return a + b


def untested(a, b):
    return a + b
"""


def test_tests_that_notice_are_told_from_those_that_do_not(tmp_path: Path) -> None:
    checkout, out = tmp_path / "checkout", tmp_path / "out"
    for name, text in {
        "avemotion/__init__.py": "",
        "avemotion/wing/__init__.py": "",
        "avemotion/wing/sums.py": MODULE,
        "tests/wing/test_sums.py": "from avemotion.wing.sums import total\n\n\n"
        "def test_total():\n    assert total(2, 3) == 5\n",
    }.items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(text)
    for words in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *words], cwd=checkout, check=True)
    command = [sys.executable, BENCHMARKS / "mutants.py", "--checkout", checkout, "--out", out]
    for _ in range(2):  # the second run tries nothing anew
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout.splitlines()[-1])
        assert result == {"mutants": 2, "survived_first": 1, "survived": 1, "equivalent": 0}
    assert done.stderr == ""
    with (out / "mutants.csv").open(newline="") as file:
        rows = {row["function"]: row for row in csv.DictReader(file)}
    assert rows["total"]["first_test"] == "tests/wing/test_sums.py::test_total"
    assert rows["untested"]["first"] == "all tests pass"
    assert "SURVIVED" in (out / "mutants.md").read_text().upper()
    assert (checkout / "avemotion/wing/sums.py").read_text() == MODULE
