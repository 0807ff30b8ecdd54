"""The command line: exit codes, one-line messages, --config, and all steps end to end."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from media_maker import write_pointer
from network_maker import experiment_of
from preprocess_maker import voices

import avemotion
from avemotion.cli import COMMANDS, main
from avemotion.cli.options import Command
from avemotion.config import GivenTraining
from avemotion.errors import UsageError
from avemotion.models.ar5 import AR5Settings
from avemotion.models.probe import ProbeSettings
from avemotion.models.registry import training_for

CONFIGS = Path(__file__).parents[2] / "configs"


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def one_line_error(err: str) -> str:
    """The message of a command that was refused before it began: one line, no traceback."""
    assert "Traceback" not in err
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    return lines[0]


def test_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for command in COMMANDS:
        assert f"  {command} " in out


def test_a_word_after_two_hyphens_is_no_option() -> None:
    def add(parser: Any) -> None:
        parser.add_argument("clips", nargs="+")
        parser.add_argument("--some_thing")

    values = Command("x", "", ["--some-thing", "1", "--", "--my-clip.flv"]).parse(add)
    assert values == {"clips": ["--my-clip.flv"], "some_thing": "1"}


def test_whoever_reads_only_the_head_of_what_is_printed_sees_no_error() -> None:
    script = (
        "import sys; from avemotion import cli; from avemotion.cli import commands; "
        "commands.RUNNERS['demo'] = lambda _: [print('x' * 99, flush=True) for _ in range(9999)]; "
        "sys.exit(cli.main(['demo']))"
    )
    command = [f'{sys.executable} -c "{script}" | head -c 5']
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("xxxxx", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    words = [sys.executable, "-m", "avemotion", command, "--help"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 and f"usage: avemotion {command}" in done.stdout
    for raw in ("<function", "type: ", "Literal[", "``", "null", "default: ())"):
        assert raw not in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["emote"], 2, "no command 'emote'"),
        (["fit", "--modality", "smell"], 2, "smell"),
        (["fit", "--model", "nowhere"], 2, "no model 'nowhere'. Models: ar5"),
        (["fit", "--model"], 2, "model"),
        (["fit", "--ar5.width", "9"], 2, "--ar5.width is 9.0, but must be from 0.1 to 4"),
        (["fit", "--other.width", "1"], 2, "other.width"),
        (["fit", "--training.epochs", "0"], 2, "--training.epochs is 0, but must be 1 or more"),
        (["fit", "--training.epochs", "many"], 2, "many"),
        (["fit", "--training.validation", "0"], 2, "early_stopping"),
        (["fit", "--such-option", "1"], 2, "such_option"),
        (["fit", "--data", "nowhere"], 2, "nowhere is not a feature store"),
        (["fit", "--config", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["evaluate", "--modalities", "av,touch"], 2, "'touch' is not one of av, video, audio"),
        (["evaluate", "--modalities", "av,av"], 2, "twice"),
        (["evaluate", "--models", "ar5,ar5"], 2, "twice"),
        (["evaluate", "--models", "ar5,nowhere"], 2, "no model 'nowhere'. Models: ar5"),
        (["evaluate", "--modalities", "av,audio"], 2, "features is not a feature store"),
        (["evaluate", "--protocol", "guess"], 2, "guess"),
        (["report", "nowhere"], 2, "nowhere holds no finished evaluation"),
        (["report", "nowhere", "--format", "pdf"], 2, "'pdf', but must be one or several of html"),
        (["report", "nowhere", "--format", "csv,csv"], 2, "twice"),
        (["cite", "nowhere"], 2, "nothing at nowhere. Give the folder of an evaluation"),
        (["preprocess", "nowhere"], 2, "nowhere is not a folder"),
        (["preprocess"], 2, "DIRECTORY is missing"),
        (["preprocess", ".", "--corpus", "youtube"], 2, "youtube"),
        (["ratings", "nowhere"], 2, "nowhere is not a folder"),
        (["verify", "nowhere"], 2, "nowhere"),
        (["synth", "corpus", "--actors", "0"], 2, "actors"),
        (["classify"], 2, "CLIPS is missing"),
        (["classify", "x.mp4", "--runtime", "tpu"], 2, "tpu"),
        (["classify", "x.mp4", "--checkpoint", "x.onnx"], 2, "avemotion export CHECKPOINT x.onnx"),
        (["export", "runs/ar5/av"], 2, "FILE is missing"),
        (["export", "runs/ar5/av", "av.bin"], 2, "must be a file name that ends in .onnx"),
        (["export", "runs/ar5/av", "av.onnx"], 2, "No checkpoint at runs/ar5/av"),
        (["export", "av.onnx", "video.onnx"], 2, "av.onnx, which is already exported"),
    ],
)
def test_wrong_usage_is_one_line(
    words: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AVEMOTION_CHECKPOINT", raising=False)
    found, out, err = run(capsys, *words)
    assert found == code and out == ""
    assert message in one_line_error(err)
    assert list(tmp_path.iterdir()) == []  # nothing half-made is left behind


def test_a_corpus_of_pointers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "crema" / "VideoFlash").mkdir(parents=True)
    write_pointer(tmp_path / "crema" / "VideoFlash" / "1001_DFA_ANG_XX.flv")
    code, _, err = run(capsys, "preprocess", tmp_path / "crema", "--out", tmp_path / "features")
    assert code == 2 and "git lfs pull" in one_line_error(err)
    assert not (tmp_path / "features").exists()


def test_a_store_with_other_settings(
    capsys: pytest.CaptureFixture[str], small_corpus: Path, small_store: Path
) -> None:
    code, _, err = run(capsys, "preprocess", small_corpus, "--out", small_store, "--views", 3)
    assert code == 2
    assert '"views": 2' in err and '"views": 3' in err and "--out" in err


def test_some_failed_is_exit_code_one(
    capsys: pytest.CaptureFixture[str], fitted: Path, small_corpus: Path, tmp_path: Path
) -> None:
    good = sorted((small_corpus / "VideoFlash").glob("*.flv"))[0]
    code, out, err = run(
        capsys, "classify", tmp_path / "none.mp4", good, "--checkpoint", fitted / "ar5/av"
    )
    assert code == 1 and err == ""
    assert "none.mp4: FAILED: no such file" in out and f"{good}: " in out


def test_a_clip_that_preprocess_cannot_read_is_exit_code_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    corpus = voices(tmp_path / "corpus", actors=1)
    words = ("preprocess", corpus, "--workers", 1, "--views", 1)
    assert run(capsys, *words, "--out", tmp_path / "whole")[0] == 0
    (corpus / "AudioWAV" / "1001_DFA_DIS_XX.wav").write_text("no sound at all")
    code, out, _ = run(capsys, *words, "--out", tmp_path / "features")
    assert code == 1 and "1001_DFA_DIS_XX" in out


def test_a_name_that_is_no_utf8_keeps_no_other_clip_from_an_answer(
    fitted: Path, small_corpus: Path, tmp_path: Path
) -> None:
    good = sorted((small_corpus / "VideoFlash").glob("*.flv"))[0]
    shutil.copy(good, tmp_path / "g\udcff.flv")
    words = ["classify", "g\udcff.flv", good, "--checkpoint", fitted / "ar5/video"]
    done = subprocess.run(
        [sys.executable, "-m", "avemotion", *map(str, words)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    first, second = (line for line in done.stdout.splitlines() if b".flv: " in line)
    assert first.startswith(b"g\\udcff.flv: ") and second.startswith(str(good).encode())


def test_json_is_one_object_a_clip(
    capsys: pytest.CaptureFixture[str], fitted: Path, small_corpus: Path
) -> None:
    clips = sorted((small_corpus / "VideoFlash").glob("*.flv"))[:2]
    code, out, _ = run(capsys, "classify", *clips, "--json", "--checkpoint", fitted / "ar5/av")
    results = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [r["clip"] for r in results] == [str(c) for c in clips]


def test_hyphens_and_underscores_are_the_same(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for option in ("--clips-per-actor", "--clips_per_actor"):
        code, _, err = run(capsys, "synth", tmp_path / "crema", option, 1)
        assert code == 2 and "clips" in one_line_error(err) and "1" in err


class TestConfig:
    @pytest.fixture
    def parsed(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
        """What `fit` is called with."""
        import avemotion

        seen: dict[str, object] = {}

        def fit(
            *,
            data: Path = Path("features"),
            model: str = "ar5",
            modality: str = "av",
            settings: object = None,
            training: GivenTraining = None,
            members: tuple[Path, ...] = (),
        ) -> object:
            assert not members
            seen.update(data=data, model=model, modality=modality, settings=settings)
            seen.update(training=training)
            raise KeyboardInterrupt

        monkeypatch.setattr(avemotion, "fit", fit, raising=False)
        return seen

    @pytest.mark.parametrize("config_last", [True, False])
    def test_what_is_typed_wins_over_the_file(
        self, parsed: dict[str, object], tmp_path: Path, config_last: bool
    ) -> None:
        file = tmp_path / "x.yaml"
        file.write_text("modality: audio\nar5: {width: 0.5}\ntraining: {epochs: 3}\n")
        typed, config = ["--modality", "video", "--training.epochs", "7"], ["--config", str(file)]
        assert main(["fit", *(typed + config if config_last else config + typed)]) == 130
        assert parsed["modality"] == "video"
        assert parsed["training"] == {"epochs": 7}
        assert (parsed["model"], parsed["settings"]) == ("ar5", AR5Settings(width=0.5))

    def test_the_best_configuration_is_the_default(self, parsed: dict[str, object]) -> None:
        main(["fit", "--config", str(CONFIGS / "ar5.yaml")])
        assert parsed["settings"] == AR5Settings()
        assert parsed["training"] == {}

    def test_the_thesis_configuration(self, parsed: dict[str, object]) -> None:
        main(["fit", "--config", str(CONFIGS / "ar5_thesis.yaml")])
        network, training = parsed["settings"], parsed["training"]
        assert network.spectrogram == "power"
        assert training["clamp_weights"]
        assert not training["modality_dropout"] and not training["mixup"]

    def test_the_configuration_of_encoders_is_one_of_the_probe(
        self, parsed: dict[str, object]
    ) -> None:
        config = str(CONFIGS / "crema_d_encoders.yaml")
        main(["fit", "--config", config, "--model", "probe", "--modality", "av"])
        assert isinstance(parsed["settings"], ProbeSettings)
        assert (
            parsed["settings"].face == "avemotion-1-face" and not parsed["training"]["validation"]
        )

    @pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.stem)
    def test_files_hold_only_differences(self, path: Path) -> None:
        plain = experiment_of()
        defaults = plain.to_dict() | {plain.model: plain.settings, "probe": asdict(ProbeSettings())}
        content = yaml.safe_load(path.read_text())
        defaults["training"] = asdict(training_for(content.get("model", "ar5")))
        for section, values in content.items():
            if isinstance(values, str):  # which model, and what it reads
                assert defaults[section] != values
                continue
            for name, value in values.items():
                if name in ("mirror", "scale"):  # named in the file's list of augmentations
                    continue
                assert defaults[section][name] != value, f"{section}.{name} is the default"

    def test_an_unknown_name_in_a_file_is_refused(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        (tmp_path / "x.yaml").write_text("training: {epoch: 3}\n")
        code, _, err = run(capsys, "fit", "--config", tmp_path / "x.yaml")
        assert code == 2 and "epoch" in one_line_error(err)

    @pytest.mark.parametrize(
        ("command", "text"),
        [("fit", "model: 5"), ("fit", "model:"), ("fit", "model: nowhere"),
         ("evaluate", "models: 5"), ("evaluate", "- model")],
    )  # fmt: skip
    def test_a_file_that_names_no_model_is_refused(
        self, command: str, text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        (tmp_path / "x.yaml").write_text(text)
        code, _, err = run(capsys, command, "--config", tmp_path / "x.yaml")
        assert code == 2 and "model" in one_line_error(err)


def test_the_models_are_listed_with_what_they_read(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "models", "--json")
    first, *_ = map(json.loads, out.splitlines())
    assert code == 0 and first["name"] == "ar5" and first["installed"] and not first["needs"]
    assert first["inputs"] == {
        "av": ["faces", "log_mel"], "video": ["faces"], "audio": ["log_mel"],
    }  # fmt: skip
    assert 1_000_000 < first["parameters"] < 3_000_000 and first["units"] == "optional"
    assert {figure["modality"]: figure["value"] for figure in first["reported"]} == {
        "av": 0.6942, "video": 0.6284,
    }  # fmt: skip
    code, out, _ = run(capsys, "models")
    assert code == 0 and "av: faces, log_mel" in out and f"{first['parameters']:,}" in out
    assert "AR5, av: 69.42 % reported (Ristea 2019" in out


def test_verify_prints_one_json_object(
    small_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "verify", small_corpus, "--decode", "--json")
    found = json.loads(out)
    assert code == 0 and found["ok"] and found["decoded"] == 2 * found["clips"] == 96
    shutil.copytree(small_corpus, tmp_path / "corpus")
    video = sorted((tmp_path / "corpus" / "VideoFlash").iterdir())[0]
    video.write_bytes(video.read_bytes()[:-100])
    code, out, _ = run(capsys, "verify", tmp_path / "corpus", "--json")
    assert code == 1 and not json.loads(out)["ok"] and video.name in out


def test_folders_may_be_given_as_text(small_corpus: Path, tmp_path: Path) -> None:
    """In Python; whoever types checks would be told, but a notebook is not checked."""
    text: Any = str
    assert avemotion.verify(text(small_corpus), progress=False).directory == small_corpus
    assert avemotion.ratings(text(small_corpus))
    with pytest.raises(UsageError, match="is not a feature store"):
        avemotion.fit(data=text(tmp_path))
    with pytest.raises(UsageError, match="is not a feature store"):
        avemotion.evaluate(data=text(tmp_path), runs=text(tmp_path), out=text(tmp_path / "e"))
    with pytest.raises(UsageError):
        avemotion.report(text(tmp_path))
