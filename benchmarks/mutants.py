"""One line broken in each of 30 functions: do the tests notice?

Functions, kinds of break and places are chosen from a seed. Each break is tried in a copy of the
checkout: the tests of the function's wing run until one fails, those that name the module first,
for two minutes at most. A test that failed must pass on the unbroken copy. Outcomes are written to
`mutants.csv` as they come; what was stopped goes on there, and ``--again`` tries the survivors
anew, with the tests of today.
"""

from __future__ import annotations

import csv
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from mutations import edits, functions, is_another_program
from reporting import parser, publish, table

SECONDS = 120.0
"""For the tests of one mutant."""

NOTICED, PASSED, TIME_OUT = "noticed", "all tests pass", "no failure in time"
FAILS_ANYWAY, GONE = "the test fails without it, too", "the line is gone"

EQUIVALENT = {
    (
        "write_flv.write",
        'track.astype(np.float32)[None, :].clip(-2, 1), format="fltp", layout="mono"',
    ): "the encoder takes integers, and the conversion to them cuts at full scale, too",
}
"""Mutants that behave as the original: function and changed line, and the reason."""

_FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.MULTILINE)


@dataclass(slots=True)
class Mutant:
    """A function with one line broken, and what the tests said."""

    path: str
    function: str
    operator: str
    before: str
    after: str
    first: str = ""
    first_test: str = ""
    now: str = ""
    now_test: str = ""

    @property
    def outcome(self) -> str:
        """The outcome with the tests of today; empty where it was not tried."""
        return self.now or self.first

    @property
    def equivalent(self) -> str:
        """The reason why no test can notice it; empty where one could."""
        return EQUIVALENT.get((self.function, self.after), "")


def choose(checkout: Path, count: int, seed: int) -> list[Mutant]:
    """Choose functions, and for each a kind of break and a place, from a seed."""
    rng, candidates = random.Random(seed), []
    for path in sorted((checkout / "avemotion").rglob("*.py")):
        source = path.read_bytes()
        for name, function in functions(source).items():
            if found := edits(source, function):
                candidates.append((path, name, found))
    chosen: list[Mutant] = []
    for path, name, found in rng.sample(candidates, len(candidates)):
        source = path.read_bytes()
        operator = rng.choice(sorted({edit.operator for edit in found}))
        edit = rng.choice([edit for edit in found if edit.operator == operator])
        if is_another_program(source, edit.changed(source)):
            where = path.relative_to(checkout).as_posix()
            chosen.append(Mutant(where, name, operator, *edit.lines(source)))
        if len(chosen) == count:
            break
    return chosen


def broken(checkout: Path, mutant: Mutant) -> bytes | None:
    """Return the module with the mutant's line; None where the line is no longer there."""
    path = checkout / mutant.path
    source = path.read_bytes() if path.is_file() else b""
    function = functions(source).get(mutant.function)
    for edit in edits(source, function) if function else ():
        if edit.lines(source) == (mutant.before, mutant.after):
            return edit.changed(source)
    return None


def tests_of(checkout: Path, module: str) -> list[str]:
    """Return the test files of a module's wing: those that name the module first, short ones first.

    What stands below the wings is tested by whatever imports it.
    """
    path = Path(module)
    wing = path.parts[1] if len(path.parts) > 2 else ""
    dotted = ".".join(path.with_suffix("").parts)
    ranked = []
    for file in (checkout / "tests" / wing).rglob("test_*.py"):
        imports_it = dotted in file.read_text(encoding="utf-8")
        if wing or imports_it:
            order = (path.stem not in file.stem, not imports_it, file.stat().st_size)
            ranked.append((order, file.relative_to(checkout).as_posix()))
    return [name for _, name in sorted(ranked)]


def run_tests(checkout: Path, tests: Sequence[str]) -> tuple[str, str]:
    """Run tests until one fails; return how it ended, and the test that failed."""
    words = ["-m", "pytest", "-q", "-x", "-rfE", "-p", "no:cacheprovider", *tests]
    # Compiled files would be taken for those of a mutant as long and as old.
    environment = {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=checkout,
        env=os.environ | environment | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return TIME_OUT, ""
    finally:
        with suppress(ProcessLookupError):  # servers that the tests started, too
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode == 0:
        return PASSED, ""
    failed = _FAILED.search(output)
    return NOTICED, failed[1] if failed else output.strip().splitlines()[-1]


def try_out(checkout: Path, mutant: Mutant) -> tuple[str, str]:
    """Run the tests on a mutant, in place; return its outcome and the test that failed."""
    changed = broken(checkout, mutant)
    if changed is None:
        return GONE, ""
    path = checkout / mutant.path
    original = path.read_bytes()
    path.write_bytes(changed)
    try:
        outcome, test = run_tests(checkout, tests_of(checkout, mutant.path))
    finally:
        path.write_bytes(original)
    if outcome == NOTICED and run_tests(checkout, [test])[0] == NOTICED:
        outcome = FAILS_ANYWAY
    return outcome, test


def copy_of(checkout: Path, target: Path) -> Path:
    """Copy what git knows of a checkout."""
    listed = subprocess.run(
        ["git", "-C", str(checkout), "ls-files"], capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (checkout / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(checkout / name, target / name)
    return target


def read_mutants(path: Path) -> list[Mutant]:
    with path.open(newline="", encoding="utf-8") as file:
        return [Mutant(**row) for row in csv.DictReader(file)]


def write_mutants(path: Path, mutants: Sequence[Mutant]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, [field.name for field in fields(Mutant)])
        rows.writeheader()
        rows.writerows(map(asdict, mutants))
    partial.replace(path)


def line_of(mutant: Mutant) -> list[str]:
    """Return the mutant's row of the table."""

    def code(text: str) -> str:
        short = text if len(text) <= 100 else f"{text[:100]} ..."
        return f"`{short.replace('|', '&#124;')}`"

    if mutant.equivalent:
        outcome = f"equivalent: {mutant.equivalent}"
    elif mutant.now:
        outcome = f"first: {mutant.first}; now: {mutant.now_test or mutant.now}"
    else:
        outcome = mutant.first_test or f"**survived**: {mutant.first}"
    where = f"{mutant.path.removeprefix('avemotion/')} {mutant.function}"
    return [where, mutant.operator, f"{code(mutant.before)} -> {code(mutant.after)}", outcome]


def report(out: Path, mutants: Sequence[Mutant], seed: int) -> None:
    counted = [mutant for mutant in mutants if not mutant.equivalent]
    first, now = (Counter(x) for x in zip(*((m.first, m.outcome) for m in counted), strict=True))
    names = (NOTICED, PASSED, TIME_OUT, FAILS_ANYWAY, GONE)
    rows = [
        [when, len(counted), *(count[name] for name in names)]
        for when, count in (("first run", first), ("survivors tried again (--again)", now))
    ]
    publish(
        out,
        "mutants",
        "One line broken in each of some functions: do the tests notice?",
        [
            f"{len(mutants)} functions of the package, chosen with seed {seed}, and in each one "
            "break of a kind and place chosen with it, too. The tests of the function's wing ran, "
            f"those that name the module first, for {SECONDS:g} s at most; a break that no test "
            "noticed until then has survived. Each test that noticed one passes without it. "
            f"Breaks without effect, which are not counted: {len(mutants) - len(counted)}. "
            "*No failure in time* is no promise that all tests would pass: on a busy machine two "
            "minutes end early. Tests were written for the survivors before they were tried again, "
            "so the second row tells nothing about other breaks.",
            table(["", "mutants", *names], rows),
            table(["function", "kind", "change", "noticed by"], list(map(line_of, mutants))),
        ],
        {
            "mutants": len(counted),
            "survived_first": len(counted) - first[NOTICED] - first[GONE],
            "survived": len(counted) - now[NOTICED] - now[GONE],
            "equivalent": len(mutants) - len(counted),
        },
    )


def main() -> None:
    arguments = parser(__doc__)
    here = Path(__file__).parents[1]
    arguments.add_argument("--checkout", type=Path, default=here, help="what to copy and break")
    arguments.add_argument("--count", type=int, default=30, help="functions")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--again", action="store_true", help="try the survivors anew")
    given = arguments.parse_args()
    outcomes = given.out / "mutants.csv"
    if not outcomes.is_file():
        write_mutants(outcomes, choose(given.checkout, given.count, given.seed))
    mutants = read_mutants(outcomes)
    with tempfile.TemporaryDirectory() as temporary:
        copy = copy_of(given.checkout, Path(temporary))
        for mutant in mutants:
            if not mutant.first:
                mutant.first, mutant.first_test = try_out(copy, mutant)
            elif given.again and not (mutant.outcome in (NOTICED, GONE) or mutant.equivalent):
                mutant.now, mutant.now_test = try_out(copy, mutant)
            else:
                continue
            print(mutant.path, mutant.function, mutant.outcome, file=sys.stderr, flush=True)
            write_mutants(outcomes, mutants)
    report(given.out, mutants, given.seed)


if __name__ == "__main__":
    main()
