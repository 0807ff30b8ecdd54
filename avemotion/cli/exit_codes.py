"""Exit codes: all done, some inputs failed (the rest is done), wrong usage, interrupted."""

OK, SOME_FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
