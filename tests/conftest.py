import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder that holds ``crema-d/``, a real checkout, whole or partial."""
    where = os.environ.get("AVEMOTION_TEST_DATA")
    if not where:
        pytest.skip("AVEMOTION_TEST_DATA is not set: give the folder that holds crema-d/")
    folder = Path(where)
    if not (folder / "crema-d").is_dir():
        pytest.fail(f"AVEMOTION_TEST_DATA is {where}, but that folder holds no crema-d/")
    return folder


@pytest.fixture(scope="session")
def crema_d(test_data: Path) -> Path:
    return test_data / "crema-d"


@pytest.fixture(scope="session")
def real_videos(crema_d: Path) -> list[Path]:
    videos = sorted((crema_d / "VideoFlash").glob("*.flv"))[:6]
    assert videos
    return videos


@pytest.fixture(scope="session")
def real_sounds(crema_d: Path) -> list[Path]:
    return sorted((crema_d / "AudioWAV").glob("*.wav"))
