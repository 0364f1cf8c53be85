import contextvars
import json
import logging
import zipfile
from pathlib import Path

import pytest

from frcnn.cli.main import main
from frcnn.cli.prune import _show, output_file
from frcnn.pruning.cost import Cost
from frcnn.pruning.report import PruneReport
from frcnn.pruning.settings import PruneSettings
from frcnn.sealing.sealed_file import is_sealed
from frcnn.single_writer import only_writer_of

RECORD = {
    "arch": "resnet:10",
    "class_names": ("car", "person"),
    "epoch": 7,
    "step": 70,
    "spec_text": "a spec",
    "metrics": {"mAP": 0.5},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A file with a tiny detector of two convolutions and a dense layer that can be pruned."""
    import keras
    from keras import layers

    from frcnn.model.faster_rcnn import FasterRCNN
    from frcnn.model.files.checkpoint import save_model
    from frcnn.model.files.training_record import TrainingRecord
    from frcnn.model.settings import Geometry
    from tests.unit.pruning.networks import conv, randomise

    image = keras.Input((128, 160, 3), name="input_image")
    body = conv(conv(image, 16, "conv1", strides=4), 32, "conv2", strides=4)
    rpn = [
        layers.Conv2D(size, 1, name=name)(body)
        for name, size in (("rpn_out_class", 1), ("rpn_out_regress", 4))
    ]
    crops = keras.Input((7, 7, 32), name="crops")
    vector = layers.Dense(24, activation="relu", name="fc1")(layers.Flatten()(crops))
    answers = [
        layers.Dense(3, name="dense_class_td")(vector),
        layers.Dense(8, name="dense_regress_td")(vector),
    ]
    parts = keras.Model(image, [body, *rpn], name="features"), keras.Model(crops, answers, name="roi_head")
    randomise(parts)
    path = tmp_path_factory.mktemp("model") / "model.keras"
    geometry = Geometry(128, 160, 3, (32.0,), (1.0,), 7, ("car", "person"))
    save_model(FasterRCNN(*parts, geometry), path, TrainingRecord(**RECORD))
    return path


def prune(model, *words):
    return main(["prune", "-m", str(model), *map(str, words)])


def record_of(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("frcnn.json"))


def test_it_writes_a_narrower_model_and_says_how_much_is_left(model, tmp_path, capsys):
    out = tmp_path / "pruned.keras"
    results = tmp_path / "results"
    assert prune(model, "-o", out, "-pth", "0.6", "-pg", 4, "-nf", 4, "--results_dir", results) == 0
    shown = capsys.readouterr().out.splitlines()
    report = json.loads((results / "pruning.json").read_text())
    ratio = report["pruning_ratio"]
    assert f"Pruning ratio (pruned model / original model): {ratio:.6g}" in shown
    assert shown[-2:] == [f"pruned model: {out}", "Execution status: PASS"]
    assert out.stat().st_size < model.stat().st_size
    kept = {row["name"]: (row["kept"], row["total"]) for row in report["layers"]}
    assert kept["conv2"][0] < kept["conv2"][1] == 32 and kept["rpn_out_class"] == (1, 1)
    assert report["settings"]["pruning_threshold"] == 0.6
    last = json.loads((results / "status.json").read_text().splitlines()[-1])
    assert last["status"] == "SUCCESS"
    assert last["kpi"] == {
        "pruning_ratio": ratio,
        "size": out.stat().st_size / 2**20,
        "param_count": report["params"]["after"] / 1e6,
    }


def test_of_the_record_what_made_the_model_is_kept_and_what_training_did_is_not(model, tmp_path):
    out = tmp_path / "pruned.keras"
    assert prune(model, "-o", out, "-pth", "0.6") == 0
    assert record_of(out) == RECORD | {
        "class_names": ["car", "person"],
        "epoch": 0,
        "step": 0,
        "metrics": {},
        "history": [],
    }


def test_every_flag_of_the_reference_is_taken(model, tmp_path):
    out, results = tmp_path / "pruned.keras", tmp_path / "results"
    words = [
        "-n",
        "L2",
        "-eq",
        "geometric_mean",
        "-pg",
        2,
        "-pth",
        "5",  # L2 scores are about the square root of the number of filters
        "-nf",
        2,
        "-el",
        "conv1",
        "fc1",
        "-v",
    ]
    assert prune(model, "-o", out, *words, "--results_dir", results) == 0
    report = json.loads((results / "pruning.json").read_text())
    assert report["settings"]["normalizer"] == "L2"
    assert report["settings"]["excluded_layers"] == ["conv1", "fc1"]
    kept = {row["name"]: (row["kept"], row["total"], row["note"]) for row in report["layers"]}
    assert kept["conv1"] == (16, 16, "excluded") and kept["fc1"] == (24, 24, "excluded")
    assert kept["conv2"][0] < 32


def test_the_threshold_that_was_found_is_printed_with_its_own_digits(capsys):
    settings = PruneSettings(target_params=0.5)
    _show(PruneReport((), Cost(10, 10), Cost(5, 5), 0.9793, settings, ()), None)
    assert "Threshold found: -pth 0.9793\n" in capsys.readouterr().out  # 16 digits are 0.9792999999999999


def test_a_dry_run_prints_the_plan_and_writes_no_model(model, tmp_path, capsys):
    before = sorted(tmp_path.iterdir())
    assert prune(model, "--dry_run", "--target_params", "0.5", "-nf", 2, "-pg", 2) == 0
    shown = capsys.readouterr().out
    assert "conv2" in shown and "Threshold found: -pth 0." in shown and "nothing written (--dry_run)" in shown
    assert sorted(tmp_path.iterdir()) == before


def test_a_key_seals_the_pruned_model(model, tmp_path, monkeypatch):
    monkeypatch.setenv("FRCNN_KEY", "secret")
    out = tmp_path / "pruned.tlt"
    assert prune(model, "-o", out, "-pth", "0.6") == 0
    assert is_sealed(out)
    assert prune(out, "--dry_run", "-pth", "0.6") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-pth", "0.6"], "-o/--output_file is missing"),
        (["-o", "p.keras", "-pth", "0.6", "--target_params", "0.5"], "-pth 0.6 cannot be combined"),
        (["-o", "p.keras", "-pth", "1"], "--pruning_threshold 1: no filter scores higher"),
        (
            ["-o", "p.keras", "-el", "conv11"],
            "--excluded_layers conv11: the model has no such layer; did you mean",
        ),
        (["-o", "p.keras", "-pg", "0"], "--pruning_granularity 0: expected 1 or more"),
        (
            ["-o", "p.keras", "--target_flops", "0.0001"],
            "--target_flops 0.0001: the smallest reachable fraction is",
        ),
    ],
)
def test_what_cannot_be_right_is_told_without_a_traceback(
    model, tmp_path, monkeypatch, capsys, words, message
):
    monkeypatch.chdir(tmp_path)
    assert prune(model, *words) == 2
    shown = capsys.readouterr().err
    assert message in shown and "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


def test_the_model_itself_is_replaced_only_by_force(model, tmp_path, capsys):
    copy = tmp_path / "model.keras"
    copy.write_bytes(model.read_bytes())
    assert prune(copy, "-o", copy, "-pth", "0.6") == 2
    assert "is the model to prune" in capsys.readouterr().err
    assert copy.read_bytes() == model.read_bytes()
    assert prune(copy, "-o", copy, "-pth", "0.6", "--force") == 0
    assert copy.stat().st_size < model.stat().st_size


def test_a_file_that_exists_is_replaced_only_by_force(model, tmp_path, capsys):
    target = tmp_path / "mine.keras"
    target.write_bytes(b"mine")
    assert prune(model, "-o", target, "-pth", "0.6") == 2
    assert f"{target}: exists; name another output with -o, or add --force" in capsys.readouterr().err
    assert target.read_bytes() == b"mine"
    assert prune(model, "-o", target, "-pth", "0.6", "--dry_run") == 0
    assert target.read_bytes() == b"mine"
    assert prune(model, "-o", target, "-pth", "0.6", "--force") == 0
    assert target.stat().st_size > 1000


def test_a_missing_model_is_named(tmp_path, capsys):
    assert prune(tmp_path / "none.tlt", "-o", tmp_path / "p.keras") == 1
    assert "none.tlt: no such model file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "key", "name", "sealed", "word"),
    [
        ("a.tlt", "k", "a.tlt", True, None),
        ("a.tlt", "", "a.tlt", False, "written unencrypted because no key is set"),
        ("a.keras", "", "a.keras", False, None),
        ("a.keras", "k", "a.keras", False, "written unencrypted because of its suffix"),
        ("a.hdf5", "", "a.hdf5", False, "a Keras archive despite its suffix"),
        ("model.epoch_3", "k", "model.epoch_3.tlt", True, "has no known model file suffix"),
        ("model", "", "model.keras", False, "has no known model file suffix"),
    ],
)
def test_a_name_keeps_its_meaning(caplog, given, key, name, sealed, word):
    with caplog.at_level(logging.INFO, "frcnn"):
        assert output_file(Path("out") / given, key) == (Path("out") / name, key if sealed else "")
    assert word in caplog.text if word else not caplog.text


def test_a_second_run_that_writes_the_same_file_is_refused(model, tmp_path, capsys):
    out = tmp_path / "pruned.keras"
    with only_writer_of(out):
        code = contextvars.Context().run(prune, model, "-o", out, "-nf", 2, "-pg", 2)
    assert code == 1
    assert "is writing there" in capsys.readouterr().err
    assert not out.exists()
