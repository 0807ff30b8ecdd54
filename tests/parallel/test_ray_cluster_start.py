"""How Ray is asked for, without starting it."""

from pathlib import Path

import pytest

from avemotion.errors import UsageError


@pytest.mark.parametrize(
    ("address", "expected"), [("", ("local", False)), ("auto", ("auto", None))]
)
def test_only_a_cluster_of_this_machine_is_started_and_without_a_dashboard(
    address: str, expected: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[dev]'")
    from avemotion.parallel.ray_cluster import cluster

    asked = []

    def init(where: str, include_dashboard: bool | None = None, **_: object) -> None:
        asked.append((where, include_dashboard))
        raise RuntimeError("enough")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UsageError, match="enough"), cluster(tmp_path, tmp_path):
        pass
    assert asked == [expected]
