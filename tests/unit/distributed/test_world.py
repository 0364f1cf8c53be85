"""Several processes, as far as that can be tested without Horovod; test_horovod.py has the rest."""

import importlib.util
import logging
import os
import select
import shutil
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from frcnn.cli import task_runner, train
from frcnn.cli.tasks import all_tasks
from frcnn.data.input.dataset import training_dataset
from frcnn.distributed import launcher
from frcnn.distributed import world as distributed
from frcnn.distributed.rank_outcome import FOLDER_VARIABLE, Outcome, outcomes_in
from frcnn.distributed.world import OneProcess, RankInfo, join, rank_info
from frcnn.errors import RunError, UsageError
from frcnn.model.files.training_record import TrainingRecord
from frcnn.model.layers import BatchNormalization
from frcnn.model.qat.layers import QDQ
from frcnn.settings.data import data_settings
from frcnn.settings.training import training_run
from frcnn.training import devices
from frcnn.training.synchronize import EpochMeans, average_statistics, facts, sync_initial_state
from tests.support.task_spec import write_spec
from tests.support.toy_training import toy_spec
from tests.support.unmeasured import unmeasured


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for prefix in ("HOROVOD_", "OMPI_COMM_WORLD_"):
        for name in ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE"):
            monkeypatch.delenv(prefix + name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # the frame sets it; so it is put back


def launched(monkeypatch, prefix, *numbers):
    for name, number in zip(("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE"), numbers, strict=True):
        monkeypatch.setenv(prefix + name, str(number))


class TwoRanks(OneProcess):
    """This process as rank 0, and a second one that always has `other` where this one has a value."""

    def __init__(self, other):
        super().__init__()
        self.place, self.other = RankInfo(0, 2, 0, 2), other

    def average(self, tensors, name):
        return [(tensor + self.other) / 2 for tensor in tensors]

    def gather(self, value):
        return [value, self.other]


def test_without_a_launcher_there_is_one_process():
    assert rank_info() == RankInfo(rank=0, size=1, local_rank=0, local_size=1)
    assert isinstance(join(), OneProcess)


@pytest.mark.parametrize("prefix", ["HOROVOD_", "OMPI_COMM_WORLD_"])
def test_launchers_say_where_a_process_stands(monkeypatch, prefix):
    launched(monkeypatch, prefix, 3, 8, 1, 2)
    assert rank_info() == RankInfo(rank=3, size=8, local_rank=1, local_size=2)


def test_a_launcher_that_says_nonsense_is_an_error(monkeypatch):
    launched(monkeypatch, "HOROVOD_", 2, 2, 0, 2)
    with pytest.raises(UsageError, match="rank 2 of 2"):
        join()


def test_several_processes_without_horovod_are_told_how_to_get_it(monkeypatch):
    launched(monkeypatch, "HOROVOD_", 0, 2, 0, 2)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for start in (join, lambda: launcher.launch(["true"], 2)):
        with pytest.raises(RunError, match="make horovod"):
            start()


def test_one_process_averages_gathers_and_broadcasts_to_itself():
    world, value = OneProcess(), keras.ops.ones(3)
    assert world.average([value, None], "gradients") == [value, None]
    assert world.gather({"a": 1}) == [{"a": 1}]
    world.broadcast([])
    world.barrier()
    with pytest.raises(ZeroDivisionError), world.guard():
        raise ZeroDivisionError


def small_model(**options):
    """Two parts as a detector has them, one of them with batch normalization."""
    image = keras.Input((4, 4, 2))
    features = keras.Model(image, BatchNormalization(**options)(image))
    head = keras.Model(image, keras.layers.Conv2D(1, 1)(image))
    return type("Model", (), {"features": features, "roi_head": head})


def test_moving_statistics_become_the_mean_over_ranks():
    model = small_model()
    average_statistics(model, TwoRanks(other=5.0))
    layer = model.features.layers[-1]
    np.testing.assert_allclose(layer.moving_mean, [2.5, 2.5])
    np.testing.assert_allclose(layer.moving_variance, [3.0, 3.0])
    np.testing.assert_allclose(layer.gamma, [1.0, 1.0])


def test_ranges_of_quantization_become_the_mean_over_ranks():
    image = keras.Input((4, 4, 2))
    features, head = keras.Model(image, QDQ()(image)), keras.Model(image, QDQ()(image))
    model = type("Model", (), {"features": features, "roi_head": head})
    average_statistics(model, TwoRanks(other=5.0))
    for part in (features, head):
        assert float(part.layers[-1].scaling_factor) == 5.5
        assert float(part.layers[-1].updates) == 0.0


def test_frozen_statistics_stay_as_they_are():
    model = small_model(frozen=True)
    average_statistics(model, TwoRanks(other=5.0))
    np.testing.assert_allclose(model.features.layers[-1].moving_mean, [0.0, 0.0])


def test_epoch_logs_become_the_mean_over_ranks():
    callback = EpochMeans(TwoRanks(other={"loss": 3.0, "rpn_out_class_loss": 0.5}))
    callback.set_model(small_model(frozen=True))
    logs = {"loss": 1.0, "rpn_out_class_loss": 0.0}
    callback.on_epoch_end(0, logs)
    assert logs == {"loss": 2.0, "rpn_out_class_loss": 0.25}


def test_ranks_with_other_data_do_not_start():
    world = TwoRanks(other={"training images": 7})
    with pytest.raises(RunError, match="training images: 8 on rank 0, 7 on rank 1"):
        sync_initial_state(None, world, {"training images": 8})


def test_ranks_may_have_the_files_they_start_from_in_other_folders(tmp_path):
    """As pods do, each of which fetches the newest checkpoint into a folder of its own."""

    def told(name):
        spec = toy_spec(tmp_path, training=f'resume_from_model: "{tmp_path / name}"')
        data, model = (
            training_dataset(data_settings(toy_spec(tmp_path))),
            keras.Sequential([keras.layers.Dense(1)]),
        )
        model.build((None, 2))
        return facts(training_run(spec), data, None, model, TrainingRecord("resnet:10", spec.class_names))

    assert told("a/frcnn.epoch_2.keras") == told("b/frcnn.epoch_2.keras")
    assert told("a/frcnn.epoch_2.keras") != told("a/frcnn.epoch_3.keras")


def test_cores_are_divided_and_the_log_says_that_there_is_no_gpu(monkeypatch, caplog):
    threads = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(9)), raising=False)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setattr(
        devices.tf.config.threading, "set_intra_op_parallelism_threads", lambda count: threads.append(count)
    )
    monkeypatch.setattr(devices.tf.config, "list_physical_devices", lambda kind: [])
    with caplog.at_level(logging.INFO, logger="frcnn"):
        devices.take_share(RankInfo(1, 8, 1, 4))
    assert threads == [2]
    assert "No GPU found: 4 processes with 2 of 9 threads each" in caplog.text


def test_each_rank_of_a_machine_takes_its_own_gpu(monkeypatch):
    visible = []
    monkeypatch.setattr(devices.tf.config.threading, "set_intra_op_parallelism_threads", lambda count: None)
    monkeypatch.setattr(devices.tf.config, "list_physical_devices", lambda kind: ["gpu 0", "gpu 1", "gpu 2"])
    monkeypatch.setattr(devices.tf.config, "set_visible_devices", lambda gpu, kind: visible.append(gpu))
    devices.take_share(RankInfo(5, 8, 2, 3))
    assert visible == [["gpu 2"]]


def test_a_rank_whose_model_is_spread_takes_its_gpus_in_a_row(monkeypatch):
    visible = []
    monkeypatch.setattr(devices.tf.config.threading, "set_intra_op_parallelism_threads", lambda count: None)
    gpus = [f"gpu {number}" for number in range(4)]
    monkeypatch.setattr(devices.tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(devices.tf.config, "set_visible_devices", lambda gpu, kind: visible.append(gpu))
    devices.take_share(RankInfo(3, 4, 1, 2), gpus_each=2)
    assert visible == [["gpu 2", "gpu 3"]]


@pytest.mark.parametrize(
    ("environment", "chosen", "gpus", "expected"),
    [
        ({}, 0, [], [1]),
        ({"TF_NUM_INTRAOP_THREADS": "5"}, 0, [], []),
        ({"TF_NUM_INTEROP_THREADS": "2"}, 0, [], []),
        ({}, 3, [], []),
        ({}, 0, ["gpu 0"], []),
    ],
)
def test_operations_run_in_turn_with_few_threads_unless_the_user_has_chosen(
    monkeypatch, environment, chosen, gpus, expected
):
    threads = []
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = devices.tf.config.threading
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(9)), raising=False)
    monkeypatch.setattr(settings, "get_inter_op_parallelism_threads", lambda: chosen)
    monkeypatch.setattr(settings, "set_inter_op_parallelism_threads", threads.append)
    monkeypatch.setattr(devices.tf.config, "list_physical_devices", lambda kind: gpus)
    devices.run_operations_in_turn(RankInfo(1, 8, 1, 2))
    assert threads == expected


def test_where_tensorflow_has_started_operations_stay_as_they_are():
    tf.constant(0)
    before = tf.config.threading.get_inter_op_parallelism_threads()
    devices.run_operations_in_turn(RankInfo(1, 8, 1, 1024))
    assert tf.config.threading.get_inter_op_parallelism_threads() == before


def started(*programs):
    """Small Python programs as ranks."""
    return {
        rank: subprocess.Popen([sys.executable, "-c", program], env=unmeasured(), stderr=subprocess.DEVNULL)
        for rank, program in enumerate(programs)
    }


SLEEP = "import time; time.sleep(600)"


def test_ranks_that_all_end_well_are_waited_for():
    assert launcher._watch(started("", "import time; time.sleep(0.3)")) == {0: 0, 1: 0}


def test_after_a_failure_the_others_get_a_little_time_and_then_are_ended(monkeypatch):
    monkeypatch.setattr(launcher, "GRACE", 0.3)
    ranks, began = started(SLEEP, "raise SystemExit(3)"), time.monotonic()
    assert launcher._watch(ranks) == {1: 3}
    launcher._end(ranks)
    assert ranks[0].returncode == -15
    assert time.monotonic() - began < 300


def test_a_rank_that_ignores_sigterm_is_killed(monkeypatch):
    monkeypatch.setattr(launcher, "GRACE", 0.3)
    ignore = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(999)"
    )
    process = subprocess.Popen([sys.executable, "-c", ignore], env=unmeasured(), stdout=subprocess.PIPE)
    with process:
        process.stdout.readline()
        launcher._end({0: process})
    assert process.returncode == -9


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="there is no mpirun")
def test_ranks_of_mpirun_end_with_the_process_that_launched_them_even_if_that_is_killed():
    rank = "import sys, time; sys.stdout.write('u'); sys.stdout.flush(); time.sleep(600)"
    program = f"""if True:
        import os, sys
        from frcnn.distributed import launcher
        with launcher._mpi_ranks([sys.executable, "-c", {rank!r}], 2, os.environ) as ranks:
            ranks[launcher.MPIRUN].wait()
    """
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        seen = b""
        while seen.count(b"u") < 2:
            got = process.stdout.read(1)
            assert got, "it ended"
            seen += got
        process.kill()
        # mpirun holds the pipe's other end: the pipe is at its end when it is gone.
        ended, _, _ = select.select([process.stdout], [], [], 600)
    assert ended


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="there is no mpirun")
def test_an_unknown_rank_that_is_killed_under_mpirun_is_not_taken_for_rank_0():
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with launcher._mpi_ranks([sys.executable, "-c", kill], 2, os.environ) as ranks:
        codes = launcher._watch(ranks)
    error = launcher._failure(codes, {0: Outcome(0, 1, "lost", secondary=True)}, 2)
    assert str(error) == "mpirun ended with exit code 137; see its output above"


@pytest.mark.parametrize(
    ("codes", "outcomes", "message", "code"),
    [
        # Rank 0 ended first, but only because rank 2 had.
        (
            {0: 1, 2: 2},
            [Outcome(0, 1, "lost", secondary=True), Outcome(2, 2, "spec.txt: 1 problem")],
            "rank 2 of 3: spec.txt: 1 problem",
            2,
        ),
        ({0: 1, 1: -9}, [Outcome(0, 1, "lost", secondary=True)], r"rank 1 of 3 was killed \(SIGKILL\)", 1),
        ({1: -11}, [], "rank 1 of 3 was ended by SIGSEGV", 1),
        ({1: 7}, [], "rank 1 of 3 ended with exit code 7", 1),
        ({1: 1}, [Outcome(1, 1, "lost the others", secondary=True)], "rank 1 of 3: lost the others", 1),
        ({launcher.MPIRUN: 139}, [], "mpirun ended with exit code 139", 1),
    ],
)
def test_the_rank_to_blame_is_the_one_that_failed_by_itself(codes, outcomes, message, code):
    error = launcher._failure(codes, {each.rank: each for each in outcomes}, 3)
    with pytest.raises(launcher.RankFailedError, match=message):
        raise error
    assert error.exit_code == code


def test_outcomes_are_read_as_they_were_left(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    left = [Outcome(0, 0, result={"kpi": {"mAP": 0.5}}), Outcome(1, 1, "disk full")]
    for outcome in reversed(left):
        outcome.leave()
    assert list(outcomes_in(tmp_path).items()) == [(0, left[0]), (1, left[1])]


def test_nobody_who_wants_an_outcome_gets_none(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    Outcome(0, 0).leave()
    assert list(tmp_path.iterdir()) == []


def train_arguments(tmp_path, *words):
    spec = write_spec(tmp_path / "spec.txt")
    words = ["-e", str(spec), "-r", str(tmp_path / "out"), *words]
    args = task_runner.parse(all_tasks()["train"], train, words, "frcnn")
    task_runner.resolve_common_flags(all_tasks()["train"], args)
    return args


def test_the_train_command_hands_flags_on_and_the_key_by_the_environment(tmp_path, monkeypatch, capsys):
    calls = []

    def fake_launch(command, processes, environment):
        calls.append((command, processes, environment))
        return Outcome(0, 0, result={"last": "out/a.tlt", "best": None, "kpi": {"loss": 1.0}})

    monkeypatch.setattr(launcher, "launch", fake_launch)
    monkeypatch.setenv("FRCNN_KEY", "")
    words = ["--gpus", "2", "-k", "a-secret", "--strict", "--use_amp", "--log_file", str(tmp_path / "log")]
    assert train.run(train_arguments(tmp_path, *words)) == {"kpi": {"loss": 1.0}}
    [(command, processes, environment)] = calls
    assert command[1:3] == ["-m", "frcnn.cli.train_rank"]
    handed = train_arguments(tmp_path, *map(str, command[7:]))
    assert (handed.strict, handed.use_amp, handed.fp16_allreduce) == (True, True, False)
    assert handed.log_file == tmp_path / "log"
    assert processes == 2
    assert environment == {"FRCNN_KEY": "a-secret"}
    assert "a-secret" not in " ".join(map(str, command))
    assert capsys.readouterr().out == "last checkpoint: out/a.tlt\n"


@pytest.mark.parametrize(
    ("kpi", "line"),
    [
        (
            {"mAP": 0.124},
            "mAP is only 0.12. To see what to try next, run: "
            "frcnn evaluate -e {0}/spec.txt -m {0}/out --set random_seed=3\n",
        ),
        ({"mAP": 0.31}, ""),
        ({"loss": 2.0}, ""),
    ],
)
def test_a_training_that_ends_with_a_low_map_names_the_command_that_gives_advice(
    tmp_path, monkeypatch, capsys, kpi, line
):
    monkeypatch.setattr(
        launcher, "launch", lambda *_: Outcome(0, 0, result={"last": None, "best": None, "kpi": kpi})
    )
    train.run(train_arguments(tmp_path, "--gpus", "2", "--set", "random_seed=3"))
    assert capsys.readouterr().out == line.format(tmp_path)


def test_more_processes_than_gpus_is_a_usage_error(tmp_path):
    args = train_arguments(tmp_path, "--gpus", "2", "--num_processes", "3")
    with pytest.raises(UsageError, match="need --gpus 3"):
        train.run(args)


def test_only_rank_0_says_how_it_ended_and_writes_status(tmp_path, monkeypatch, capsys):
    words = ["-e", str(tmp_path / "missing.txt"), "-r", str(tmp_path / "out")]
    launched(monkeypatch, "OMPI_COMM_WORLD_", 1, 2, 1, 2)
    assert task_runner.run(all_tasks()["train"], train, words) == 2
    assert not (tmp_path / "out").exists()
    assert capsys.readouterr().out == ""
    launched(monkeypatch, "OMPI_COMM_WORLD_", 0, 2, 0, 2)
    assert task_runner.run(all_tasks()["train"], train, words) == 2
    assert "FAILURE" in (tmp_path / "out/status.json").read_text()
    assert capsys.readouterr().out == "Execution status: FAIL\n"


def test_horovod_errors_are_told_from_others():
    world = distributed.HorovodWorld.__new__(distributed.HorovodWorld)
    with pytest.raises(distributed.PeerLostError, match="Connection closed by peer"), world.guard():
        raise ValueError("Graph execution error:\n\nHorovodAllreduce failed: Connection closed by peer")
    with pytest.raises(ValueError, match="shapes"), world.guard():
        raise ValueError("shapes do not match")
