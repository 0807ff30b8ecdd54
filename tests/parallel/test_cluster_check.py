"""What machines must share to work together: seen folders, and the same software."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import avemotion
from avemotion.errors import UsageError
from avemotion.parallel.cluster_check import TOKEN_NAME, cluster_check, code_digest, software

PACKAGE = Path(avemotion.__file__).parent
WINGS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def test_what_differs_is_named(tmp_path: Path):
    sample = tmp_path / "sample"
    sample.write_text("four")
    with cluster_check(tmp_path, sample) as check:
        assert not check.problem()
        other = replace(check, software=(("avemotion", "9"), *check.software[1:]))
        assert "but 9 on the machine that runs the command" in other.problem()
        with pytest.raises(UsageError, match="cannot take part.*on a file system that all"):
            replace(check, content="of another run").require()
        assert "does not see" in replace(check, sample_bytes=5).problem()
    assert not (tmp_path / TOKEN_NAME).exists()


def test_the_code_of_every_wing_is_compared(tmp_path: Path):
    copy = tmp_path / "avemotion"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    same = code_digest(copy)
    assert f"(code {same})" in dict(software())["avemotion"], "the whole installed package"
    assert {"parallel", "features", "models", "training"} <= set(WINGS)
    for wing in ("", *WINGS):
        file = copy / wing / "__init__.py"
        code = file.read_text()
        file.write_text(code + "\nMEL_BANDS = 63\n")
        assert code_digest(copy) != same, wing
        file.write_text(code)
    assert code_digest(copy) == same
