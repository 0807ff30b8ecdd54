from pathlib import Path

from network_maker import EXPERIMENTS, metadata_of

from avemotion.training.trainer import RunRecorder


def test_a_resumed_run_goes_on_with_what_was_recorded(tmp_path: Path) -> None:
    metadata = metadata_of(EXPERIMENTS["av"])
    interrupted, resumed = (RunRecorder(tmp_path, metadata) for _ in range(2))
    interrupted.rows, interrupted.best_loss = [{"epoch": 1, "val_loss": 0.5}], 0.5
    resumed.load_state_dict(interrupted.state_dict())
    assert (resumed.rows, resumed.best_loss) == (interrupted.rows, 0.5)
