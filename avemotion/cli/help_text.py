"""What ``--help`` prints: docstrings as a person reads them, without Python's names of types."""

from __future__ import annotations

from argparse import Action

import jsonargparse

_NOTHING = ("null", "()")
"""Defaults that stand for: not given."""


class HelpText(jsonargparse.DefaultHelpFormatter):
    """Shows no types: choices and defaults say what an option takes.

    jsonargparse has no setting for it; these two methods are its own affair, so a test reads every
    command's help.
    """

    def _get_type_str(self, action: Action) -> str | None:
        return None

    def _expand_help(self, action: Action) -> str:
        text = super()._expand_help(action).replace("``", "")
        for nothing in _NOTHING:
            text = text.removesuffix(f" (default: {nothing})")
        return text
