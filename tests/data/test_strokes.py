"""Marks of drawn faces: their hues, and what each action unit moves."""

import numpy as np

from avemotion.data.corpora.synthetic.expression import ACTIONS, UNITS
from avemotion.data.corpora.synthetic.face import film
from avemotion.data.corpora.synthetic.look import Look, draw_look
from avemotion.data.corpora.synthetic.strokes import brow_strokes, nose_strokes


def test_brows_and_nostrils_are_darker_in_the_same_hue() -> None:
    look = draw_look(np.random.default_rng(0))
    still = {name: np.zeros(1) for name in ACTIONS}
    for strokes, of in ((brow_strokes, look.hair), (nose_strokes, look.skin)):
        shares = np.array(strokes(look, still)[0].colour) / np.array(of)
        assert 0 < shares[0] < 1 and np.allclose(shares, shares[0])


def test_every_action_unit_moves_the_face_and_none_looks_like_another() -> None:
    """Averaged over people; the face at rest is the same from one drawing to the next."""
    shown = {unit: np.zeros((360, 480)) for unit in UNITS}
    for person in range(4):
        look = draw_look(np.random.default_rng(person))

        def picture(action: str | None, look: Look = look, person: int = person) -> np.ndarray:
            act = {name: np.full(1, float(name == action)) for name in ACTIONS}
            frames = film(look, act, np.zeros(1), 30.0, np.random.default_rng((9, person)))
            return next(iter(frames))[:360].astype(float)

        rest = picture(None)
        assert np.array_equal(rest, picture(None))
        for unit, action in UNITS.items():
            shown[unit] += picture(action) - rest
    changes = np.array([change.ravel() for change in shown.values()])
    assert np.abs(changes).max(axis=1).min() > 20, "a unit that does not show"
    likeness = np.corrcoef(changes) - np.eye(len(UNITS))
    assert likeness.max() < 0.9, "two units look the same"
