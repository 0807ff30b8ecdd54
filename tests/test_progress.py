"""Progress: a bar on a terminal; in a file plain lines, seldom, and none for what takes no time."""

import os
import pty
import re
import subprocess
import sys
import termios
import threading
from pathlib import Path

import avemotion

WORK = """
import sys, time
from avemotion import progress
progress.SECONDS_BETWEEN_LINES = float(sys.argv[1])
for _ in progress.progress_bar(range(20), desc="preprocess", unit="clip"):
    time.sleep(0.02)
bar = progress.progress_bar(total=3, desc="first", unit="fold")
for name in ("a", "b", "c"):
    time.sleep(0.1)
    bar.set_description(name)
    bar.update()
bar.close()
"""

FIT = """
import sys
from avemotion import progress
from avemotion.cli import main
progress.SECONDS_BETWEEN_LINES = 0.001
sys.exit(main(sys.argv[1:]))
"""


def said(code: str, *words: object) -> str:
    command = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(command, capture_output=True, check=True)
    return done.stderr.decode()


def test_a_file_gets_plain_lines_now_and_then() -> None:
    text = said(WORK, 0.15)
    assert text.isprintable() is False and set(re.findall(r"[\x00-\x1f\x7f]", text)) == {"\n"}
    lines = text.splitlines()
    assert 2 <= len(lines) <= 6 and "" not in lines
    shown = re.compile(r"(preprocess|[abc]) \d+ of \d+ (clip|fold)s, \d\d:\d\d elapsed, .* left")
    assert all(map(shown.fullmatch, lines)), lines


def test_what_takes_no_time_leaves_no_line() -> None:
    assert said(WORK, 30) == ""


def test_a_training_tells_its_epochs(small_store: Path, tmp_path: Path) -> None:
    words = ["fit", "--data", small_store, "--modality", "audio", "--out", tmp_path / "run"]
    words += ["--training.epochs", "3", "--training.batch_size", "16"]
    text = said(FIT, *words)
    assert set(re.findall(r"[\x00-\x1f\x7f]", text)) <= {"\n"}
    assert "fit 3 of 3 epochs" in text and len(text.splitlines()) <= 8, text


def test_a_terminal_gets_a_bar() -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 80))
    process = subprocess.Popen([sys.executable, "-c", WORK, "30"], stderr=theirs)
    os.close(theirs)
    seen: list[bytes] = []

    def read() -> None:
        try:
            while chunk := os.read(ours, 4096):
                seen.append(chunk)
        except OSError:  # the other end is closed
            return

    reader = threading.Thread(target=read)
    reader.start()
    assert process.wait(60) == 0
    reader.join(60)
    text = b"".join(seen).decode()
    assert "\r" in text and "preprocess: 100%" in text


def test_no_other_module_draws_a_bar() -> None:
    package = Path(avemotion.__file__).parent
    users = [p for p in package.rglob("*.py") if "import tqdm" in p.read_text(encoding="utf-8")]
    assert users == [package / "progress.py"]
