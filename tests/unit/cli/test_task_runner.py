import importlib
import json
import os
import signal
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import pytest

from frcnn.cli import task_runner
from frcnn.cli.tasks import Task, own_tasks
from frcnn.errors import DataError, MissingPackageError, Problem, SpecError
from tests.support.unmeasured import unmeasured

FAKE_TASK = Task("evaluate", "fake.evaluate", "does little")
TRAIN = Task("train", "fake.train", "does little", trains=True)
TUNE = Task("tune", "fake.tune", "does little", trains=True)

# A whole program around the frame; a child process runs it.
PROGRAM = """
import signal, sys, time, types
from pathlib import Path
from frcnn.cli import task_runner
from frcnn.cli.tasks import Task
from frcnn.files import atomic_path

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may have it ignored

def wait(args):
    with atomic_path(Path("half")) as temporary:
        temporary.write_text("half")
        print("ready", flush=True)
        time.sleep(30)

def fill_the_disk(args):
    with atomic_path(Path("records")) as temporary, open("/dev/full", "w") as full:
        full.write("x")

def write_much(args):
    for _ in range(100000):
        print("line")

def divide(args):
    return 1 / 0

def add_arguments(parser):
    parser.add_argument("what")
    parser.add_argument("-r", "--results_dir")

module = types.ModuleType("fake")
module.HELP, module.EXAMPLES, module.add_arguments = "fake task", "  frcnn fake wait", add_arguments
module.run = lambda args: globals()[args.what](args)
sys.exit(task_runner.run(Task("fake", "fake", "fake task"), module, sys.argv[1:]))
"""


def module_that(run):
    """A task module with the flags --results_dir and --batch_size, and `run` as its work."""
    module = types.ModuleType("fake.evaluate")
    module.HELP, module.EXAMPLES, module.run = "does little", "  frcnn evaluate -r results", run

    def add_arguments(parser):
        parser.add_argument("-r", "--results_dir")
        parser.add_argument("-b", "--batch_size", type=int)

    module.add_arguments = add_arguments
    return module


def raising(error):
    def run(args):
        raise error

    return module_that(run)


def arguments(*words, task=FAKE_TASK):
    """Returns the arguments that the task gets for a command line."""
    args = task_runner.parse(task, module_that(None), words, "frcnn")
    task_runner.resolve_common_flags(task, args)
    return args


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def test_a_task_that_ends_well_says_pass(capsys):
    assert task_runner.run(FAKE_TASK, module_that(lambda args: None), []) == 0
    assert capsys.readouterr().out == "Execution status: PASS\n"


def test_a_command_whose_output_is_its_result_says_no_status(capsys):
    task = Task("spec", "fake.spec", "shows", prints_status=False)
    assert task_runner.run(task, module_that(lambda args: None), []) == 0
    assert capsys.readouterr().out == ""


def test_a_failed_run_gets_exit_code_1_and_a_message_without_stack_trace(capsys):
    assert task_runner.run(FAKE_TASK, raising(DataError("no image matches *.png")), []) == 1
    out, err = capsys.readouterr()
    assert out == "Execution status: FAIL\n"
    assert err.endswith("ERROR   no image matches *.png\n")
    assert "Traceback" not in err


def test_verbose_adds_the_stack_trace(capsys):
    assert task_runner.run(FAKE_TASK, raising(DataError("no image")), ["--verbose"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_faulty_spec_gets_exit_code_2_and_all_its_problems(capsys):
    problems = [Problem("a.b", "unknown field", 3, 5), Problem("a.c", "missing")]
    assert task_runner.run(FAKE_TASK, raising(SpecError("spec.txt", problems)), []) == 2
    err = capsys.readouterr().err
    assert "spec.txt: 2 problems" in err
    assert "3:5  a.b: unknown field" in err


def test_a_fault_of_our_own_shows_its_stack_trace_and_asks_to_report(capsys):
    assert task_runner.run(FAKE_TASK, raising(KeyError("boxes")), []) == 1
    err = capsys.readouterr().err
    assert "unexpected KeyError: 'boxes'" in err
    assert "please report it" in err
    assert "Traceback" in err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ModuleNotFoundError("No module", name="tensorflow"), "pip install 'frcnn[evaluate,cpu]'"),
        (ModuleNotFoundError("No module", name="onnx.helper"), "pip install 'frcnn[evaluate,onnx]'"),
        (PermissionError(13, "Permission denied", "/data/x.png"), "/data/x.png: Permission denied"),
        (OSError(28, "No space left on device", "/data/x.png"), "disk full while writing /data/x.png"),
        (MemoryError(), "out of memory; lower batch_size_per_gpu"),
        (type("ResourceExhaustedError", (Exception,), {})("OOM"), "out of memory"),
    ],
)
def test_a_fault_of_the_machine_is_explained_without_stack_trace(error, message, capsys):
    assert task_runner.run(FAKE_TASK, raising(error), []) == 1
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "error",
    [ModuleNotFoundError("No module", name="numpy"), MissingPackageError("numpy", "convert", "evaluation")],
)
def test_a_missing_package_names_all_extras_of_the_task(error, capsys):
    task = Task("export", "fake.export", "writes")
    assert task_runner.run(task, raising(error), []) == 1
    said = capsys.readouterr().err
    assert "frcnn export needs the package numpy, which is not installed: pip install 'frcnn[export]'" in said
    assert "Traceback" not in said


def test_a_module_of_ours_that_is_missing_is_our_own_fault(capsys):
    assert task_runner.run(FAKE_TASK, raising(ModuleNotFoundError("No module", name="frcnn.gone")), []) == 1
    assert "please report it" in capsys.readouterr().err


def test_status_records_frame_the_run(tmp_path):
    results = tmp_path / "results"
    assert task_runner.run(FAKE_TASK, module_that(lambda args: None), ["-r", str(results)]) == 0
    assert task_runner.run(FAKE_TASK, raising(DataError("no image")), ["-r", str(results)]) == 1
    records = [json.loads(line) for line in (results / "status.json").read_text().splitlines()]
    assert [(each["status"], each["message"]) for each in records] == [
        ("STARTED", "evaluate started"),
        ("SUCCESS", "evaluate finished"),
        ("STARTED", "evaluate started"),
        ("FAILURE", "no image"),
    ]


def test_what_a_task_returns_goes_into_its_last_status_record(tmp_path):
    module = module_that(lambda args: {"kpi": {"mAP": 0.5}})
    assert task_runner.run(FAKE_TASK, module, ["-r", str(tmp_path)]) == 0
    last = json.loads((tmp_path / "status.json").read_text().splitlines()[-1])
    assert (last["status"], last["kpi"]) == ("SUCCESS", {"mAP": 0.5})


def test_without_a_results_folder_no_status_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert task_runner.run(FAKE_TASK, module_that(lambda args: None), []) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_log_file_gets_lines_and_tables_and_is_appended_to(tmp_path, capsys):
    path = tmp_path / "new" / "run.log"
    for _ in range(2):
        module = module_that(lambda args: print("mAP@0.5 = 0.9"))
        assert task_runner.run(FAKE_TASK, module, ["--log_file", str(path)]) == 0
    text = path.read_text()
    assert text.count("mAP@0.5 = 0.9\n") == 2
    assert text.count("Execution status: PASS\n") == 2
    assert capsys.readouterr().out.count("mAP@0.5 = 0.9\n") == 2


def test_a_log_file_that_cannot_be_written_is_a_usage_error(tmp_path, capsys):
    (tmp_path / "file").touch()
    path = str(tmp_path / "file" / "run.log")
    assert task_runner.run(FAKE_TASK, module_that(lambda args: None), ["--log_file", path]) == 2
    assert "cannot write the log file" in capsys.readouterr().err


def test_flags_argparse_refuses_get_exit_code_2(capsys):
    with pytest.raises(SystemExit) as end:
        task_runner.run(FAKE_TASK, module_that(None), ["--batch_size", "many"])
    assert end.value.code == 2
    assert "invalid int value: 'many'" in capsys.readouterr().err


def test_help_shows_what_the_task_does_and_examples(capsys):
    with pytest.raises(SystemExit) as end:
        task_runner.run(FAKE_TASK, module_that(None), ["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "does little" in shown
    assert "examples:\n  frcnn evaluate -r results" in shown


def test_one_gpu_is_the_default():
    args = arguments()
    assert (args.gpus, args.gpu_index, args.num_processes) == (1, [0], 1)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def test_a_scheduler_s_choice_of_gpu_stands_unless_a_flag_says_otherwise(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    arguments()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    arguments("--gpu_index", "1")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"


def test_a_search_takes_several_gpus_and_mixed_precision():
    args = arguments("--gpus", "2", "--use_amp", task=TUNE)
    assert (args.gpus, args.gpu_index, args.use_amp) == (2, [0, 1], True)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_several_gpus_make_as_many_processes():
    args = arguments("--gpus", "2", "--gpu_index", "1", "3", task=TRAIN)
    assert (args.gpus, args.gpu_index, args.num_processes) == (2, [1, 3], 2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,3"


@pytest.mark.parametrize(
    ("words", "task", "message"),
    [
        (["--gpus", "2"], FAKE_TASK, "--gpus 2: only train and tune support several GPUs; evaluate uses one"),
        (["--gpus", "0"], TRAIN, "--gpus 0: expected 1 or more"),
        (["--gpus", "2", "--gpu_index", "0"], TRAIN, "--gpu_index names 1 GPUs but --gpus asks for 2"),
        (["--gpu_index", "1", "1"], TRAIN, "--gpu_index 1 1: expected distinct numbers >= 0"),
        (["--gpu_index", "-1"], TRAIN, "--gpu_index -1: expected distinct numbers >= 0"),
        (["-np", "2"], TRAIN, "--num_processes 2 needs --gpus 2"),
        (["-np", "0"], TRAIN, "--num_processes 0: expected 1 or more"),
        (
            ["--use_amp"],
            FAKE_TASK,
            "--use_amp: only train and tune support mixed precision, evaluate does not",
        ),
        (["--gpus", "2", "-np", "2"], TUNE, "--num_processes 2: only train runs in several processes; tune"),
    ],
)
def test_common_flags_that_make_no_sense_are_refused(words, task, message, capsys):
    assert task_runner.run(task, module_that(lambda args: None), words) == 2
    assert message in capsys.readouterr().err


def test_tensorflow_is_quiet_unless_verbose():
    arguments()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "2"
    del os.environ["TF_CPP_MIN_LOG_LEVEL"]
    arguments("-v")
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_a_task_run_inside_another_passes_its_error_on(capsys):
    with pytest.raises(DataError, match="no image"):
        task_runner.run_inside(FAKE_TASK, raising(DataError("no image")), [])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "terminated (SIGHUP)"),
    ],
)
def test_a_signal_ends_the_run_and_leaves_nothing_half_written(
    number, code, message, program, environment, tmp_path
):
    words = [sys.executable, str(program), "wait", "-r", "results"]
    pipe = subprocess.PIPE
    child = subprocess.Popen(
        words, stdout=pipe, stderr=pipe, text=True, env=unmeasured(environment), cwd=tmp_path
    )
    assert child.stdout.readline() == "ready\n"
    child.send_signal(number)
    out, err = child.communicate()
    assert child.returncode == code
    assert out == "Execution status: FAIL\n"
    assert f"ERROR   {message}" in err
    assert "Traceback" not in err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["program.py", "results"]
    last = json.loads((tmp_path / "results" / "status.json").read_text().splitlines()[-1])
    assert last["status"] == "FAILURE"


def test_a_full_disk_gets_exit_code_1_and_names_the_file(program, python, tmp_path):
    done = python(program, "fill_the_disk")
    assert done.returncode == 1
    assert "disk full while writing records" in done.stderr
    assert not (tmp_path / "records").exists()


def test_an_unexpected_exception_gets_exit_code_1(program, python):
    done = python(program, "divide")
    assert done.returncode == 1
    assert "unexpected ZeroDivisionError: division by zero" in done.stderr


def test_a_reader_that_goes_away_makes_no_noise(program, environment, tmp_path):
    command = f"{sys.executable} {program} write_much | head -n 1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, env=unmeasured(environment), cwd=tmp_path
    )
    assert done.stdout == "line\n"
    assert done.stderr == ""


def test_a_second_run_of_a_task_with_one_writer_is_refused_before_it_writes_a_status(tmp_path, caplog):
    folder = tmp_path / "results"
    module = module_that(lambda args: None)
    module.ONE_WRITER = True
    codes = []

    def second(args):
        with ThreadPoolExecutor(1) as pool:  # another thread counts as another run
            inner = module_that(lambda args: None)
            inner.ONE_WRITER = True
            codes.append(pool.submit(task_runner.run, FAKE_TASK, inner, ["-r", str(folder)]).result())

    module.run = second
    assert task_runner.run(FAKE_TASK, module, ["--results_dir", str(folder)]) == 0
    assert codes == [1]
    records = [json.loads(line)["status"] for line in (folder / "status.json").read_text().splitlines()]
    assert records == ["STARTED", "SUCCESS"]
    assert f"{folder}: another run (process {os.getpid()} on " in caplog.text
    assert [path.name for path in folder.iterdir()] == ["status.json"]


@pytest.mark.parametrize(
    ("place", "message"),
    [("s3://bucket/run", "outputs go to a local path"), ("file/run", "is a file; expected a folder")],
)
def test_a_results_folder_that_cannot_be_one_is_refused_and_nothing_is_written(
    tmp_path, monkeypatch, caplog, place, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert task_runner.run(FAKE_TASK, module_that(lambda args: None), ["-r", place]) == 2
    assert message in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("task", "words", "expected"),
    [
        ("inference", "-m model.onnx", "inference,onnx"),
        ("inference", "-m model.keras", "inference"),
        ("inference", "-m model.onnx --runtime openvino", "inference,openvino"),
        ("onnx", "verify model.etlt --against model.keras --images data", "inference,onnx"),
        ("onnx", "verify model.etlt --against model.keras --images data --map", "evaluate,onnx"),
        ("evaluate", "-m model.onnx", "evaluate,onnx"),
        ("evaluate", "", "evaluate"),
    ],
)
def test_tasks_that_run_a_model_name_its_runtime_with_all_else(task, words, expected, capsys, monkeypatch):
    module = importlib.import_module(f"frcnn.cli.{task}")
    monkeypatch.setattr(module, "run", raising(ModuleNotFoundError("No module", name="numpy")).run)
    task_runner.run(own_tasks()[task], module, ["-e", "spec.txt", *words.split()])
    said = capsys.readouterr().err
    assert (
        f"frcnn {task} needs the package numpy, which is not installed: pip install 'frcnn[{expected}]'"
        in said
    )


@pytest.mark.parametrize("task", ["train", "evaluate", "export", "inference"])
def test_packages_are_missed_before_the_work_begins(task, capsys, monkeypatch):
    """Plots are drawn after the evaluation, and checkpoints written after an epoch."""
    module = importlib.import_module(f"frcnn.cli.{task}")
    monkeypatch.setattr(module, "run", lambda args: 1 / 0)
    monkeypatch.setattr("frcnn.packages._is_installed", lambda package: package not in ("h5py", "matplotlib"))
    words = ["-e", "spec.txt", "-m", "m.keras"] if task != "train" else ["-e", "spec.txt", "-r", "results"]
    assert task_runner.run(own_tasks()[task], module, words) == 1
    missing = "packages h5py and matplotlib, which are" if task == "evaluate" else "package h5py, which is"
    assert f"frcnn {task} needs the {missing} not installed" in capsys.readouterr().err
