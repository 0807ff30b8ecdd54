"""A file's bytes become grey frames and 16 kHz mono sound."""
