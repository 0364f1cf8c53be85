"""Everyday flags that stand for fields of the spec, and what a spec's `verbose` does."""

import json
import logging

import pytest

from frcnn.cli.main import main
from frcnn.spec.load import load_experiment
from tests.support.task_spec import write_spec


@pytest.fixture
def spec(tmp_path):
    return write_spec(tmp_path / "spec.txt")


def test_spec_show_shows_what_is_set(spec, capsys):
    words = ("--set", "training_config.num_epochs=7", "--set", "model_config.freeze_blocks=0,1")
    assert main(["spec", "show", str(spec), *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  num_epochs: 7  # --set" in lines
    assert lines.count("  freeze_blocks: 0  # --set") == lines.count("  freeze_blocks: 1  # --set") == 1


def test_spec_check_checks_what_is_set(spec, capsys):
    assert main(["spec", "check", str(spec), "--set", "training_config.num_epoch=7"]) == 2
    assert "unknown field; did you mean 'num_epochs'?" in capsys.readouterr().err


def test_every_task_with_a_spec_takes_settings(spec, tmp_path, capsys):
    bad = ("--set", "model_config.arch=resnet:19")
    model = tmp_path / "model.keras"
    model.write_bytes(b"PK\x03\x04")
    tasks = {
        "train": ("-r", tmp_path / "results"),
        "evaluate": ("-m", model),
        "inference": ("-m", model),
        "export": ("-m", model),
        "augment": ("preview", "-o", tmp_path / "preview"),
        "onnx": ("verify", model, "--against", model, "--images", tmp_path),
    }
    for task, words in tasks.items():
        assert main([task, *map(str, words), "-e", str(spec), *bad]) == 2, task
        assert "did you mean 'resnet:18'? (--set model_config.arch=resnet:19)" in capsys.readouterr().err, (
            task
        )
    assert main(["model", "summary", str(spec), *bad]) == 2
    assert "resnet:18" in capsys.readouterr().err


def test_a_spec_that_says_verbose_logs_its_effective_values(spec, tmp_path, capsys):
    spec.write_text(spec.read_text() + 'verbose: true enc_key: "hidden-key"\n')
    log_file = tmp_path / "log.txt"
    words = ("evaluate", "-e", str(spec), "-m", str(tmp_path / "none.keras"), "--log_file", str(log_file))
    assert main(words) == 1
    shown = capsys.readouterr().err
    assert "DEBUG" in shown and "num_epochs: 1" in shown
    assert "hidden-key" not in shown + log_file.read_text()
    assert logging.getLogger("frcnn").level == logging.DEBUG
    spec.write_text(spec.read_text() + "verbose: false\n")
    assert main(words) == 1
    assert "DEBUG" not in capsys.readouterr().err


@pytest.mark.parametrize(("task", "others"), [("evaluate", False), ("export", False), ("train", True)])
def test_flags_of_training_are_listed_there_only(task, others, capsys):
    with pytest.raises(SystemExit):
        main([task, "--help"])
    shown = capsys.readouterr().out
    assert [flag in shown for flag in ("--gpus", "--num_processes", "--use_amp")] == [others] * 3
    assert "--gpu_index" in shown


def test_evaluates_images_flag_names_the_folder_of_the_validation_set(spec, tmp_path):
    from frcnn.cli.evaluate import with_images

    loaded = load_experiment(spec)
    (source,) = with_images(loaded, tmp_path).dataset_config.data_sources
    assert source.image_directory_path == str(tmp_path)
    assert source.tfrecords_path == loaded.dataset_config.data_sources[0].tfrecords_path


def test_the_completion_scripts_know_tasks_and_flags(capsys):
    for shell in ("bash", "zsh"):
        assert main(["completion", shell]) == 0
        script = capsys.readouterr().out
        assert "dataset_convert" in script and "--experiment_spec" in script and "--epochs" in script


@pytest.mark.parametrize("words", [["help"], ["--help"], ["-h"]])
def test_help_is_a_word_too(words, capsys):
    assert main(words) == 0
    assert "usage: frcnn <task>" in capsys.readouterr().out


def test_help_of_a_task(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["help", "train"])
    assert ended.value.code == 0
    assert "--epochs" in capsys.readouterr().out
    assert main(["help", "trainn"]) == 2
    assert "did you mean 'train'?" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["version", "--version"])
def test_version_is_a_word_too(word, capsys):
    from frcnn import __version__

    assert main([word]) == 0
    assert capsys.readouterr().out == f"frcnn {__version__}\n"


def test_settings_reach_the_status_of_a_conversion(tmp_path, capsys):
    spec = tmp_path / "convert.txt"
    spec.write_text(
        'kitti_config { root_directory_path: "/nowhere" image_dir_name: "a" label_dir_name: "b" }'
    )
    words = ("dataset_convert", "-d", spec, "-o", tmp_path / "out/x", "-r", tmp_path / "results")
    setting = f"kitti_config.root_directory_path={tmp_path}/elsewhere"
    assert main([*map(str, words), "--set", setting]) == 1
    last = json.loads((tmp_path / "results/status.json").read_text().splitlines()[-1])
    assert f"{tmp_path}/elsewhere/a: no such folder" in last["message"]
