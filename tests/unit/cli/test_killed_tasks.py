"""Outputs of prune and export, killed before every call that changes a file: old or new, no leftovers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from frcnn.api.exported_files import write_together
from frcnn.files import write_text
from frcnn.model.files.archive import Group
from frcnn.model.files.checkpoint import Snapshot
from frcnn.model.files.training_record import TrainingRecord, read_record
from frcnn.settings.data import data_settings
from frcnn.spec import load_experiment
from tests.support.kill_points import all_files, each_kill, kill_server
from tests.support.toy_training import toy_spec

OLD, NEW = ("old", "older"), ("car", "person")
MODEL = "model.onnx"


def onnx_model(name: str) -> onnx.ModelProto:
    value = helper.make_tensor("value", TensorProto.FLOAT, [4096], np.arange(4096, dtype=np.float32))
    node = helper.make_node("Constant", [], ["y"], value=value)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4096])
    return helper.make_model(helper.make_graph([node], name, [], [output]))


def export(folder: Path) -> None:
    """The job: what `frcnn export --gen_ds_config` writes."""
    write_together(
        onnx_model("new"), folder / "out" / MODEL, "", data_settings(load_experiment(folder / "spec.txt"))
    )


def prune(folder: Path) -> None:
    """The job: the pruned model, and then the report."""
    arrays = [np.arange(30_000, dtype=np.float32)]
    snapshot = Snapshot("{}", [Group("layers/conv/vars", "conv", arrays)])
    snapshot.save(folder / "out/pruned.keras", TrainingRecord("resnet:10", NEW))
    write_text(folder / "out/pruning.json", '{"new": 1}')


@pytest.fixture
def prepared(tmp_path):
    folder = tmp_path / "prepared"
    folder.mkdir()
    toy_spec(folder, images=1, validation=1)
    (folder / "out").mkdir()
    return folder


@pytest.fixture
def tried(tmp_path, prepared, record_property):
    """Kills a job at every point, and records how many there are."""

    def run(job: Callable[[Path], None], check, equal) -> int:
        count = _tried(job, tmp_path, prepared, check, equal)
        record_property("kill points", count)
        return count

    return run


def _tried(job: Callable[[Path], None], tmp_path: Path, prepared: Path, check, equal) -> int:
    server_files = tmp_path / "server"
    server_files.mkdir()
    with kill_server(job, server_files) as server:
        return each_kill(server, prepared, tmp_path / "work", check, equal=equal)


@pytest.mark.parametrize("earlier", [False, True])
def test_an_exported_model_never_lies_beside_the_labels_of_another(prepared, tried, earlier):
    if earlier:
        (prepared / "out" / MODEL).write_bytes(onnx_model("old").SerializeToString())
        (prepared / "out/labels.txt").write_text("old\n")
        (prepared / "out/nvinfer_config.txt").write_text("old\n")

    def check(folder: Path) -> None:
        out = folder / "out"
        names = {path.name for path in out.iterdir() if path.exists() and not path.name.startswith(".")}
        if not names:
            assert not earlier
            return
        assert names == {MODEL, "labels.txt", "nvinfer_config.txt"}
        graph = onnx.load(out / MODEL).graph.name
        assert ((out / "labels.txt").read_text() == "old\n") == (graph == "old")
        assert ((out / "nvinfer_config.txt").read_text() == "old\n") == (graph == "old")

    assert tried(export, check, lambda folder: all_files(folder / "out")) > 30


def test_a_pruned_model_is_the_old_one_or_the_new_one(prepared, tried):
    snapshot = Snapshot("{}", [Group("layers/conv/vars", "conv", [np.zeros(3, np.float32)])])
    snapshot.save(prepared / "out/pruned.keras", TrainingRecord("resnet:10", OLD))

    def check(folder: Path) -> None:
        assert read_record(folder / "out/pruned.keras").class_names in (OLD, NEW)

    def equal(folder: Path) -> object:
        names = sorted(path.name for path in (folder / "out").iterdir())
        return names, read_record(folder / "out/pruned.keras"), (folder / "out/pruning.json").read_text()

    assert tried(prune, check, equal) > 20
