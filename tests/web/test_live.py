"""The camera's window, without the page."""

from pathlib import Path

import numpy as np
from app_maker import save_model

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
    assert all(answer.box is not None for answer in found)
    assert [answer.filled for answer in found] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert all(answer.probabilities is None for answer in found[:-1])
    assert np.isclose(sum(found[-1].probabilities.values()), 1)
    assert window.see(blank, WINDOW_SECONDS + 0.5).probabilities is None
