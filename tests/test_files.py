from pathlib import Path

import pytest

from avemotion.errors import UsageError
from avemotion.files import read_csv, read_json, write_csv, write_json


def pair(cells: dict[str, str]) -> tuple[str, int]:
    return cells["name"], int(cells["size"])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    rows = [('a "quoted", text', 1), ("two\nlines", 2), ("a\rreturn", 3), ("", 4)]
    write_csv(path, ["name", "size"], rows)
    assert read_csv(path, ["size", "name"], pair, "") == rows


@pytest.mark.parametrize(("text", "problem"), [
    ("", "lacks the columns 'name', 'size'"),
    ("name\na\n", "lacks the columns 'size'"),
    ("name,size,name\n", "has more than once the columns 'name'"),
    ("name,size,age\n", "has the unknown columns 'age'"),
    ("name,size\na,1\nb,x\n", "row 2 of .* is wrong .*'x'"),
    ("name,size\na\n", "row 1 of .* one value for each column"),
    ("name,size\na,1,2\n", "row 1 of .* one value for each column"),
    ('name,size\n"a"b,1\n', "is not a table in UTF-8"),
    ("name,size\n\udcff,1\n", "is not a table in UTF-8"),
    (f"name,size\n{'a' * 200_000},1\n", "is not a table in UTF-8"),
])  # fmt: skip
def test_a_wrong_table_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=f"{problem}.*Write it anew"):
        read_csv(path, ["name", "size"], pair, "Write it anew.")


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"table\.csv .*Write it anew"):
        read_csv(tmp_path / "table.csv", ["name"], dict, "Write it anew.")


def test_further_columns_may_be_allowed(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("\ufeffname,size,age\na,1,9\n", encoding="utf-8")
    for optional in (["age", "sex"], None):
        cells = read_csv(path, ["name", "size"], dict, "", optional=optional)
        assert cells == [{"name": "a", "size": "1", "age": "9"}]


def test_json_is_read_as_written_and_holds_no_nan(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_json(path, {"accuracy": 0.5})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"accuracy": float("nan")})
    assert read_json(path, "") == {"accuracy": 0.5}
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]
