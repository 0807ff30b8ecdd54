"""Marks of drawn faces keep the hue of what they darken."""

import numpy as np

from avemotion.data.corpora.synthetic.expression import ACTIONS
from avemotion.data.corpora.synthetic.look import draw_look
from avemotion.data.corpora.synthetic.strokes import brow_strokes, nose_strokes


def test_brows_and_nostrils_are_darker_in_the_same_hue() -> None:
    look = draw_look(np.random.default_rng(0))
    still = {name: np.zeros(1) for name in ACTIONS}
    for strokes, of in ((brow_strokes, look.hair), (nose_strokes, look.skin)):
        shares = np.array(strokes(look, still)[0].colour) / np.array(of)
        assert 0 < shares[0] < 1 and np.allclose(shares, shares[0])
