"""The GPU benchmark's own logic, on a machine without a GPU."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import agreement, plan, speed
from benchmarks.gpu.findings import Finding, Notebook, Verdict, read_findings, write_json
from benchmarks.gpu.plan import Job, Section, run_all, run_section
from benchmarks.gpu.section import Task
from benchmarks.workers import Worker

ROOT = Path(__file__).parents[3]
# Seconds until a section is ended: enough to start and to write the first finding, also on a busy machine.
SOON = 8
# Sections of a test are programs in a folder of its own that stand where benchmarks.gpu.<module> would.
PROGRAMS = {
    "good": "task.notes.checked('sum', '2', True, 'is 2')",
    "slow": "task.notes.measured('first', '1'); time.sleep(600)",
    "stubborn": "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "    child = subprocess.Popen(['sleep', '600'])\n"
    "    Path(task.folder / 'child').write_text(str(child.pid)); time.sleep(600)",
    "broken": "raise RuntimeError('no such kernel')",
    "half": "task.attempt('one').__enter__()\n"
    "    with task.attempt('two'): raise ValueError('odd')\n"
    "    task.notes.measured('three', '3')",
}
HEAD = (
    "import signal, subprocess, time\nfrom pathlib import Path\nfrom benchmarks.gpu.section import run\n"
    "def main(task):\n    "
)


@pytest.fixture
def sections(tmp_path, monkeypatch):
    """Programs that `plan` starts instead of real sections."""
    package = tmp_path / "code"
    for folder in (package / "benchmarks", package / "benchmarks/gpu"):
        folder.mkdir(parents=True)
    for source in ("benchmarks", "benchmarks/gpu"):
        for path in (ROOT / source).glob("*.py"):
            (package / source / path.name).symlink_to(path)
    for name, text in PROGRAMS.items():
        (package / f"benchmarks/gpu/{name}.py").write_text(f"{HEAD}{text}\nrun(main)\n")
    path = os.pathsep.join([str(package), str(ROOT / "shared/src")])
    monkeypatch.chdir(tmp_path)  # `python -m` looks in the working folder first
    monkeypatch.setattr(plan, "worker_environment", lambda: {**os.environ, "PYTHONPATH": path})
    return tmp_path


@pytest.fixture
def job(sections):
    return Job(sections, Path("/no/python"))


def verdicts(found):
    return [(each.what, each.verdict) for each in found]


def test_without_a_gpu_it_ends_with_one_sentence_and_writes_nothing(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "shared/src")])}
    words = [sys.executable, "-m", "benchmarks.gpu", "--json", str(tmp_path / "gpu.json")]
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "at most" in done.stdout:
        pytest.skip("there is a GPU here")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == command.NO_GPU + "\n"
    assert not list(tmp_path.iterdir())


def test_the_shares_of_the_time_add_up_to_ten_minutes():
    assert sum(each.seconds for each in plan.SECTIONS) == plan.TOTAL_SECONDS == 600
    assert len({each.name for each in plan.SECTIONS}) == len(plan.SECTIONS)
    for each in plan.SECTIONS:
        assert (ROOT / f"benchmarks/gpu/{each.module}.py").is_file()


def test_a_section_hands_over_its_findings(job):
    found = run_section(Section("a b", "good", 10), job, 600)
    assert found == [Finding("a b", "sum", "2", Verdict.OK, "is 2")]


def test_a_section_beyond_its_time_is_ended_and_keeps_what_it_found(job):
    start = time.monotonic()
    found = run_section(Section("slow", "slow", SOON), job, SOON)
    assert time.monotonic() - start < 300
    assert verdicts(found) == [("first", Verdict.MEASURED), ("the rest of the section", Verdict.NOT_RUN)]
    assert found[1].expected == f"its time of {SOON} s was over"


def test_a_section_that_ignores_the_end_of_its_time_is_killed_with_its_children(job, monkeypatch):
    monkeypatch.setattr(plan, "GRACE_SECONDS", 0.5)
    run_section(Section("stubborn", "stubborn", SOON), job, SOON)
    child, end = int((job.folder / "child").read_text()), time.monotonic() + 60
    while is_running(child):  # the system ends a killed process a little later
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(pid):
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sections_end_with_the_benchmark(job, number):
    program = (
        "import os, signal, sys, tempfile; from benchmarks.gpu import __main__ as command, plan\n"
        # As in a terminal, also if the tests run in the background of a shell, which ignores the signal.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "plan.worker_environment = lambda: dict(os.environ)\n"
        f"tempfile.mkdtemp = lambda **_: {str(job.folder)!r}\n"
        "command.SECTIONS = (plan.Section('stubborn', 'stubborn', 1000),)\n"
        "sys.exit(command.main(['--rehearse']))"
    )
    command_line, pipe = [sys.executable, "-c", program], subprocess.DEVNULL
    with subprocess.Popen(command_line, env=plan.worker_environment(), stdout=pipe, stderr=pipe) as process:
        end = time.monotonic() + 600
        while not (job.folder / "child").exists() or not (job.folder / "child").read_text():
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(number)
        process.wait(600)
    assert not is_running(int((job.folder / "child").read_text()))


def test_a_section_that_fails_is_wrong_and_the_next_one_runs(job):
    pair = (Section("broken", "broken", 10), Section("good", "good", 10))
    found, seconds = run_all(job, pair, total=600)
    assert verdicts(found) == [("the section itself", Verdict.WRONG), ("sum", Verdict.OK)]
    assert found[0].expected == "ended with exit code 1: RuntimeError: no such kernel"
    assert list(seconds) == ["broken", "good"]


def test_a_failed_attempt_within_a_section_is_noted_and_the_section_goes_on(job):
    found = run_section(Section("half", "half", 10), job, 600)
    assert verdicts(found) == [("two", Verdict.WRONG), ("three", Verdict.MEASURED)]
    assert found[0].expected == "ValueError: odd"


def test_when_the_time_is_over_the_other_sections_are_named_as_not_run(job):
    found, _ = run_all(job, [Section("good", "good", 1)], total=plan.GRACE_SECONDS)
    assert verdicts(found) == [("the whole section", Verdict.NOT_RUN)]


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path):
    notes = Notebook(tmp_path / "notes", "s")
    notes.measured("speed", "3 img/s", rate=3.0)
    with (tmp_path / "notes").open("a") as stream:
        stream.write('{"section": "s", "wh')
    assert read_findings(tmp_path / "notes") == [
        Finding("s", "speed", "3 img/s", Verdict.MEASURED, data={"rate": 3.0})
    ]


def test_the_json_file_has_every_figure_and_replaces_an_older_one_whole(tmp_path):
    path = tmp_path / "gpu.json"
    path.write_text("old")
    write_json(path, [Finding("s", "speed", "3 img/s", Verdict.MEASURED, data={"rate": 3.0})], {"s": 1.5})
    content = json.loads(path.read_text())
    assert content["seconds"] == {"s": 1.5}
    assert content["findings"][0]["data"] == {"rate": 3.0}
    assert [each.name for each in tmp_path.iterdir()] == ["gpu.json"]


def detections(boxes, scores, classes):
    return {
        "boxes": np.array([boxes], np.float32),
        "scores": np.array([scores], np.float32),
        "classes": np.array([classes], np.int32),
    }


def test_detections_find_their_partner_whatever_the_order():
    one = detections([[0, 0, 10, 10], [20, 20, 40, 40]], [0.9, 0.8], [0, 1])
    other = detections([[20, 20, 40, 40], [0, 0, 10, 10]], [0.81, 0.89], [1, 0])
    assert agreement.matched(one, other) == (4, 1.0)


@pytest.mark.parametrize(
    "changed",
    [
        detections([[0, 0, 10, 12]], [0.9], [0]),  # IoU 0.83
        detections([[0, 0, 10, 10]], [0.7], [0]),
        detections([[0, 0, 10, 10]], [0.9], [1]),
        detections([[0, 0, 10, 10]], [0.0], [0]),
    ],
    ids=["elsewhere", "of another score", "of another class", "missing"],
)
def test_detections_that_differ_have_no_partner(changed):
    count, share = agreement.matched(detections([[0, 0, 10, 10]], [0.9], [0]), changed)
    assert share == 0.0
    assert count == 1 + (changed["scores"].max() >= agreement.MIN_SCORE)


def test_detections_below_the_least_score_are_not_compared():
    faint = detections([[0, 0, 10, 10]], [0.2], [0])
    assert agreement.matched(faint, faint) == (0, 0.0)


def test_iou_is_that_of_areas():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 20, 20], [0, 0, 10, 5]], np.float32)
    np.testing.assert_allclose(agreement.iou(boxes[0], boxes), [1, 1 / 3, 0, 0.5])


@pytest.fixture
def task(tmp_path):
    def make(*, xla=False, end=1e9):
        notes = Notebook(tmp_path / "notes", "s")
        return Task(notes, tmp_path, time.monotonic() + end, Path("/no/python"), False, xla)

    return make


def compared(task, tmp_path, **changed):
    reference = detections([[0, 0, 10, 10]], [0.9], [0])
    reference |= {"losses": np.array([1.0, 2.0]), "gradient/0": np.array([3.0, 4.0])}
    variant = agreement.Variant("v", "float32", False, losses=1e-3, gradients=1e-2, detections=0.9)
    agreement.compare(task(), variant, reference, {**reference, **changed})
    return [each.verdict for each in read_findings(tmp_path / "notes")]


OK, WRONG = Verdict.OK, Verdict.WRONG


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, [OK, OK, OK]),
        ({"losses": np.array([1.0, 2.1])}, [WRONG, OK, OK]),
        ({"losses": np.array([1.0, np.nan])}, [WRONG, OK, OK]),
        ({"gradient/0": np.array([3.0, 4.1])}, [OK, WRONG, OK]),
        ({"gradient/0": np.array([3.0, np.nan])}, [OK, WRONG, OK]),
        ({"classes": np.array([[1]])}, [OK, OK, WRONG]),
    ],
)
def test_a_variant_that_differs_from_the_cpu_is_wrong(task, tmp_path, changed, expected):
    assert compared(task, tmp_path, **changed) == expected


SIDE = """
import sys
from benchmarks.workers import serve

class Side:
    def prepare(self, phase):
        if phase == sys.argv[1]:
            raise MemoryError(sys.argv[2])
        return {}

    def step(self, phase):
        pass

    def report(self):
        return {"gpu_mib": 512.0}

serve(Side)
"""


def starters(tmp_path, **fails):
    script = tmp_path / "side.py"
    script.write_text(SIDE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def start(name):
        words = fails.get(name, ("never", ""))
        return Worker.start(
            name, [sys.executable, str(script), *words], tmp_path / f"{name}.log", environment
        )

    return dict.fromkeys(("ours", "torchvision"), start)


def test_both_sides_are_measured_in_both_phases(task, tmp_path):
    speed.measure(task(), "float32, batch 4", 4, starters(tmp_path))
    infer, train = read_findings(tmp_path / "notes")
    assert [infer.what, train.what] == ["float32, batch 4, infer", "float32, batch 4, train"]
    assert "512 MiB; torchvision" in infer.value and infer.value.endswith("times")
    rates = infer.data["ours"]["rates"]
    assert len(rates) == speed.ROUNDS and infer.data["ours"]["rate"] == sorted(rates)[1]


@pytest.mark.parametrize(
    ("message", "verdict", "reason"),
    [
        ("CUDA out of memory. Tried to allocate", Verdict.NOT_RUN, "the GPU has too little memory"),
        ("no kernel image", Verdict.WRONG, "worker torchvision: MemoryError: no kernel image"),
    ],
)
def test_a_side_that_fails_is_noted_and_the_other_one_is_measured(task, tmp_path, message, verdict, reason):
    speed.measure(task(), "x", 1, starters(tmp_path, torchvision=("train", message)))
    infer, failed, train = read_findings(tmp_path / "notes")
    assert "torchvision" in infer.value
    assert (failed.verdict, failed.expected) == (verdict, reason)
    assert train.value.startswith("ours") and "torchvision" not in train.value


def test_combinations_that_no_time_is_left_for_are_named(task, tmp_path):
    speed.main(task(end=1))
    found = read_findings(tmp_path / "notes")
    assert found[0].what == "torchvision" and found[0].verdict is Verdict.NOT_RUN
    assert len(found) == 1 + len(speed.COMBINATIONS)
    assert {each.verdict for each in found} == {Verdict.NOT_RUN}


def test_with_xla_the_same_side_runs_with_and_without_it(task):
    assert list(speed.starters(task(xla=True), "float32", 1)) == ["without-XLA", "with-XLA"]
