"""How far recordings differ: the ranges that training and the views of embeddings draw from."""

from __future__ import annotations

NOISE_SNR_DB = (0.0, 30.0)
"""Signal-to-noise ratio of added noise in dB: drawn evenly between the two for each clip."""
NOISE_FALL_DB = 10.0
"""Steepest fall of that noise, in dB a decade of frequency: 0 is white, 10 is pink."""
LOWEST_NOISE_HZ = 50.0
"""Below, coloured noise is white: it would be all rumble."""
REVERBERATION_SECONDS = (0.2, 0.9)
"""Time in which a room's sound falls by 60 dB: from a living room to a bare hall."""
LOW_EDGE_HZ = (50.0, 400.0)
"""Lower end of a narrow channel, 3 dB down, drawn evenly in logarithm."""
HIGH_EDGE_HZ = (3_000.0, 7_500.0)
"""Upper end: a telephone has 3,400 Hz, speech codecs up to 7 kHz."""
EDGE_ORDER = 8
"""Of a Butterworth filter's response at either end."""
EQUALISER_DB = 6.0
"""Standard deviation of a microphone's response, from one point to another."""
EQUALISER_KNOTS = 8
"""Points, equally far apart in mel, between which that response is linear."""
