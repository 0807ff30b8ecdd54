"""A folder holds one evaluation, and says in words how another one differs."""

from pathlib import Path

import pytest

from avemotion.errors import UsageError
from avemotion.evaluation.plan import open_evaluation
from avemotion.evaluation.predictions import FORMAT
from avemotion.training.provenance import versions

ASKED = {
    "format": FORMAT,
    "protocol": "5fold",
    "data": "0a",
    "clips": "1b",
    "conditions": ["blur"],
    "models": {"ar5": {"width": 1.0}},
    "training": {"ar5": {"epochs": 2}},
    "encoders": ["moonshine-tiny:1a"],
    "versions": versions(),
}


@pytest.mark.parametrize(("name", "other", "words"), [
    ("protocol", "loao", "other protocol: there 5fold, asked loao."),
    ("data", "0b", "other data: the feature store was made from other files"),
    ("clips", "1c", "other clips: perhaps other --models or --modalities"),
    ("conditions", [], "other conditions: another version of avemotion"),
    (
        "models", {"ar5": {"width": 0.5}},
        r"other models \(there -> asked\):\n  ar5.width: 1.0 -> 0.5",
    ),
    (
        "training", {"ar5": {"epochs": 3}},
        r"other training \(there -> asked\):\n  ar5.epochs: 2 -> 3",
    ),
    ("encoders", ["moonshine-tiny:2b"], "other encoders"),
])  # fmt: skip
def test_another_evaluation_is_told_apart(
    tmp_path: Path, name: str, other: object, words: str
) -> None:
    open_evaluation(tmp_path, ASKED)
    open_evaluation(tmp_path, ASKED)
    with pytest.raises(UsageError, match=words):
        open_evaluation(tmp_path, ASKED | {name: other})
