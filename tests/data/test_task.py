"""What follows from the number of labels a clip has: scores, losses, answers."""

import math

import numpy as np
import pytest
import torch

from avemotion.data.task import Task
from avemotion.errors import AvemotionError, UsageError

ONE, SEVERAL = Task(("calm", "happy")), Task(("AU1", "AU2"), "multi")


def test_scores_closed_form() -> None:
    logits = torch.tensor([[0.0, 0.0], [0.0, 9.0], [9.0, 0.0], [9.0, 0.0]])
    scores = ONE.scores(logits, ONE.target(torch.tensor([0, 1, 1, 0])))
    assert float(scores["accuracy"]) == pytest.approx(3 / 4)
    assert float(scores["uar"]) == pytest.approx((2 / 2 + 1 / 2) / 2)
    near_zero = torch.log1p(torch.exp(torch.tensor(-9.0)))
    expected = (torch.log(torch.tensor(2.0)) + 9 + 3 * near_zero) / 4
    assert float(scores["loss"]) == pytest.approx(float(expected), rel=1e-5)


def test_scores_of_several_labels_closed_form() -> None:
    logits = torch.tensor([[9.0, -9.0], [9.0, 9.0], [-9.0, 9.0], [-9.0, -9.0]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    scores = SEVERAL.scores(logits, SEVERAL.target(targets))
    assert float(scores["accuracy"]) == pytest.approx(6 / 8)
    f1 = [2 * 2 / (2 * 2 + 0 + 1), 2 * 1 / (2 * 1 + 1 + 0)]  # of each: right, false, missed
    assert float(scores["f1"]) == pytest.approx(sum(f1) / 2)
    near_zero = math.log1p(math.exp(-9))
    assert float(scores["loss"]) == pytest.approx((2 * 9 + 8 * near_zero) / 8, rel=1e-5)


@pytest.mark.parametrize("task", [ONE, SEVERAL], ids=lambda task: task.kind)
def test_the_loss_is_the_mean_of_each_clips(task: Task) -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(5, 2), torch.rand(5, 2)
    each = task.loss(logits, targets, "none")
    assert each.shape == (5,)
    torch.testing.assert_close(task.loss(logits, targets), each.mean())


def test_smoothing_spreads_a_share_evenly() -> None:
    given = torch.tensor([[1.0, 0.0]])
    task = Task(("a", "b", "c", "d"))
    found = task.smooth(task.target(torch.tensor([2])), 0.2)
    torch.testing.assert_close(found, torch.tensor([[0.05, 0.05, 0.85, 0.05]]))
    torch.testing.assert_close(SEVERAL.smooth(given, 0.2), torch.tensor([[0.9, 0.1]]))


def test_what_is_decided() -> None:
    answers = np.array([[0.5, 0.5], [0.2, 0.8], [0.6, 0.4]])
    assert ONE.decide(answers).tolist() == [0, 1, 0]
    assert SEVERAL.decide(answers).tolist() == [[True, True], [False, True], [True, False]]
    logits = torch.tensor([[0.0, math.log(3)]])
    torch.testing.assert_close(ONE.probabilities(logits), torch.tensor([[0.25, 0.75]]))
    torch.testing.assert_close(SEVERAL.probabilities(logits), torch.tensor([[0.5, 0.75]]))


@pytest.mark.parametrize("row", [[math.nan, 0.5], [-0.1, 0.5], [1.1, 0.5]])
def test_probabilities_of_several_labels_need_not_sum_to_one(row: list[float]) -> None:
    right = np.array([[0.9, 0.8], [0.0, 0.1]], np.float32)
    assert SEVERAL.checked(right) is right
    with pytest.raises(AvemotionError, match="must be finite and lie from 0 to 1"):
        SEVERAL.checked(np.array([row], np.float32))


def test_labels_that_no_model_can_have_are_refused() -> None:
    assert Task(("AU1",), "multi").labels == ("AU1",)
    with pytest.raises(UsageError, match="must be two or more"):
        Task(("anger",))
    with pytest.raises(UsageError, match="labels are wrong: labels must be unique"):
        Task(("anger", "anger"))
    with pytest.raises(UsageError, match="kind is 'some', but must be single or multi"):
        Task(("anger", "fear"), "some")  # type: ignore[arg-type]
