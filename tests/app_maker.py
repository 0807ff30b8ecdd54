"""A running `avemotion app`, and what to send to it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import av
import numpy as np
import torch
from media_maker import make_clip, noise_frames
from network_maker import EXPERIMENTS, metadata_of, untrained

from avemotion.config import ExperimentSettings
from avemotion.data.corpora import fer2013
from avemotion.data.task import Task
from avemotion.inference.runtimes.loading import load_runtime
from avemotion.media.reader import read_clip
from avemotion.models.checkpoint import save_checkpoint
from avemotion.models.miene import Miene, MieneSettings
from avemotion.models.registry import create, with_settings
from avemotion.web.connections import PageServer
from avemotion.web.server import build_server
from avemotion.web.uploads import Limits

RATE = 30  # frames a second of synthetic clips


@dataclass
class App:
    """A server of its own process, and the folder that all its temporary files are in."""

    process: subprocess.Popen[str]
    port: int
    temporary: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        """Send a request; ``x_file_name`` stands for ``X-File-Name``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, names)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def parts(self, body: bytes, name: str = "clip.flv", **more: str) -> tuple[int, list[Any]]:
        """Send a file; return the JSON objects of the answer."""
        status, content = self.ask("POST", "/classify", body, x_file_name=quote(name), **more)
        return status, [json.loads(line) for line in content.splitlines()]

    def classify(self, body: bytes, name: str = "clip.flv", **more: str) -> tuple[int, Any]:
        """Send a short file, whose answer is one object."""
        status, (found,) = self.parts(body, name, **more)
        return status, found

    def uploads(self) -> list[Path]:
        """Files that were not removed yet, wherever they are."""
        try:
            return [path for path in self.temporary.rglob("*") if path.is_file()]
        except FileNotFoundError:  # a folder is going while it is listed
            return self.uploads()

    def children(self) -> list[int]:
        """The processes beside the server."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")  # any thread starts them
        return [int(pid) for task in tasks for pid in task.read_text().split()]

    def peak_mebibytes(self, pid: int) -> float:
        """Most memory that a process ever held."""
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024


def save_model(folder: Path, name: str = "av") -> Path:
    """Write a network with random weights."""
    path = folder / f"{name}.safetensors"
    save_checkpoint(path, untrained(EXPERIMENTS[name]), metadata_of(EXPERIMENTS[name]))
    return path


def save_picture_model(folder: Path) -> Path:
    """Write Miene with random weights, always the same; it finds faces, and reads them 48 x 48."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = MieneSettings(channels=(16, 32), votes_share=0.0)
    experiment = with_settings(ExperimentSettings("miene", "video"), settings)
    task = Task(fer2013.EMOTIONS)
    torch.manual_seed(0)
    metadata = replace(
        metadata_of(EXPERIMENTS["video"]),
        experiment=experiment,
        corpus=fer2013.NAME,
        task=task,
        inputs=Miene.reads("video", settings),
        preprocessing=fer2013.SETTINGS,
    )
    path = folder / "pictures.safetensors"
    save_checkpoint(path, create(task, experiment).eval(), metadata)
    return path


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "avemotion", "app", *map(str, words)]


@contextmanager
def serving(
    temporary: Path, checkpoint: Path, *options: object, end: signal.Signals = signal.SIGTERM
) -> Iterator[App]:
    """Run the command until the block ends, by a signal; it must leave nothing behind."""
    temporary.mkdir()
    process = subprocess.Popen(
        command("--checkpoint", checkpoint, "--port", 0, *options),
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whatever started the tests may ignore it (`nohup`), and the server would inherit that.
        preexec_fn=partial(signal.signal, end, signal.SIG_DFL),
    )
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield App(process, int(line.split()[0].rpartition(":")[2]), temporary)
        process.send_signal(end)
        process.wait(60)
        assert not list(temporary.iterdir())
        errors = process.stderr.read()
        assert not errors, errors
    finally:
        process.kill()
        process.wait()


@contextmanager
def serving_here(model: Path, temporary: Path, limits: Limits) -> Iterator[App]:
    """Run the server in a thread of this process, whose constants a test may change."""
    listener = socket.create_server(("127.0.0.1", 0))
    with patch("tempfile.tempdir", str(temporary)), listener:
        server = build_server(model, load_runtime(model, "cpu"), "127.0.0.1", limits)
        running = PageServer(server)
        thread = threading.Thread(target=running.run, args=([listener],))
        thread.start()
        try:
            while not running.started:
                time.sleep(0.02)
            yield App(None, listener.getsockname()[1], temporary)
        finally:
            running.should_exit = True
            thread.join()
    assert list(temporary.iterdir()) == []


def write_film(path: Path, clip: Path, seconds: int = 15) -> Path:
    """Write a film: a clip, 4 s of nobody and silence, the clip until the end."""
    media = read_clip(clip, clip, np.arange)
    frames_once = media.frames.frames
    length = len(frames_once) * 16_000 // RATE
    sound_once = media.sound.samples[:length].astype(np.float32) / 32_768
    sound_once = np.pad(sound_once, (0, length - len(sound_once)))
    times = -(-(seconds - 4) * RATE // len(frames_once))  # repetitions of the clip
    nobody = noise_frames(4 * RATE, *frames_once.shape[1:], smooth=40)
    frames = np.concatenate([frames_once, nobody, *[frames_once] * (times - 1)])
    silence = np.zeros(4 * 16_000, np.float32)
    sound = np.concatenate([sound_once, silence, *[sound_once] * (times - 1)])
    return make_clip(path, frames, RATE, sound, 16_000, codec="mpeg4")


def write_camera(path: Path, clip: Path) -> Path:
    """Write a clip's frames, forwards and backwards, as a browser's fake camera reads them."""
    with av.open(str(clip)) as container:
        images = [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]
    height, width = images[0].shape[0] * 2 // 3, images[0].shape[1]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F30:1 Ip A1:1 C420jpeg\n".encode())
        for image in images + images[::-1]:
            file.write(b"FRAME\n" + image.tobytes())
    return path
