"""What `avemotion cite` prints: BibTeX that can be read, of just what an evaluation used."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml

import avemotion
from avemotion.cli import main
from avemotion.data import corpora
from avemotion.errors import UsageError
from avemotion.evaluation import citations
from avemotion.evaluation.predictions import FORMAT, METADATA_FIELDS
from avemotion.models.ar5 import AR5
from avemotion.models.base import About
from avemotion.models.packaged import packaged_file

ROOT = Path(__file__).parents[2]
REQUIRED = {
    "misc": set(),
    "article": {"author", "title", "journal", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "mastersthesis": {"author", "title", "school", "year"},
}
"""Kind of entry -> fields that BibTeX demands."""


def entries(text: str) -> dict[str, dict[str, str]]:
    """Key of each entry -> its fields; refuses what BibTeX could not read."""
    found = {}
    blocks = text.split("\n\n")
    for block in blocks:
        if block.startswith("% "):
            assert "@" not in block and "\n" not in block
            continue
        match = re.fullmatch(r"@([a-z]+)\{([a-z0-9]+),\n(.*)\n\}", block, re.DOTALL)
        assert match, block
        kind, key, body = match.groups()
        assert body.count("{") == body.count("}") and key not in found
        fields = re.findall(r"^  ([a-z]+) *= \{(.*?)\}(?:,$|\Z)", body, re.DOTALL | re.MULTILINE)
        found[key] = {name: " ".join(value.split()) for name, value in fields}
        assert len(fields) == len(found[key]) == len(re.findall("^  [a-z]", body, re.MULTILINE))
        assert found[key].keys() >= REQUIRED[kind]
    return found


def finished(out: Path, **values: object) -> Path:
    """The files of a finished evaluation that say what was used."""
    out.mkdir(exist_ok=True)
    metadata = dict.fromkeys(METADATA_FIELDS) | {"format": FORMAT, "models": {"ar5": {}}} | values
    (out / "evaluation.json").write_text(json.dumps(metadata))
    (out / "predictions.csv").write_text("")
    return out


ALWAYS = ["avemotion", "ristea2019thesis", "ristea2019emotion"]


GATE = "arevalo2017gated"
POOLING = "genest1986combining"
CORPORA = (
    "cao2014cremad",
    "livingstone2018ravdess",
    "goodfellow2013challenges",
    "barsoum2016training",
    "lucey2010extended",
)


def test_members_of_late_fusion_are_cited(tmp_path: Path) -> None:
    models = {"late": {"members": [{"model": "stimme"}, {"model": "ar5"}]}}
    found = entries(avemotion.cite(finished(tmp_path, models=models, corpus="crema_d")))
    assert list(found) == ["avemotion", POOLING, *ALWAYS[1:], CORPORA[0]]


def test_everything_is_cited(capsys: pytest.CaptureFixture[str]) -> None:
    found = entries(avemotion.cite())
    assert list(found) == [*ALWAYS, GATE, POOLING, *CORPORA]
    assert found["cao2014cremad"]["doi"] == "10.1109/TAFFC.2014.2336244"
    assert found["cao2014cremad"]["author"].count(" and ") == 5
    assert found["livingstone2018ravdess"]["doi"] == "10.1371/journal.pone.0196391"
    assert found["ristea2019emotion"]["eprint"] == "2003.00351"
    assert main(["cite"]) == 0
    assert capsys.readouterr().out == avemotion.cite() + "\n"


@pytest.mark.parametrize(
    ("corpus", "keys", "comment"),
    [
        ("crema_d", ["cao2014cremad"], ""),
        ("ravdess", ["livingstone2018ravdess"], ""),
        ("fer2013", ["goodfellow2013challenges", "barsoum2016training"], ""),
        ("ck_plus_units", ["lucey2010extended"], ""),
        ("folder", [], "% The corpus folder: cite where its clips come from."),
        ("x@y\nz", [], "% The corpus x(at)y z: cite where its clips come from."),
    ],
)
def test_an_evaluation_is_cited_with_what_it_used(
    corpus: str, keys: list[str], comment: str, tmp_path: Path
) -> None:
    text = avemotion.cite(finished(tmp_path, corpus=corpus))
    assert list(entries(text)) == [*ALWAYS, *keys]
    assert text.endswith(comment) and ("% " in text) == bool(comment)


def test_synthetic_clips_are_nobodys_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = finished(tmp_path, corpus="crema_d", synthetic={"seed": 0})
    assert main(["cite", str(out)]) == 0
    text = capsys.readouterr().out
    assert list(entries(text.strip())) == ALWAYS and "% The corpus is SYNTHETIC" in text


def test_a_model_without_an_entry_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = finished(tmp_path, corpus="ravdess", models={"ar5": {}, "nowhere": {}})
    assert "\n% The model nowhere is not installed here: cite its publication.\n" in (
        avemotion.cite(out)
    )
    monkeypatch.setattr(AR5, "about", About(title="AR5", source="someone@example.org"))
    text = avemotion.cite(out)
    assert list(entries(text)) == ["avemotion", "livingstone2018ravdess"]
    assert "% The model ar5 has no BibTeX entry: someone(at)example.org\n" in text


def test_a_folder_without_an_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no finished evaluation"):
        avemotion.cite(tmp_path)
    out = finished(tmp_path, corpus="ravdess")
    (out / "evaluation.json").write_text(json.dumps({"format": FORMAT}))
    with pytest.raises(UsageError, match="evaluation.json lacks .*corpus"):
        avemotion.cite(out)


def test_a_model_is_cited_with_all_that_it_learned_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the packaged one the faces' corpora are those of the weights that it began with."""
    assert main(["cite", "avemotion-1"]) == 0
    text = capsys.readouterr().out.strip()
    faces = ["goodfellow2013challenges", "barsoum2016training"]
    assert list(entries(text)) == ["avemotion", "cao2014cremad", *faces]
    assert "% The model miene_stimme has no BibTeX entry" in text
    shutil.copy(packaged_file(".safetensors"), tmp_path / "checkpoint.safetensors")
    for run in (tmp_path, tmp_path / "checkpoint.safetensors"):
        assert avemotion.cite(run) == text
    with pytest.raises(UsageError, match=r"nothing at nowhere\. Give .* or avemotion-1"):
        avemotion.cite("nowhere")


def test_every_corpus_says_how_it_is_cited() -> None:
    assert corpora.CITATIONS.keys() == corpora.READERS.keys()


def test_the_citation_file_is_valid_and_says_what_the_package_says() -> None:
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert found.keys() >= {"cff-version", "message", "title", "authors"}
    assert found["cff-version"] == "1.2.0" and found["type"] == "software"
    assert found["authors"] == [{"name": "The avemotion developers"}]
    for key, value in {
        "title": project["name"],
        "version": project["version"],
        "license": project["license"],
        "keywords": project["keywords"],
        "abstract": project["description"],
    }.items():
        assert found[key] == value
    text = citations.PACKAGE.format(version=found["version"])
    (entry,) = entries(text).values()
    assert entry["title"] == found["title"]
    assert entry["author"] == f"{{{found['authors'][0]['name']}}}"
    assert found["license"] in entry["note"] and found["version"] in entry["note"]
