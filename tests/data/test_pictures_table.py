"""Pictures with a table of one's own."""

from pathlib import Path

import pytest
from drawn_faces import drawn_face
from skimage.io import imsave

import avemotion
from avemotion.data.corpora.pictures import SETTINGS, read_corpus
from avemotion.data.store import FeatureStore
from avemotion.errors import UsageError

TABLE = """image,person,emotion,AU1,AU12
anna/1.png,Anna,happy,0,1
boris 2.png,Boris,angry,1,0
"""


@pytest.fixture()
def directory(tmp_path: Path) -> Path:
    (tmp_path / "anna").mkdir()
    imsave(tmp_path / "anna/1.png", drawn_face("happy", 1))
    imsave(tmp_path / "boris 2.png", drawn_face("angry", 2))
    (tmp_path / "pictures.csv").write_text(TABLE)
    return tmp_path


def test_who_what_and_which_units(directory: Path) -> None:
    corpus = read_corpus(directory)
    assert [(c.name, c.actor, c.emotion) for c in corpus.clips] == [
        ("anna/1.png", "Anna", "happy"),
        ("boris 2.png", "Boris", "angry"),
    ]
    assert corpus.labels == ("angry", "happy") and corpus.units == ("AU1", "AU12")
    assert corpus.units_of == {"anna/1.png": (0.0, 1.0), "boris 2.png": (1.0, 0.0)}


def test_units_and_people_may_be_missing(directory: Path) -> None:
    (directory / "pictures.csv").write_text(
        "emotion,part,image,person\nhappy,train,anna/1.png,\nangry,test,boris 2.png,\n"
    )
    corpus = read_corpus(directory)
    assert corpus.units == () and corpus.units_of == {}
    assert [(c.actor, c.part) for c in corpus.clips] == [("unknown", "train"), ("unknown", "test")]


def test_heads_may_be_quoted(directory: Path) -> None:
    heads = '"image","person","emotion","AU1","AU12"'
    (directory / "pictures.csv").write_text(TABLE.replace("image,person,emotion,AU1,AU12", heads))
    assert read_corpus(directory).units == ("AU1", "AU12")


def test_the_store_has_the_units(directory: Path, tmp_path: Path) -> None:
    whole = SETTINGS.__class__(views=1, features=("image",), face="whole")
    out = tmp_path / "features"
    avemotion.preprocess(directory, corpus="pictures", out=out, settings=whole, progress=False)
    store = FeatureStore(out)
    assert store.task.outputs == ("angry", "happy", "AU1", "AU12")
    assert store.units()["anna/1.png"] == (0.0, 1.0)
    (out / "units.csv").write_text("clip,AU1,AU12\nanna/1.png,2,0\n")
    with pytest.raises(UsageError, match=r"units\.csv"):
        FeatureStore(out)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            "image,person,emotion,AU1\nanna/1.png,Anna,happy\n",
            "row 1 of .* one value for each column",
        ),
        ("image,person,emotion,AU1\nanna/1.png,Anna,happy,0.5\n", "AU1 of 'anna/1.png' is '0.5'"),
        ("image,person,emotion\nanna/1.png,Anna,\n", "has no emotion"),
        ("image,person,emotion\nanna/1.png,,happy\n", "name who is in it, or give its part"),
        ("image,person,emotion\nanna/2.png,Anna,happy\n", "there is no file 'anna/2.png'"),
        ("image,person,emotion\n../x.png,Anna,happy\n", "must be a path in the folder"),
        ("image,person,emotion,part\nanna/1.png,Anna,happy,dev\n", "the part of .* is 'dev'"),
        ("image,person\nanna/1.png,Anna\n", "emotion"),
        ("image,person,emotion,age\nanna/1.png,Anna,happy,9\n", "age"),
        ("image,person,emotion\nanna/1.png,Anna,happy\nanna/1.png,Anna,happy\n", "a row before"),
        ("image,person,emotion\n", "has no row"),
        ("image,person,emotion\nanna/1.png,Anna,happy\n", "have the emotion happy, but two are"),
        ("image,person,emotion,AU1,AU1\nanna/1.png,Anna,happy,0,1\n", "AU1"),
        ("", "pictures.csv"),
    ],
)
def test_a_wrong_table_is_said_to_be_so(directory: Path, table: str, message: str) -> None:
    (directory / "pictures.csv").write_text(table)
    with pytest.raises(UsageError, match=message):
        read_corpus(directory)


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no pictures.csv. Write one with the columns image"):
        read_corpus(tmp_path)
