"""What to cite, as BibTeX: the package, the models, the corpora."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from avemotion.data.corpora import CITATIONS
from avemotion.errors import UsageError
from avemotion.evaluation.predictions import read_metadata
from avemotion.models.header import checkpoint_at, read_header
from avemotion.models.packaged import PACKAGED
from avemotion.models.registry import model_class, model_names

PACKAGE = """\
@misc{{avemotion,
  author = {{{{The avemotion developers}}}},
  title  = {{avemotion}},
  note   = {{Python package, version {version}, Apache-2.0}}
}}"""
"""The package; ``CITATION.cff`` says the same."""


def cite(used: Path | str | None = None) -> str:
    """Return what to cite as BibTeX; what has no entry is named in a comment.

    Args:
        used: Folder that `evaluate` wrote, or a model: a checkpoint, the folder of its run, or
            ``avemotion-1``. Then its corpora and models alone, and this package; of a model that
            began with the weights of others, also what those learned from. By default all.

    Raises:
        UsageError: There is neither a finished evaluation nor a checkpoint, another version wrote
            it, or it is damaged.

    Examples:
        >>> from avemotion import cite
        >>> print(cite().splitlines()[0])
        @misc{avemotion,
    """
    entries = [PACKAGE.format(version=installed_version("avemotion"))]
    if used is None:
        entries += [_model(name) for name in model_names()]
        entries += filter(None, CITATIONS.values())
    elif (model := checkpoint_at(Path(used))).is_file():
        trained = read_header(model)
        made_of = {trained.experiment.model: trained.experiment.settings}
        entries += [_model(name) for name in _with_members(made_of)]
        entries.append(_corpus(trained.corpus, trained.synthetic is not None))
        entries += [_corpus(one.corpus, one.synthetic) for one in trained.initialised_from]
    elif Path(used).is_dir():
        metadata = read_metadata(Path(used))
        entries += [_model(name) for name in _with_members(metadata["models"])]
        entries.append(_corpus(metadata["corpus"], metadata["synthetic"] is not None))
    else:
        raise UsageError(
            f"There is nothing at {used}. Give the folder of an evaluation, a checkpoint, the "
            f"folder of its run, or {PACKAGED}."
        )
    each = (entry for text in entries for entry in text.split("\n\n"))
    return "\n\n".join(dict.fromkeys(each))  # models share publications


def _with_members(models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the names of models, and of those that they are made of."""
    members = [one["model"] for settings in models.values() for one in settings.get("members", ())]
    return list(dict.fromkeys([*models, *members]))


def _model(name: str) -> str:
    try:
        about = model_class(name).about
    except UsageError:
        return _comment(f"The model {name} is not installed here: cite its publication.")
    return about.bibtex or _comment(f"The model {name} has no BibTeX entry: {about.source}")


def _corpus(name: str, synthetic: bool) -> str:
    if synthetic:
        return _comment("The corpus is SYNTHETIC, drawn and synthesised by avemotion itself.")
    return CITATIONS.get(name) or _comment(f"The corpus {name}: cite where its clips come from.")


def _comment(text: str) -> str:
    """Return text that BibTeX ignores: it reads on from the next ``@``."""
    return f"% {' '.join(text.split())}".replace("@", "(at)")
