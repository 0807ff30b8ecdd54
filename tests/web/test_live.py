"""The camera's window, without the page."""

from pathlib import Path

import numpy as np
from app_maker import save_model, save_picture_model

from avemotion.data.corpora.synthetic.face import face_frames
from avemotion.data.corpora.synthetic.look import draw_look
from avemotion.inference.runtimes.loading import load_runtime
from avemotion.web.live import WINDOW_SECONDS, CameraImage, LiveWindow


def test_only_a_full_window_with_a_face_has_an_answer(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    planes = next(face_frames(draw_look(rng), "neutral", np.zeros(20), 30.0, 1.0, rng))
    face = CameraImage(planes[:360])
    blank = CameraImage(np.full((360, 480), 127, np.uint8))
    window = LiveWindow(load_runtime(save_model(tmp_path), "cpu"))
    found = [window.see(face, seconds) for seconds in np.arange(0, WINDOW_SECONDS + 0.5, 0.5)]
    assert all([face.number for face in answer.faces] == [1] for answer in found)
    assert [answer.filled for answer in found] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert all(answer.faces[0].probabilities is None for answer in found[:-1])
    assert np.isclose(sum(found[-1].faces[0].probabilities.values()), 1)
    assert window.see(blank, WINDOW_SECONDS + 0.5).faces == ()


def drawn(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return next(face_frames(draw_look(rng), "neutral", np.zeros(20), 30.0, 1.0, rng))[:360]


def test_every_face_has_an_answer_and_keeps_its_number(tmp_path: Path) -> None:
    first, second = drawn(0), drawn(1)
    both, swapped = (np.hstack(pair) for pair in ((first, second), (second, first)))
    alone = np.hstack([first, np.full_like(second, 127)])
    window = LiveWindow(load_runtime(save_picture_model(tmp_path), "cpu"))

    def numbers(grey: np.ndarray, seconds: float) -> dict[str, int]:
        faces = window.see(CameraImage(grey), seconds).faces
        assert all(np.isclose(sum(face.probabilities.values()), 1) for face in faces)
        return {"left" if face.box.x < 400 else "right": face.number for face in faces}

    start = numbers(both, 0.0)
    assert set(start) == {"left", "right"} and set(start.values()) == {1, 2}
    assert numbers(both, 0.1) == start
    assert numbers(alone, 0.4) == {"left": start["left"]}
    assert numbers(both, 0.8) == start, "it was gone for a moment"
    for seconds in (1.2, 1.9):
        assert numbers(alone, seconds) == {"left": start["left"]}
    assert numbers(both, 2.6) == {"left": start["left"], "right": 3}, "gone for over a second"
    assert len(window.see(CameraImage(swapped), 9.0).faces) == 2


def test_a_model_for_pictures_answers_at_once_and_is_smoothed(tmp_path: Path) -> None:
    """What is shown is the mean of the log-probabilities of the last second."""
    runtime = load_runtime(save_picture_model(tmp_path), "cpu")
    task, given = runtime.metadata.task, []
    rng = np.random.default_rng(0)

    def answer(clips: object) -> np.ndarray:
        shares = rng.random((1, len(task.labels)))
        given.append(shares / shares.sum())
        return given[-1]

    runtime.probabilities = answer
    window, face = LiveWindow(runtime), CameraImage(drawn(0))
    found = [window.see(face, seconds) for seconds in (0.0, 0.4, 0.8, 1.2)]
    assert [one.filled for one in found] == [1.0] * 4
    for last, used in ((found[0], given[:1]), (found[2], given[:3]), (found[3], given[1:])):
        pooled = np.prod(np.concatenate(used), axis=0) ** (1 / len(used))
        shown = list(last.faces[0].probabilities.values())
        np.testing.assert_allclose(shown, pooled / pooled.sum(), rtol=1e-6)
