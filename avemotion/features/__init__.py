"""Frames and sound become face crops, spectrograms, and the features of a clip."""
