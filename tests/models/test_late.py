"""Late fusion: what it answers and learns, with members whose answers are known exactly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from avemotion.config import ExperimentSettings, PreprocessSettings, TrainingSettings
from avemotion.data.batch import Batch
from avemotion.data.task import Task
from avemotion.data.types import Split
from avemotion.errors import UsageError
from avemotion.models.checkpoint import load_checkpoint, save_checkpoint
from avemotion.models.late import Late, LateSettings
from avemotion.models.metadata import CheckpointMetadata
from avemotion.models.pooling import pooling_weights
from avemotion.models.probe import Probe
from avemotion.models.registry import create, settings_of, with_settings

LABELS = ("calm", "happy", "sad")
TASK = Task(LABELS)
VOICE, FACE = "embedding:moonshine-tiny", "embedding:video-table.mine"


def member(modality: str, **training: float) -> dict:
    """A probe: its embeddings are taken for logits once `answers_logits` was called."""
    settings = {"voice": "moonshine-tiny", "face": "video-table.mine"}
    experiment = with_settings(ExperimentSettings("probe", modality, settings))  # type: ignore[arg-type]
    return replace(experiment, training=replace(experiment.training, **training)).to_dict()


def answers_logits(probe: Probe) -> Probe:
    for name in dict(probe.named_buffers()):
        stream, array = name.split("_")
        values = {
            "mean": torch.zeros(3), "scale": torch.ones(3), "coefficients": torch.eye(3),
            "intercepts": torch.zeros(3), "pooling": torch.ones(2),
        }  # fmt: skip
        setattr(probe, f"{stream}_{array}", values[array])
    return probe


def late_of(*members: dict) -> Late:
    experiment = with_settings(ExperimentSettings("late", reads(*members), {"members": members}))
    made = create(TASK, experiment)
    assert isinstance(made, Late)
    for one in made.members:
        answers_logits(one)
    return made.eval()


def reads(*members: dict) -> str:
    return Late.can_read(LateSettings(members))[0]


BOTH = (member("video"), member("audio"))


def clips(face: np.ndarray, voice: np.ndarray, targets: np.ndarray | None = None) -> Batch[Tensor]:
    """Clips with face and voice whose members answer the softmax of these logits."""
    there = torch.ones(len(face), dtype=torch.bool)
    inputs = {FACE: torch.from_numpy(face).float(), VOICE: torch.from_numpy(voice).float()}
    wanted = None if targets is None else torch.from_numpy(targets)
    return Batch(inputs, {"video": there, "audio": there}, targets=wanted)


def without(batch: Batch[Tensor], *streams: str) -> Batch[Tensor]:
    return replace(batch, present={s: a & (s not in streams) for s, a in batch.present.items()})


def probabilities(late: Late, batch: Batch[Tensor]) -> np.ndarray:
    return late.task.probabilities(late(late.read(batch))).numpy()


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def some_clips(seed: int = 0, count: int = 50) -> Batch[Tensor]:
    rng = np.random.default_rng(seed)
    return clips(rng.normal(0, 2, (count, 3)), rng.normal(0, 2, (count, 3)))


def witnesses(count: int = 30_000, seed: int = 0) -> Batch[Tensor]:
    """Face and voice that are independent given the label: Bayes' rule multiplies their answers."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 3, count)
    tables = np.array([[[6, 1, 1], [2, 4, 2], [1, 1, 6]], [[4, 2, 2], [1, 5, 2], [3, 1, 4]]]) / 8
    seen = [
        (rng.random((count, 1)) > table[targets].cumsum(axis=1)[:, :2]).sum(axis=1)
        for table in tables
    ]
    # The labels are equally frequent, so what a witness knows is the likelihood of what it saw.
    face, voice = (np.log(table[:, s]).T for table, s in zip(tables, seen, strict=True))
    return clips(face, voice, targets)


def test_answers_are_the_weighted_product_of_tempered_answers() -> None:
    late, batch = late_of(*BOTH), some_clips()
    late.temperatures[0] = torch.tensor([2.0, 0.5])
    late.weights[0] = torch.tensor([1.5, 0.25])
    face, voice = (softmax(batch.inputs[name].numpy().astype(float)) for name in (FACE, VOICE))
    tempered = [face ** (1 / 2), voice ** (1 / 0.5)]
    face, voice = (one / one.sum(axis=1, keepdims=True) for one in tempered)
    product = face**1.5 * voice**0.25
    expected = product / product.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities(late, batch), expected, atol=1e-5)


def test_witnesses_who_know_nothing_of_one_another_are_multiplied() -> None:
    late, batch = late_of(*BOTH), witnesses()
    late.fit_pooling([batch])
    np.testing.assert_allclose(late.temperatures, 1.0, atol=0.05)
    np.testing.assert_allclose(late.weights[0], [1.0, 1.0], atol=0.05)
    np.testing.assert_allclose(late.weights[1:], [[1.0, 0.0], [0.0, 1.0]])


def test_a_member_that_is_too_sure_is_cooled() -> None:
    late, batch = late_of(*BOTH), witnesses()
    batch.inputs[VOICE] *= 3
    late.fit_pooling([batch])
    assert float(late.temperatures[0, 1]) == pytest.approx(3, rel=0.05)
    assert float(late.temperatures[2, 1]) == pytest.approx(3, rel=0.05)
    np.testing.assert_allclose(late.weights[0], [1.0, 1.0], atol=0.05)


def test_members_that_say_the_same_share_one_weight() -> None:
    late, batch = late_of(*BOTH), witnesses(2000)
    batch.inputs[VOICE] = batch.inputs[FACE].clone()
    late.fit_pooling([batch])
    np.testing.assert_allclose(late.weights[0], [0.5, 0.5], atol=0.02)


def test_batches_are_fitted_together() -> None:
    whole, parts = late_of(*BOTH), late_of(*BOTH)
    batch = witnesses(300)
    pieces = [
        Batch(
            {name: x[rows] for name, x in batch.inputs.items()},
            {name: x[rows] for name, x in batch.present.items()},
            targets=batch.targets[rows],
        )
        for rows in (slice(0, 7), slice(7, 300))
    ]
    whole.fit_pooling([batch])
    parts.fit_pooling(pieces)
    torch.testing.assert_close(whole.weights, parts.weights)
    torch.testing.assert_close(whole.temperatures, parts.temperatures)


@pytest.mark.parametrize("shrinkage", [0.0, 0.5])
def test_weights_are_the_best_ones(shrinkage: float) -> None:
    """Against a search that knows no gradient."""
    rng = np.random.default_rng(4)
    targets = rng.integers(0, 3, 200)
    logits = rng.normal(0, 1, (3, 200, 3)) + 1.2 * np.eye(3)[targets] * [[[1.0]], [[0.5]], [[0.2]]]
    answers = np.log(np.stack([softmax(one) for one in logits]))

    def loss(weights: np.ndarray) -> float:
        pooled = softmax(np.tensordot(weights, answers, 1))
        apart = ((weights - weights.mean()) ** 2).sum()
        return -np.log(pooled[np.arange(200), targets]).mean() + shrinkage * apart

    options = {"xatol": 1e-6, "fatol": 1e-10, "maxiter": 5000}
    wanted = minimize(loss, np.full(3, 0.5), method="Nelder-Mead", options=options).x
    found = pooling_weights(answers, targets, shrinkage=shrinkage)
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_few_clips_move_weights_less_apart() -> None:
    def apart(count: int) -> float:
        late, batch = late_of(*BOTH), witnesses(count, seed=1)
        rng = np.random.default_rng(0)
        batch.inputs[VOICE] = torch.from_numpy(rng.normal(0, 1, (count, 3))).float()  # says nothing
        late.fit_pooling([batch])
        late.temperatures[:] = 1.0
        return float(late.weights[0, 0] - late.weights[0, 1])

    alone = pooling_weights(
        np.log(np.stack([softmax(witnesses(20, seed=1).inputs[n].numpy()) for n in (FACE, VOICE)])),
        witnesses(20, seed=1).targets.numpy(),
    )
    assert abs(apart(20)) < abs(alone[0] - alone[1])


def test_where_one_is_missing_the_other_answers_alone() -> None:
    late, batch = late_of(*BOTH), some_clips()
    late.fit_pooling([witnesses(500)])
    for gone, left, row, column in (("video", VOICE, 2, 1), ("audio", FACE, 1, 0)):
        temperature = float(late.temperatures[row, column])
        expected = softmax(batch.inputs[left].numpy() / temperature)
        hidden = without(batch, gone)
        np.testing.assert_allclose(probabilities(late, hidden), expected, atol=1e-5)
        junk = torch.full_like(batch.inputs[FACE], torch.nan)
        other = FACE if left == VOICE else VOICE
        np.testing.assert_allclose(
            probabilities(late, hidden.with_inputs(**{other: junk})), expected, atol=1e-5
        )
        alone = Batch({left: batch.inputs[left]}, hidden.present)  # what no clip has is left out
        np.testing.assert_allclose(probabilities(late, alone), expected, atol=1e-5)
    nothing = without(batch, "video", "audio")
    np.testing.assert_allclose(probabilities(late, nothing), 1 / 3, atol=1e-6)
    np.testing.assert_allclose(probabilities(late, Batch({}, nothing.present)), 1 / 3, atol=1e-6)


def test_clips_of_a_batch_may_lack_different_things() -> None:
    late, batch = late_of(*BOTH), some_clips(count=4)
    late.fit_pooling([witnesses(500)])
    mixed = replace(
        batch,
        present={
            "video": torch.tensor([True, True, False, False]),
            "audio": torch.tensor([True, False, True, False]),
        },
    )
    expected = np.stack(
        [
            probabilities(late, batch)[0],
            probabilities(late, without(batch, "audio"))[1],
            probabilities(late, without(batch, "video"))[2],
            np.full(3, 1 / 3),
        ]
    )
    np.testing.assert_allclose(probabilities(late, mixed), expected, atol=1e-6)


def test_a_member_that_needs_both_counts_for_clips_with_both_alone() -> None:
    needs_both = member("av", modality_dropout=0.0)
    late = late_of(needs_both, member("audio"))
    assert late.can_answer.tolist() == [[True, True], [False, False], [False, True]]
    assert not Late.answers_alone(late.settings)  # nobody answers from the face
    late = late_of(needs_both, *BOTH)
    assert late.can_answer.tolist() == [
        [True, True, True], [False, True, False], [False, False, True],
    ]  # fmt: skip
    assert Late.answers_alone(late.settings)
    batch = some_clips()
    late.weights[1, 0] = late.weights[2, 0] = 5.0  # of no account
    face = softmax(batch.inputs[FACE].numpy())
    np.testing.assert_allclose(probabilities(late, without(batch, "audio")), face, atol=1e-5)


def test_what_it_answers_from_follows_from_its_members() -> None:
    def answers(*members: dict) -> tuple[str, ...]:
        asked = ExperimentSettings("late", reads(*members), {"members": members})
        return with_settings(asked).answers

    assert answers(*BOTH) == ("av", "video", "audio")
    assert answers(member("av", modality_dropout=0.0), member("audio")) == ("av",)
    assert answers(member("audio"), member("audio", seed=1)) == ("audio",)
    with pytest.raises(UsageError, match="late of these members reads audio"):
        two = {"members": (member("audio"), member("audio", seed=1))}
        with_settings(ExperimentSettings("late", "av", two))


def test_two_voices_are_pooled_as_a_voice() -> None:
    late, batch = late_of(member("audio"), member("audio", seed=1)), some_clips()
    assert late.kinds == ("audio",) and [part.name for part in late.inputs] == [VOICE]
    late.fit_pooling([witnesses(500)])
    assert late.weights.shape == (1, 2)
    assert probabilities(late, without(batch, "audio")) == pytest.approx(1 / 3)


def test_a_checkpoint_holds_its_members(tmp_path: Path) -> None:
    """Read back, it answers the same; with the weights of any member changed, it does not."""
    late, batch = late_of(*BOTH), some_clips()
    late.fit_pooling([witnesses(500)])
    metadata = CheckpointMetadata(
        experiment=with_settings(ExperimentSettings("late", "av", {"members": BOTH})),
        corpus="crema_d", corpus_clips=10, task=TASK, inputs=late.inputs,
        preprocessing=PreprocessSettings(), split=Split(("1",), ("2",), ()), epoch=1, scores={},
        synthetic=None,
    )  # fmt: skip
    save_checkpoint(tmp_path / "x.safetensors", late, metadata)
    read, again = load_checkpoint(tmp_path / "x.safetensors")
    assert again == metadata
    assert torch.equal(read(batch), late(batch))
    assert torch.equal(read.folded()(batch), late(batch))
    read.members[1].audio_coefficients.mul_(2)
    assert not torch.equal(read(batch), late(batch))
    assert settings_of("late", again.experiment.settings) == LateSettings(BOTH)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (BOTH[:1], "late has one member, but must have two or more"),
        ((BOTH[0], {"model": "probe"}), "experiment lacks modality, settings, training"),
        ((BOTH[0], BOTH[1] | {"model": "nothing"}), "There is no model 'nothing'"),
        ((BOTH[0], BOTH[1] | {"modality": "smell"}), "--modality is 'smell'"),
        ((BOTH[0], BOTH[1] | {"model": "late"}), "late/audio cannot be a member of late"),
        ("runs/ar5/av", "members is 'runs/ar5/av', but must be a list of a mapping"),
    ],
)
def test_wrong_members_are_refused(members: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings_of("late", {"members": members})


def test_without_validation_actors_it_learns_nothing() -> None:
    training = TrainingSettings(validation=0.0, early_stopping=False)
    with pytest.raises(UsageError, match="late fits temperatures and weights on validation actors"):
        create(TASK, ExperimentSettings("late", "av", {"members": BOTH}, training))
