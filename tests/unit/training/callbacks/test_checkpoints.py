"""Checkpoints beside the training: what a snapshot is, what a full disk leaves, what errors become."""

import resource
import subprocess
import sys
import threading
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from frcnn.distributed.world import RankInfo
from frcnn.errors import NotFiniteError, RunError
from frcnn.model.build import build
from frcnn.model.files.checkpoint import Snapshots, load_checkpoint, save_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.settings.model import model_settings
from frcnn.settings.training import training_run
from frcnn.training.callbacks.background_writer import BackgroundWriter
from frcnn.training.callbacks.checkpoints import Checkpoints
from frcnn.training.callbacks.training_log import TrainingLog
from frcnn.training.compile import prepare
from frcnn.training.run_folder import checkpoint_in
from frcnn.training.starting_point import Start, begin
from tests.support.toy_training import toy_spec

OPTIMIZERS = {
    "adam": "optimizer { adam { } }",
    "sgd": "optimizer { sgd { momentum: 0.9 nesterov: true } }",
    "rmsprop": "optimizer { rmsprop { } }",
}
RECORD = TrainingRecord("resnet:10", ("car", "person"), epoch=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    spec = toy_spec(tmp_path_factory.mktemp("model"), training=OPTIMIZERS["adam"])
    found = build(model_settings(spec))
    prepare(found, training_run(spec), 10, RankInfo(), amp=False)
    return found


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_snapshot_stays_as_it_was_while_the_training_goes_on(model, tmp_path, kind):
    """It shares TensorFlow's memory: an update in place would show."""
    prepare(model, training_run(toy_spec(tmp_path, training=OPTIMIZERS[kind])), 10, RankInfo(), amp=False)
    snapshot = Snapshots(model).take()
    shared = [array for group in snapshot.groups for array in group.arrays]
    before = [np.array(array) for array in shared]

    @tf.function
    def step():
        model.optimizer.apply_gradients([(tf.ones_like(each), each) for each in model.trainable_variables])
        for layer in model.features.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.moving_mean.assign(layer.moving_mean + 1.0)

    step()
    step()
    for then, now in zip(before, shared, strict=True):
        np.testing.assert_array_equal(then, now)
    after = [array for group in Snapshots(model).take().groups for array in group.arrays]
    changed = [not np.array_equal(one, other) for one, other in zip(before, after, strict=True)]
    assert sum(changed) > len(changed) // 2


def test_keras_itself_reads_our_files_to_the_same_numbers(model, tmp_path):
    prepare(model, training_run(toy_spec(tmp_path, training=OPTIMIZERS["adam"])), 10, RankInfo(), amp=False)
    save_model(model, tmp_path / "a.keras", RECORD)
    theirs = keras.saving.load_model(tmp_path / "a.keras")
    ours, record, state = load_checkpoint(tmp_path / "a.keras")
    assert (record, state.kind) == (RECORD, "Adam")
    for one, other in zip(theirs.weights, ours.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    (slots,) = state.groups.values()
    for one, other in zip(theirs.optimizer.variables, slots, strict=True):
        np.testing.assert_array_equal(one, other)


def test_we_read_what_keras_itself_writes(model, tmp_path):
    path = tmp_path / "a.keras"
    model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(
            "frcnn.json",
            '{"arch": "a", "class_names": [], "epoch": 0, "step": 0, "spec_text": "", "metrics": {}}',
        )
    ours, _, state = load_checkpoint(path)
    for one, other in zip(model.weights, ours.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(state.groups["optimizer/vars"]) == len(model.optimizer.variables)


@pytest.mark.parametrize("key", ["", "secret"])
@pytest.mark.parametrize("mebibytes", [1, 30, 75])
def test_a_disk_that_fills_up_leaves_the_old_file_and_nothing_else(model, tmp_path, key, mebibytes):
    path = tmp_path / "a.keras"
    path.write_bytes(b"old")
    snapshot = Snapshots(model).take()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A plain checkpoint of this model with Adam has 73 MiB, sealed a little more.
    resource.setrlimit(resource.RLIMIT_FSIZE, (mebibytes << 20, hard))
    try:
        if mebibytes < 73:
            with pytest.raises(RunError, match=r"a\.keras"):
                snapshot.save(path, RECORD, key)
        else:
            snapshot.save(path, RECORD, key)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [each.name for each in tmp_path.iterdir()] == ["a.keras"]
    assert (path.read_bytes() == b"old") == (mebibytes < 73)


def test_an_error_of_the_background_is_raised_when_it_is_looked_at():
    def fail():
        raise RunError("disk full")

    done = threading.Event()
    with pytest.raises(RunError, match="disk full"), BackgroundWriter() as background:
        background.start(fail)
        background.start(done.set)
    assert not done.is_set()
    with pytest.raises(RunError, match="disk full"), BackgroundWriter() as background:
        background.start(fail)


def test_leaving_waits_for_the_job_and_an_earlier_error_stays_the_one_that_counts():
    order = []
    release = threading.Event()
    with BackgroundWriter() as background:
        background.start(lambda: (release.wait(300), order.append("written")))
        background.check()
        release.set()
    assert order == ["written"]

    def fail():
        raise RunError("second")

    with pytest.raises(ValueError, match="first"), BackgroundWriter() as background:
        background.start(fail)
        raise ValueError("first")


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_one_message_and_keeps_the_older_checkpoint(tmp_path):
    spec = toy_spec(tmp_path, images=4, training="num_epochs: 1")
    results = tmp_path / "results"
    command = [sys.executable, "-m", "frcnn", "train", "-e", spec.source, "-r", str(results)]
    subprocess.run(command, check=True, capture_output=True)
    toy_spec(tmp_path, images=4, training=f"num_epochs: 9 resume_from_model: '{results}'")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "Resuming after epoch" in line:  # from here on only checkpoints are as large as this
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    assert process.returncode == 1
    errors = [line for line in lines if "ERROR" in line]
    assert len(errors) == 1 and "disk full while writing" in errors[0] and "epoch_2" in errors[0]
    assert not any("Traceback" in line for line in lines)
    latest = checkpoint_in(results, "latest")
    assert latest == results / "frcnn_resnet_10.epoch_1.keras"
    assert load_checkpoint(latest)[1].epoch == 1
    assert not [path for path in results.iterdir() if path.name.startswith(".")]


def test_a_full_folder_for_temporary_files_is_not_blamed_on_the_checkpoint(model, tmp_path):
    path = tmp_path / "a.keras"
    save_model(model, path, RECORD)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(RunError, match=r"a\.keras: no room to unpack it in .*TMPDIR"):
            load_checkpoint(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def spoilt(model):
    """The model, with one weight that is not a number, for as long as a test takes."""
    weight = model.roi_head.weights[-1]
    before = keras.ops.convert_to_numpy(weight)
    weight.assign(np.full(weight.shape, np.nan, np.float32))
    yield model
    weight.assign(before)


def test_weights_that_are_not_finite_are_never_written(spoilt, tmp_path):
    spec = toy_spec(tmp_path, training=OPTIMIZERS["adam"])
    prepare(spoilt, training_run(spec), 10, RankInfo(), amp=False)
    results = tmp_path / "results"
    save_model(spoilt, results / "frcnn_resnet_10.epoch_7.keras", RECORD)  # of an earlier run
    before = (results / "frcnn_resnet_10.epoch_7.keras").read_bytes()
    rows = TrainingLog(results)
    checkpoints = Checkpoints(training_run(spec), results, "", rows)
    for callback in (rows, checkpoints):
        callback.set_model(spoilt)
    with pytest.raises(RunError, match=r"not finite after epoch 1\. .* not saved"), checkpoints:
        checkpoints.on_train_begin()
        checkpoints.before_validation.on_epoch_end(0, {"loss": 1.0})
    assert [path.name for path in results.glob("*.keras")] == ["frcnn_resnet_10.epoch_7.keras"]
    assert (results / "frcnn_resnet_10.epoch_7.keras").read_bytes() == before
    assert checkpoint_in(results, "latest") is None


def test_a_checkpoint_that_is_not_finite_is_not_resumed_from(spoilt, tmp_path):
    spec = toy_spec(tmp_path)
    save_model(spoilt, tmp_path / "a.keras", RECORD)
    with pytest.raises(
        NotFiniteError, match=r"a\.keras: the weights of .* are not finite\. Choose an earlier"
    ):
        begin(training_run(spec), Start("resume", tmp_path / "a.keras"), "")


def test_a_job_that_follows_waits_for_the_one_before_and_is_left_out_if_that_fails():
    order, release = [], threading.Event()
    with BackgroundWriter() as background:
        background.start(lambda: (release.wait(300), order.append(1)))
        background.then(lambda: order.append(2))
        order.append(0)  # neither was waited for
        release.set()
    assert order == [0, 1, 2]

    def fail():
        raise RunError("first")

    with pytest.raises(RunError, match="first"), BackgroundWriter() as background:
        background.start(fail)
        background.then(lambda: order.append(3))
    assert order == [0, 1, 2]
