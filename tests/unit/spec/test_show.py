"""`frcnn spec check`, `frcnn spec show` and what importing the spec costs."""

import argparse
import subprocess
import sys

import pytest

from frcnn.cli import spec as command
from frcnn.errors import SpecError, UsageError
from frcnn.spec.load import load_any, parse_dataset_export, parse_experiment
from frcnn.spec.show import HIDDEN, render
from tests.unit.spec.samples import DATA, GUIDE, MINIMAL, REFERENCE, ROOT, changed

EXAMPLES = sorted((ROOT / "examples/specs").glob("*.txt"))


def shown(text, **options):
    loaded = parse_experiment(text)
    return render(loaded.spec, loaded.positions, **options)


def run(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args([str(word) for word in words]))


@pytest.mark.parametrize("text", [GUIDE, MINIMAL, REFERENCE])
def test_what_is_shown_loads_to_the_same_spec(text):
    assert parse_experiment(shown(text, show_keys=True)).spec == parse_experiment(text).spec


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_shown_examples_load_to_the_same_spec(path):
    loaded = load_any(path)
    parse = parse_dataset_export if "convert" in path.name else parse_experiment
    assert parse(render(loaded.spec, loaded.positions)).spec == loaded.spec


def test_defaults_are_marked_and_set_values_are_not():
    lines = shown(
        changed(MINIMAL, ("batch_size_per_gpu: 4", "batch_size_per_gpu: 4 num_epochs: 20"))
    ).splitlines()
    assert "random_seed: 42  # default" in lines
    assert '  arch: "resnet:10"' in lines
    assert "  num_epochs: 20" in lines
    assert "  rpn_min_overlap: 0.3  # default" in lines
    assert "    output_image_width: 320  # default" in lines
    assert '  classifier_regr_std { key: "h" value: 5.0 }  # default' in lines
    assert "    optimizer {" not in lines and "  optimizer {" in lines
    assert "evaluation_config {  # default" in lines
    assert "  gt_matching_iou_threshold: 0.5  # default" in lines
    assert "  dataloader_mode: MULTISOURCE  # default" in lines
    assert not any("early_stopping" in line for line in lines)


def test_keys_are_hidden_unless_asked_for():
    text = changed(MINIMAL, ("model_config {", r"enc_key: 'a\"b' model_config {"))
    assert f'enc_key: "{HIDDEN}"  # hidden' in shown(text)
    assert r'enc_key: "a\"b"' in shown(text, show_keys=True)


def test_check_tells_both_kinds_apart(capsys):
    run("check", ROOT / "examples/specs/kitti_resnet18.txt", ROOT / "examples/specs/kitti_convert.txt")
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(
        "kitti_resnet18.txt: OK (experiment spec, resnet:18, 3 classes: car, cyclist, person)"
    )
    assert second.endswith("kitti_convert.txt: OK (dataset_convert spec of a KITTI data set)")


def test_check_names_all_faults_and_ends_with_code_2():
    with pytest.raises(SpecError) as raised:
        run("check", DATA / "five_faults.txt")
    assert (len(raised.value.problems), raised.value.exit_code) == (5, 2)


def test_check_goes_on_to_the_next_file(tmp_path, capsys):
    (tmp_path / "convert.txt").write_text('kitti_config { partition_mode: "randon" }')
    good, bad = DATA / "minimal.txt", DATA / "five_faults.txt"
    with pytest.raises(UsageError) as raised:
        run("check", bad, tmp_path / "convert.txt", good)
    assert "five_faults.txt: 5 problems" in str(raised.value)
    assert "convert.txt: 1 problem\n  1:16  kitti_config.partition_mode: found" in str(raised.value)
    assert raised.value.exit_code == 2
    assert "1 class: car" in capsys.readouterr().out


def test_show_writes_the_effective_spec(capsys):
    run("show", DATA / "minimal.txt")
    out = capsys.readouterr().out
    assert out.startswith(f"# {DATA / 'minimal.txt'}\nrandom_seed: 42  # default\n")
    assert parse_experiment(out).spec == parse_experiment(MINIMAL).spec


def test_the_spec_needs_no_tensorflow():
    code = (
        "import sys, frcnn.spec, frcnn.cli.spec, frcnn.spec.load, frcnn.spec.show\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'matplotlib', 'kfp'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from pathlib import Path\n"
        f"frcnn.spec.load_experiment(Path({str(DATA / 'guide_sample.txt')!r}))\n"
        "import time\n"
        "assert time.process_time() < 0.5, time.process_time()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        env={"PYTHONPATH": str(ROOT / "shared/src"), "PATH": ""}, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
