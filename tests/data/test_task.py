"""What follows from labels and action units: scores, losses, answers."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from avemotion.data.task import Task, most_probable
from avemotion.errors import AvemotionError, UsageError

ONE = Task(("calm", "happy"))
UNITS = Task(("fear", "joy", "neutral"), ("AU1", "AU2"))
REST = replace(UNITS, neutral_below=0.3)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_scores_closed_form() -> None:
    logits = torch.tensor([[0.0, 0.0], [0.0, 9.0], [9.0, 0.0], [9.0, 0.0]])
    scores = ONE.scores(logits, ONE.target(torch.tensor([0, 1, 1, 0])))
    assert float(scores["accuracy"]) == pytest.approx(3 / 4)
    assert float(scores["uar"]) == pytest.approx((2 / 2 + 1 / 2) / 2)
    near_zero = torch.log1p(torch.exp(torch.tensor(-9.0)))
    expected = (torch.log(torch.tensor(2.0)) + 9 + 3 * near_zero) / 4
    assert float(scores["loss"]) == pytest.approx(float(expected), rel=1e-5)
    assert "unit_f1" not in scores


def test_scores_with_units_closed_form() -> None:
    units = torch.tensor([[9.0, -9.0], [9.0, 9.0], [-9.0, 9.0], [-9.0, -9.0]])
    has = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    labels = torch.tensor([[9.0, -9.0, -9.0]] * 4)  # always fear
    scores = UNITS.scores(
        torch.cat([labels, units], dim=1), UNITS.target(torch.tensor([0, 0, 1, 2]), has)
    )
    assert float(scores["accuracy"]) == pytest.approx(2 / 4)
    assert float(scores["uar"]) == pytest.approx((1 + 0 + 0) / 3)
    f1 = [2 * 2 / (2 * 2 + 0 + 1), 2 * 1 / (2 * 1 + 1 + 0)]  # of each: right, false, missed
    assert float(scores["unit_f1"]) == pytest.approx(sum(f1) / 2)
    without = UNITS.scores(
        torch.cat([labels, units], dim=1),
        UNITS.target(torch.tensor([0, 0, 1, 2]), has * torch.tensor([1.0, 0.0])),
    )
    assert float(without["unit_f1"]) == pytest.approx(f1[0]), (
        "a unit that no clip has does not count"
    )
    near_zero = math.log1p(math.exp(-9))  # wrong: two labels of clips 3 and 4 each, two units
    assert float(scores["loss"]) == pytest.approx((6 * 9 + 20 * near_zero) / 20, rel=1e-5)


def test_without_a_label_of_its_own_neutral_costs_nothing() -> None:
    logits, has = torch.zeros(1, 5), torch.zeros(1, 2)
    logits[0, 2] = 50.0
    neutral = REST.target(torch.tensor([2]), has)
    assert float(REST.loss(logits, neutral)) == pytest.approx(4 * math.log(2) / 5)
    assert float(UNITS.loss(logits, UNITS.target(torch.tensor([0]), has))) > 10


@pytest.mark.parametrize("task", [ONE, UNITS, REST], ids=["labels", "units", "rest"])
def test_the_loss_is_the_mean_of_each_clips(task: Task) -> None:
    torch.manual_seed(0)
    shape = (5, len(task.outputs))
    logits, targets = torch.randn(shape), torch.rand(shape)
    each = task.loss(logits, targets, "none")
    assert each.shape == (5,)
    torch.testing.assert_close(task.loss(logits, targets), each.mean())


def test_weights_are_those_of_the_labels() -> None:
    logits = torch.zeros(1, 5)
    target = UNITS.target(torch.tensor([0]), torch.ones(1, 2))
    doubled = UNITS.loss(logits, target, weights=torch.tensor([2.0, 1.0, 1.0]))
    assert float(doubled) == pytest.approx(6 / 5 * math.log(2))


def test_smoothing_spreads_a_share_evenly() -> None:
    task = Task(("a", "b", "c", "d"))
    found = task.smooth(task.target(torch.tensor([2])), 0.2)
    torch.testing.assert_close(found, torch.tensor([[0.05, 0.05, 0.85, 0.05]]))
    given = UNITS.target(torch.tensor([1]), torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(UNITS.smooth(given, 0.2), torch.tensor([[0.1, 0.9, 0.1, 0.9, 0.1]]))


def test_probabilities_are_a_softmax_or_with_units_sigmoids() -> None:
    logits = torch.tensor([[0.0, math.log(3)]])
    torch.testing.assert_close(ONE.probabilities(logits), torch.tensor([[0.25, 0.75]]))
    squared = torch.tensor([[1 / 10, 9 / 10]])
    torch.testing.assert_close(ONE.probabilities(logits, temperature=0.5), squared)
    logits = torch.tensor([[logit(p) for p in (0.2, 0.1, 0.5, 0.9, 0.4)]])
    expected = torch.tensor([[2 / 8, 1 / 8, 5 / 8, 0.9, 0.4]])
    torch.testing.assert_close(UNITS.probabilities(logits), expected)
    tempered = torch.tensor([[4 / 30, 1 / 30, 25 / 30, 0.9, 0.4]])
    torch.testing.assert_close(UNITS.probabilities(logits, temperature=0.5), tempered)
    shares, units = UNITS.split(expected.numpy())
    assert shares.shape == (1, 3) and units.tolist() == [pytest.approx([0.9, 0.4])]


@pytest.mark.parametrize(("joy", "label"), [(0.29, "neutral"), (0.31, "joy")])
def test_neutral_is_what_is_left_where_all_else_is_improbable(joy: float, label: str) -> None:
    logits = torch.tensor([[logit(p) for p in (0.1, joy, 0.99, 0.5, 0.5)]])
    shares, _ = REST.split(REST.probabilities(logits).numpy())
    assert REST.labels[most_probable(shares)[0]] == label
    np.testing.assert_allclose(shares[0], np.array([0.1, joy, 0.3]) / (0.4 + joy), rtol=1e-5)


@pytest.mark.parametrize("row", [[math.nan, 0.5], [-0.1, 0.5], [1.1, 0.5]])
def test_units_need_not_sum_to_one(row: list[float]) -> None:
    right = np.array([[0.2, 0.3, 0.5, 0.9, 0.8], [1.0, 0.0, 0.0, 0.0, 0.1]], np.float32)
    assert UNITS.checked(right) is right
    with pytest.raises(AvemotionError, match="must be finite and sum to 1"):
        UNITS.checked(np.array([[0.2, 0.3, 0.5, *row]], np.float32))
    with pytest.raises(AvemotionError, match="must be finite and sum to 1"):
        UNITS.checked(np.array([[0.9, 0.3, 0.5, 0.1, 0.1]], np.float32))


def test_labels_that_no_model_can_have_are_refused() -> None:
    with pytest.raises(UsageError, match="must be two or more"):
        Task(("anger",))
    with pytest.raises(UsageError, match="labels are wrong: labels must be unique"):
        Task(("anger", "anger"))
    with pytest.raises(UsageError, match="units are wrong: labels must be unique"):
        Task(("anger", "fear"), ("AU1", "AU1"))
    with pytest.raises(UsageError, match="'fear' is both a label and a unit"):
        Task(("anger", "fear"), ("fear",))
    with pytest.raises(UsageError, match="units: none"):
        Task(("anger", "neutral"), neutral_below=0.5)
    with pytest.raises(UsageError, match="neutral is a label and there are action units"):
        Task(("anger", "fear"), ("AU1",), neutral_below=0.5)
