"""What all benchmarks share: interleaved timing, and a report with the machine and versions."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tabulate import tabulate

RESULTS = Path(__file__).parent / "results"
"""Where the tables go unless ``--out`` says otherwise."""

_PACKAGES = (
    "avemotion",
    "torch",
    "av",
    "opencv-python-headless",
    "numpy",
    "scikit-learn",
    "onnxruntime",
)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times longer one job takes than another."""

    median: float
    """Ratio of the two medians."""
    low: float
    """Smallest ratio of a round."""
    high: float
    """Largest ratio of a round."""

    def __str__(self) -> str:
        """Show the median and the range."""
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the option that all benchmarks have."""
    arguments = argparse.ArgumentParser(
        description=(description or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    arguments.add_argument("--out", type=Path, default=RESULTS, help="folder of the table")
    return arguments


def interleave(
    jobs: Mapping[str, Callable[[], object]], repeats: int, warm_up: bool = True
) -> dict[str, list[float]]:
    """Time jobs in turn (A B A B ...), so that a busy moment of the machine meets all of them.

    Args:
        jobs: What to time, by name.
        repeats: Rounds.
        warm_up: Run each once before, untimed.

    Returns:
        Seconds of each round, by name.
    """
    if warm_up:
        for job in jobs.values():
            job()
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Compare two jobs by their medians; the range is that of the rounds taken one by one."""
    rounds = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Ratio(statistics.median(ours) / statistics.median(theirs), min(rounds), max(rounds))


def timing_table(seconds: Mapping[str, Sequence[float]], per: int = 1) -> str:
    """Return median, fastest and slowest round of each job in milliseconds.

    Args:
        seconds: What `interleave` measured.
        per: Pieces of work in a round; the table is about one.
    """
    rows = [
        [name, *(f"{1000 * x / per:.1f}" for x in (statistics.median(s), min(s), max(s)))]
        for name, s in seconds.items()
    ]
    return table(["", "median ms", "min", "max"], rows)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; numbers come as they are written."""
    return tabulate(rows, header, tablefmt="github", disable_numparse=True)


def publish(
    out: Path, name: str, title: str, parts: Sequence[str], result: Mapping[str, object]
) -> None:
    """Write ``NAME.md``, print it, and print the result as one last line of JSON.

    Args:
        out: Folder of the table.
        name: Name of the benchmark.
        title: What is compared.
        parts: Paragraphs and tables.
        result: Ratios and other figures by name.
    """
    environment = f"{_machine()}. Python {platform.python_version()}, {_versions()}."
    text = "\n\n".join([f"# {title}", *parts, environment, f"    {_command()}"]) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)
    print(json.dumps({key: _rounded(value) for key, value in result.items()}), flush=True)


def _rounded(value: object) -> object:
    if isinstance(value, Ratio):
        value = value.median
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.system()} {platform.machine()}, {_processor()}, {cores} cores"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def _versions() -> str:
    return ", ".join(f"{package} {version(package)}" for package in _PACKAGES)


def _command() -> str:
    """Return the command that was run, without where on this machine its files were."""
    words = [_plain_word(word) for word in sys.argv[1:]]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])


def _plain_word(word: str) -> str:
    path = Path(word)
    if not path.is_absolute():
        return word
    return path.name if path.suffix else "DIR"
