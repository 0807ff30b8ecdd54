"""Run a benchmark in its smallest form."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(name: str, out: Path, *arguments: object, table: str = "") -> dict:
    """Run a benchmark without real clips; return the JSON of its last line."""
    environment = {k: v for k, v in os.environ.items() if k != "AVEMOTION_TEST_DATA"}
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{name}.py"), "--out", str(out), *map(str, arguments)],
        # One thread: where other work shares the cores, several wait for one another for minutes.
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    written = (out / f"{table or name}.md").read_text(encoding="utf-8")
    assert f"python benchmarks/{name}.py --out DIR" in written
    assert str(out) not in written
    return json.loads(done.stdout.splitlines()[-1])


def positive(result: dict, *names: str) -> bool:
    return all(math.isfinite(result[name]) and result[name] > 0 for name in names)
