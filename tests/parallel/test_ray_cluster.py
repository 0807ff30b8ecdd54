"""Two Ray nodes on this machine: whatever is lost, results are those of one machine, byte for byte.

Skipped where Ray is not installed; `pip install -e '.[dev]'` brings it.
"""

import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_maker import make_wav, speech_like
from preprocess_maker import SETTINGS, contents, run, voices
from test_pool import calls, leave_a_mark, tasks

import avemotion
from avemotion.config import ExperimentSettings, TrainingSettings
from avemotion.data import preprocessing
from avemotion.data.preprocessing import preprocess
from avemotion.data.splits import Fold, actors_of, of_actors
from avemotion.data.store import FeatureStore
from avemotion.errors import AvemotionError, UsageError
from avemotion.evaluation.cross_validation import FoldTask, train_and_test
from avemotion.parallel.cluster_check import TOKEN_NAME

ROOT = Path(avemotion.__file__).parents[1]
VERSION = re.escape(avemotion.__version__)
NODE = {"num_cpus": 1, "object_store_memory": 150 * 2**20}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of one node with one core, where the commands find it."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[dev]'")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # The nodes run this package, and functions of these tests.
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(Path(__file__).parent)]))
        soon = {"health_check_period_ms": 1000, "health_check_timeout_ms": 2000}
        head = NODE | {"include_dashboard": False, "_system_config": soon}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
        cluster.shutdown()


def on_ray(corpus: Path, out: Path):
    return preprocess(corpus, out=out, engine="ray", settings=SETTINGS, progress=False)


@contextmanager
def meanwhile(action: Callable[[], None]) -> Iterator[None]:
    """Do something in a thread while the block runs; its errors are the test's."""
    errors: list[BaseException] = []

    def act() -> None:
        try:
            action()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    yield
    thread.join()
    if errors:
        raise errors[0]


def wait_for(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 120
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return found


def readers(path: Path) -> list[int]:
    """Processes, other than this one, that have a file open."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and int(process.name) != os.getpid():
                if any(link.readlink() == path for link in (process / "fd").iterdir()):
                    found.append(int(process.name))
        except OSError:  # it has ended
            continue
    return found


@pytest.fixture
def crowd(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Thirty clips of ten actors; six more, with faces, where the real ones are at hand."""
    corpus = voices(tmp_path / "corpus", actors=10, clips=3, seconds=6)
    if os.environ.get("AVEMOTION_TEST_DATA"):
        (corpus / "VideoFlash").mkdir()
        for number, video in enumerate(request.getfixturevalue("real_videos")):
            name = f"{1002 + number}_IEO{video.stem[8:]}.flv"
            shutil.copyfile(video, corpus / "VideoFlash" / name)
    return corpus


def test_a_lost_node_changes_no_byte(cluster: Any, crowd: Path, tmp_path: Path):
    node = cluster.add_node(**NODE)
    out = tmp_path / "ray"

    def lose_the_node() -> None:
        wait_for(lambda: list((out / "actors").glob("*.safetensors")))
        cluster.remove_node(node, allow_graceful=False)
        assert len(list((out / "actors").glob("*.safetensors"))) < 9, "lost too late"

    with meanwhile(lose_the_node):
        report = on_ray(crowd, out)
    assert not report.failed and report.processed == len(report.rows) >= 30
    here = run(crowd, tmp_path / "local", workers=2)
    assert report.rows == here.rows
    assert contents(out) == contents(tmp_path / "local")
    assert on_ray(crowd, out).processed == 0


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to find the decoder")
def test_a_decoder_that_dies_or_hangs_is_recorded_as_on_one_machine(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import ray

    corpus = voices(tmp_path / "corpus", actors=3, clips=1)
    signals = {"1001_DFA_ANG_XX": signal.SIGKILL, "1003_DFA_ANG_XX": signal.SIGSTOP}
    for name in signals:  # so long that its decoder is still busy when the signal comes
        make_wav(corpus / "AudioWAV" / f"{name}.wav", np.tile(speech_like(10), 90))

    def send_signals() -> None:
        for name, number in signals.items():
            path = corpus / "AudioWAV" / f"{name}.wav"
            for process in wait_for(lambda path=path: readers(path)):
                os.kill(process, number)

    monkeypatch.setattr(preprocessing, "CLIP_TIMEOUT_SECONDS", 5)
    with meanwhile(send_signals):
        run(corpus, tmp_path / "local")

    def shorten() -> None:
        preprocessing.CLIP_TIMEOUT_SECONDS = 5

    ray.init(log_to_driver=False, runtime_env={"worker_process_setup_hook": shorten})
    try:
        with meanwhile(send_signals):
            report = on_ray(corpus, tmp_path / "ray")
        assert ray.is_initialized()  # it was not ours to end
    finally:
        ray.shutdown()
    reasons = {row.clip: row.reason for row in report.failed}
    assert reasons.keys() == signals.keys(), reasons
    assert re.search("crash", reasons["1001_DFA_ANG_XX"])
    assert re.search("took longer than 5 s", reasons["1003_DFA_ANG_XX"])
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


def test_folds_give_the_same_predictions(cluster: Any, small_store: Path, tmp_path: Path):
    store = FeatureStore(small_store)
    settings = TrainingSettings(epochs=1, batch_size=16, validation=0.0, early_stopping=False)
    experiment = ExperimentSettings("ar5", "audio", {"width": 0.25}, settings)
    actors = actors_of(store.rows)
    for engine in ("local", "ray"):
        folds = [
            FoldTask(
                small_store,
                tmp_path / engine,
                Fold(actor, (actor,)),
                experiment,
                frozenset(row.clip for row in of_actors(store.rows, [actor])),
                robustness=False,
            )
            for actor in actors[:2]
        ]
        (tmp_path / engine).mkdir()
        predictions, _ = train_and_test(folds, store.task, 1, progress=False, engine=engine)
        assert len(predictions["ar5/audio"]) == 24
    assert contents(tmp_path / "ray" / "folds") == contents(tmp_path / "local" / "folds")
    assert (
        contents(tmp_path / "ray" / "runs").keys() == contents(tmp_path / "local" / "runs").keys()
    )
    assert not (tmp_path / "ray" / TOKEN_NAME).exists()


def test_all_others_are_done_before_a_failure_is_raised_on_ray(cluster: Any, tmp_path: Path):
    from avemotion.parallel import ray_cluster

    marks, done = tmp_path / "marks", []
    marks.mkdir()
    (tmp_path / "sample").touch()
    with (
        ray_cluster.cluster(tmp_path, tmp_path / "sample") as check,
        pytest.raises(AvemotionError, match="task 0 failed: FileNotFoundError: the tea is gone"),
    ):
        work = tasks(marks, "fails", "works", "dies once")
        for name in ray_cluster.run_all(leave_a_mark, work, 1, check):
            done.append(name)
    assert done == ["task 1", "task 2"]
    assert calls(marks) == {"0": 1, "1": 1, "2": 2}


def test_a_node_with_other_code_is_refused(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    corpus = voices(tmp_path / "corpus", actors=1, clips=1)
    shutil.copytree(ROOT / "avemotion", tmp_path / "theirs" / "avemotion")
    with (tmp_path / "theirs" / "avemotion" / "features" / "spectrogram.py").open("a") as file:
        file.write("\nMEL_BANDS = 63\n")
    node = cluster.add_node(**NODE, env_vars={"PYTHONPATH": str(tmp_path / "theirs")})
    monkeypatch.chdir(tmp_path)  # Ray's workers look into the folder of the one that asks first
    try:
        with pytest.raises(
            UsageError, match=f"Node .* cannot take part: its avemotion is {VERSION}"
        ):
            on_ray(corpus, tmp_path / "out")
    finally:
        cluster.remove_node(node)
    assert not list((tmp_path / "out").rglob("*.safetensors"))
    assert on_ray(corpus, tmp_path / "out").counts == {"audio": 1}


def test_a_folder_that_a_node_does_not_see_is_refused(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The same path, but another place: that of each process' own working directory."""
    corpus = voices(tmp_path / "corpus", actors=1, clips=1)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="Node .* does not see the same /proc/self/cwd/out"):
        on_ray(corpus, Path("/proc/self/cwd/out"))
    with pytest.raises(UsageError, match="does not see the same /proc/self/cwd/corpus/AudioWAV"):
        on_ray(Path("/proc/self/cwd/corpus"), tmp_path / "other")


def test_wrong_addresses_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[dev]'")
    corpus = voices(tmp_path / "corpus", actors=1, clips=1)
    for address, message in (
        ("127.0.0.1:1", "No Ray cluster answers at RAY_ADDRESS=127.0.0.1:1"),
        ("nowhere:port", "No Ray cluster answers"),
        ("ray://head:10001", "RAY_ADDRESS=auto"),
    ):
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(UsageError, match=message):
            on_ray(corpus, tmp_path / "out")


def test_evaluation_asks_the_cluster(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[dev]'")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    ask = {"data": small_store, "engine": "ray", "out": tmp_path / "out", "progress": False}
    with pytest.raises(UsageError, match="No Ray cluster answers"):
        avemotion.evaluate(protocol="loso", **ask)
    with pytest.raises(UsageError, match="--engine"):
        avemotion.evaluate(protocol="holdout", **ask)


def test_where_ray_is_missing_the_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    corpus = voices(tmp_path / "corpus", actors=1, clips=1)
    monkeypatch.setitem(sys.modules, "ray", None)
    for wing, module in (
        (avemotion.parallel, "ray_cluster"),
        (avemotion.data, "ray_preprocessing"),
    ):
        monkeypatch.delitem(sys.modules, f"{wing.__name__}.{module}", raising=False)
        monkeypatch.delattr(wing, module, raising=False)
    with pytest.raises(UsageError, match=r"pip install '\.\[ray\]'"):
        on_ray(corpus, tmp_path / "out")
