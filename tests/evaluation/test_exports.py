"""What a paper takes from an evaluation: tables that are true and compile, figures that open."""

import csv
import doctest
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import matplotlib.image
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from report_maker import SYSTEMS, invented_records
from sklearn.metrics import (
    accuracy_score,
    classification_report,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    recall_score,
)

import avemotion
from avemotion.cli import main
from avemotion.data.corpora import TITLES, CorpusName
from avemotion.errors import UsageError
from avemotion.evaluation.evaluate import Protocol
from avemotion.evaluation.predictions import (
    FORMAT,
    METADATA_FIELDS,
    Records,
    read_records,
    write_records,
)
from avemotion.evaluation.report import latex, tables
from avemotion.evaluation.report.latex import escaped

CONFUSIONS = [f"confusion-{system.replace('/', '-')}" for system in SYSTEMS]
STEMS = ["scores", "classes", *CONFUSIONS]
FIGURES = ["overview", "actors", *CONFUSIONS]

AWKWARD = ("anger & 5 %", "so_sad[1]", "*fear{}#", "$happiness~^", "\\neutral", 'a--b<>|"``')
"""Names of emotions that break tables, figures and LaTeX where they are not escaped."""


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of an evaluation with drawn predictions and votes, on a synthetic corpus."""
    out = tmp_path_factory.mktemp("evaluation")
    records = invented_records(7, seeds=3, corrupted=())
    also = {"format": FORMAT, "labels": list(records.labels)}
    complete = dict.fromkeys(METADATA_FIELDS) | records.metadata | also
    write_records(out, replace(records, metadata=complete))
    return out


def changed(evaluation: Path, out: Path, change: Callable[[Records], Records]) -> Path:
    """A copy of an evaluation with other records."""
    out.mkdir()
    write_records(out, change(read_records(evaluation)))
    return out


def with_awkward_labels(records: Records) -> Records:
    """Other names of the emotions, and recorded clips of an awkward corpus."""
    names = dict(zip(records.labels, AWKWARD, strict=True))
    given = {"labels": list(AWKWARD), "synthetic": None, "corpus": "50 %_\\mine"}
    return replace(
        records,
        metadata=records.metadata | given,
        labels=AWKWARD,
        clips=tuple(
            replace(c, emotion=names[c.emotion], target=names[c.target]) for c in records.clips
        ),
        predictions={
            system: [replace(p, target=names[p.target]) for p in found]
            for system, found in records.predictions.items()
        },
    )


def with_metadata(**values: object) -> Callable[[Records], Records]:
    return lambda records: replace(records, metadata=records.metadata | values)


@pytest.fixture(scope="module")
def awkward(evaluation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("awkward") / "changed"
    return changed(evaluation, out, with_awkward_labels)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def answers(evaluation: Path, system: str) -> tuple[list[str], list[str], list[str]]:
    """Labels, targets and answers of a system, read from predictions.csv alone."""
    rows = [r for r in rows_of(evaluation / "predictions.csv") if r["system"] == system]
    labels = list(rows[0])[list(rows[0]).index("temperature") + 1 :]
    given = [max(labels, key=lambda label: float(row[label])) for row in rows]
    return labels, [row["target"] for row in rows], given


def bodies(path: Path) -> list[list[str]]:
    """The cells of a table in LaTeX as text: its head, then its rows."""
    lines = path.read_text(encoding="utf-8").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("\\begin{tabular}"))
    rows = [line.removesuffix("\\\\") for line in lines[start:] if line.endswith("\\\\")]
    return [[plain(cell.strip()) for cell in re.split(r"(?<!\\)&", row)] for row in rows]


def plain(cell: str) -> str:
    """What a cell of LaTeX shows."""
    names = {"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^"}
    names |= {"textless": "<", "textgreater": ">", "textbar": "|"}
    pattern = rf"\\({'|'.join(names)})\{{\}}|\\([&%$#_{{}}])|\{{([\[\]*]?)\}}"
    shown = re.sub(pattern, lambda m: names[m[1]] if m[1] else m[2] or m[3] or "", cell)
    return shown.replace("''", '"')


def check_latex(text: str) -> None:
    """Braces match, no special character is bare, every row of a table has as many cells."""
    without = re.sub(r"\\[a-z]+|\\[&%$#_{}\\]", lambda m: m[0] if m[0] == "\\\\" else "", text)
    depth = 0
    for character in without:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert not set(without.replace("\\\\", "")) & set('\\~^#_<>|"%')
    assert without.count("$") % 2 == 0
    assert text.count("\\begin{") == text.count("\\end{")
    assert all(row.count("&") == without.splitlines()[0].count("&") for row in without.splitlines())


@pytest.mark.parametrize("made", ["evaluation", "awkward"])
def test_tables_as_csv_are_those_of_scikit_learn(made: str, request: Any) -> None:
    evaluation: Path = request.getfixturevalue(made)
    results = avemotion.report(evaluation, format="csv")
    folder = evaluation / "report"
    assert sorted(path.name for path in folder.glob("*.csv")) == sorted(f"{s}.csv" for s in STEMS)
    scores = {row["name"]: row for row in rows_of(folder / "scores.csv")}
    classes = rows_of(folder / "classes.csv")
    for system in SYSTEMS:
        labels, truth, given = answers(evaluation, system)
        row = scores[system]
        assert row["kind"] == "system" and row["seeds"] == "0 1 2"
        assert float(row["accuracy"]) == pytest.approx(accuracy_score(truth, given))
        assert float(row["recall"]) == pytest.approx(recall_score(truth, given, average="macro"))
        assert float(row["f1"]) == pytest.approx(f1_score(truth, given, average="macro"))
        for name in ("accuracy", "recall", "f1"):
            assert float(row[f"{name}_low"]) < float(row[name]) < float(row[f"{name}_high"])
        found = [[r["emotion"], *map(float, list(r.values())[2:])] for r in classes
                 if r["system"] == system]  # fmt: skip
        precision, recall, f1, count = precision_recall_fscore_support(
            truth, given, labels=labels, zero_division=0
        )
        wanted = zip(labels, count / 3, recall, precision, f1, strict=True)
        averages = [f"{name} average" for name in ("micro", "macro", "weighted")]
        assert [r[0] for r in found] == [*labels, *averages]
        for ours, theirs in zip(found, wanted, strict=False):
            assert ours[1:] == pytest.approx(list(map(float, theirs[1:])))
        for ours in found[len(labels) :]:
            kind = ours[0].split()[0]
            p, r, f, _ = precision_recall_fscore_support(truth, given, average=kind)
            assert ours[1:] == pytest.approx([len(truth) / 3, r, p, f])
        matrix = rows_of(folder / f"confusion-{system.replace('/', '-')}.csv")
        assert [list(r.values()) for r in matrix] == [
            [label, *map(str, counts)]
            for label, counts in zip(
                labels, confusion_matrix(truth, given, labels=labels), strict=True
            )
        ]
    people = [row for row in scores.values() if row["kind"] == "people"]
    assert len(people) == 2 * len(results.humans) == 6
    for row in people:
        channel, how = row["name"].removeprefix("people, ").split(": ")
        human = results.humans[channel]
        single = how == "single response"
        assert float(row["accuracy"]) == (human.single_response if single else human.majority)
        assert float(row["recall"]) == (human.single_recall if single else human.recall)
        assert row["f1"] == ""
    assert [row["name"] for row in scores.values() if row["kind"] == "rule"] == [
        rule.name for rule in results.rules
    ]


@pytest.mark.parametrize("made", ["evaluation", "awkward"])
def test_tables_in_latex_say_the_same(made: str, request: Any) -> None:
    evaluation: Path = request.getfixturevalue(made)
    avemotion.report(evaluation, format=("latex", "csv"))
    folder = evaluation / "report"
    assert sorted(path.stem for path in folder.glob("*.tex")) == sorted(STEMS)

    def percent(row: dict[str, str], *names: str) -> list[str]:
        return [f"{100 * float(row[name]):.1f}" if row[name] else "--" for name in names]

    lines = iter(bodies(folder / "scores.tex")[1:])
    for row in rows_of(folder / "scores.csv"):
        values = ("accuracy", "recall", "f1")
        assert next(lines) == [row["name"], *percent(row, *values)]
        if row["accuracy_low"]:
            ends = [percent(row, f"{v}_low", f"{v}_high") for v in values if row[v]]
            shown = [f"[{low}, {high}]" for low, high in ends]
            assert next(lines) == ["", *shown, *[""] * (3 - len(shown))]
    assert not list(lines)
    found = rows_of(folder / "classes.csv")
    wanted = [
        ["" if n % 9 else r["system"], r["emotion"], r["clips"]]
        + percent(r, "recall", "precision", "f1")
        for n, r in enumerate(found)
    ]
    assert bodies(folder / "classes.tex")[1:] == wanted
    for stem in CONFUSIONS:
        for cells, counts in zip(
            bodies(folder / f"{stem}.tex")[1:], rows_of(folder / f"{stem}.csv"), strict=True
        ):
            label, *numbers = counts.values()
            total = sum(map(int, numbers))
            shares = [f"{100 * int(n) / total:.1f}" for n in numbers]
            assert cells == [label, *shares, str(total)]


def test_latex_is_well_formed_and_every_caption_says_what_was_measured(
    evaluation: Path, awkward: Path
) -> None:
    synthetic, mine = "a synthetic corpus laid out like CREMA-D", r"50 \%\_\textbackslash{}mine"
    for out, corpus in ((evaluation, synthetic), (awkward, mine)):
        avemotion.report(out, format="latex")
        for stem in STEMS:
            text = (out / "report" / f"{stem}.tex").read_text(encoding="utf-8")
            comment, *lines = text.splitlines()
            assert comment.startswith("% ") and "\\usepackage{booktabs}" in comment
            (caption,) = [line for line in lines if line.startswith("\\caption{")]
            for said in (
                f"70 clips of 7 actors of {corpus};",
                "protocol: loso (leaving one actor out);",
                "target: the emotion that the actor was asked to show;",
                "training seeds 0, 1, 2.}",
            ):
                assert said in caption
            assert ("SYNTHETIC DATA" in caption) == (out == evaluation)
            check_latex(caption)
            rows = [line for line in lines if line.endswith("\\\\")]
            check_latex("\n".join(rows))
            rules = [line for line in lines if line.endswith("rule")]
            assert rules[0] == "\\toprule" and rules[-1] == "\\bottomrule" and len(rules) >= 3
            used = set(re.findall(r"\\([a-z]+)", "\n".join(lines)))
            assert used <= {
                "begin", "end", "centering", "small", "setlength", "tabcolsep", "caption", "label",
                "toprule", "midrule", "bottomrule", "linewidth", "textbackslash", "textless",
                "textgreater", "textbar", "textasciitilde", "textasciicircum",
            }  # fmt: skip


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_latex_compiles_with_booktabs_alone(
    evaluation: Path, awkward: Path, tmp_path: Path
) -> None:
    for out in (evaluation, awkward):
        avemotion.report(out, format="latex")
        inputs = "".join(f"\\input{{{out / 'report' / stem}}}\n" for stem in STEMS)
        (tmp_path / "paper.tex").write_text(
            "\\documentclass{article}\n\\usepackage{booktabs}\n"
            f"\\begin{{document}}\n{inputs}\\end{{document}}\n"
        )
        words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-2000:]
        assert "Overfull" not in done.stdout and (tmp_path / "paper.pdf").stat().st_size > 10_000


@given(st.text())
@example("a\nb\x07")
@example("[x] *")
@example("?`---``")
def test_any_text_is_escaped(text: str) -> None:
    found = escaped(text)
    check_latex(found)
    assert "&" not in found.replace("\\&", "") and len(found.splitlines()) <= 1
    assert not re.search(r"--|[?!]`|``|^[\[*]", found)
    once = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    assert plain(found).replace("$-$", "−").replace('"', "''") == once.replace('"', "''")


def test_every_protocol_target_and_corpus_has_words_in_captions(
    evaluation: Path, tmp_path: Path
) -> None:
    assert set(get_args(Protocol)) <= latex.PROTOCOLS.keys()
    assert set(get_args(CorpusName)) <= TITLES.keys()
    new = {"protocol": "new_one", "target": "crowd", "corpus": "ravdess_landmarks"}
    out = changed(evaluation, tmp_path / "new", with_metadata(**new, synthetic=None))
    avemotion.report(out, format=("latex", "svg"))
    text = (out / "report" / "classes.tex").read_text()
    assert "protocol: new\\_one; target: the emotion that most of the raters perceived;" in text
    assert "landmark video" in text
    assert "<!-- LANDMARK VIDEO -->" in (out / "report" / "actors.svg").read_text()


def test_labels_that_do_not_fit_over_columns_are_abbreviated() -> None:
    eight = ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
    assert latex._short(eight) == "neu. cal. hap. sad. ang. fea. dis. sur.".split()
    alike = ("a" * 30, "a" * 29 + "b", "a" * 31, "ab")
    assert latex._short(alike) == list(alike)[:1] + ["a" * 29 + "b", "a" * 31, "ab"]


def test_figures_stand_alone(awkward: Path, evaluation: Path) -> None:
    for out in (evaluation, awkward):
        results = avemotion.report(out, format=("svg", "png"))
        folder = out / "report"
        for suffix in ("svg", "png"):
            assert sorted(p.stem for p in folder.glob(f"*.{suffix}")) == sorted(FIGURES)
        for stem in FIGURES:
            picture = matplotlib.image.imread(folder / f"{stem}.png")
            assert min(picture.shape[:2]) > 400 and 0.02 < (picture[..., :3] < 0.9).mean() < 0.9
            svg = (folder / f"{stem}.svg").read_text(encoding="utf-8")
            root = ElementTree.fromstring(svg)
            tags = {element.tag.rpartition("}")[2] for element in root.iter()}
            assert root.tag == "{http://www.w3.org/2000/svg}svg" and "text" not in tags
            assert "var(" not in svg and not {"image", "script"} & tags
            links = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
            assert all(link.startswith("#") for link in links)
            assert ("<!-- SYNTHETIC DATA -->" in svg) == (out == evaluation)
        shown = re.findall("<!-- (.*) -->", (folder / "confusion-ar5-av.svg").read_text())
        counts = [count for row in results.scores["ar5/av"].confusion for count in row]
        sums = [sum(row) for row in results.scores["ar5/av"].confusion for _ in row]
        for count, total in zip(counts, sums, strict=True):
            assert str(count) in shown and f"{100 * count / total:.1f}" in shown
        actors = re.findall("<!-- (100[1-7]) -->", (folder / "actors.svg").read_text())
        first = results.actor_accuracies["ar5/av"]
        assert [first[a] for a in actors] == sorted(first.values(), reverse=True)


def test_the_same_evaluation_gives_the_same_bytes(evaluation: Path) -> None:
    folder, every = evaluation / "report", ("latex", "csv", "svg")
    avemotion.report(evaluation, format=every)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    avemotion.report(evaluation, format=every)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_only_what_is_asked_for_is_written(
    evaluation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = changed(evaluation, tmp_path / "changed", lambda records: records)
    for wrong in ("pdf", ("html", "pdf"), ()):
        with pytest.raises(UsageError, match="--format is .*, but must be one or several of html"):
            avemotion.report(out, format=wrong)  # type: ignore[arg-type]
    assert not (out / "report").exists()
    avemotion.report(out)
    assert [path.name for path in (out / "report").iterdir()] == ["index.html"]
    (out / "report" / "index.html").unlink()
    assert main(["report", str(out), "--format", "latex,csv"]) == 0
    printed = capsys.readouterr().out
    names = [f"{stem}{suffix}" for suffix in (".tex", ".csv") for stem in STEMS]
    assert f"In {out}/report/: {', '.join(names)}\n" in printed
    assert sorted(path.name for path in (out / "report").iterdir()) == sorted(names)
    assert main(["report", str(out)]) == 0
    assert "scores.tex" not in capsys.readouterr().out


def test_examples_in_docstrings() -> None:
    for module in (latex, tables):
        assert doctest.testmod(module).failed == 0 < doctest.testmod(module).attempted


def test_the_report_as_text_has_each_emotion_and_the_averages(evaluation: Path) -> None:
    avemotion.report(evaluation, format="text")
    text = (evaluation / "report" / "classification_report.txt").read_text()
    first, second, *others = SYSTEMS
    assert text.startswith(f"{first}\n")
    assert all(f"\n{system}\n" in text for system in (second, *others))
    labels, truth, given = answers(evaluation, first)
    theirs = classification_report(truth, given, output_dict=True, zero_division=0)
    shown = text.split(f"\n{second}\n")[0].splitlines()
    lines = {" ".join(line.split()[:-4]): line.split()[-4:] for line in shown}
    for ours, name in [*((label, label) for label in labels), ("macro average", "macro avg")]:
        wanted = [f"{theirs[name][m]:.3f}" for m in ("precision", "recall", "f1-score")]
        assert lines[ours] == [*wanted, f"{theirs[name]['support'] / 3:.0f}"]
