"""Two runs of one task into one place: the second is refused, and what the first has written stays."""

import re
import threading
from contextlib import ExitStack

import pytest

import frcnn
from frcnn.single_writer import PlaceBusyError, only_writer_in, only_writer_of
from tests.support.kitti_folder import CAR, write_kitti


@pytest.fixture
def kitti(tmp_path):
    return write_kitti(tmp_path / "kitti", {f"{number:03d}": [CAR] for number in range(8)})


@pytest.fixture
def holder():
    """Holds a lock in another thread, which counts as another run, until the test ends."""
    with ExitStack() as stack:

        def hold(lock):
            held, done = threading.Event(), threading.Event()

            def work():
                with lock:
                    held.set()
                    done.wait()

            thread = threading.Thread(target=work)
            thread.start()
            stack.callback(thread.join)
            stack.callback(done.set)
            held.wait()

        yield hold


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def refused(folder):
    return pytest.raises(PlaceBusyError, match=rf"^{re.escape(str(folder))}.* is writing there")


def test_a_second_conversion_of_labels_is_refused(kitti, tmp_path, holder):
    target = tmp_path / "new" / "coco"
    holder(only_writer_of(target))
    with refused(target):
        frcnn.convert_labels(kitti, target, "coco")
    assert everything_in(tmp_path / "new") == [".frcnn.coco.lock"]


def test_a_second_run_that_writes_specs_is_refused(kitti, tmp_path, holder):
    target = tmp_path / "new" / "specs"
    holder(only_writer_of(target))
    with refused(target):
        frcnn.new_spec(kitti, target)
    assert everything_in(tmp_path / "new") == [".frcnn.specs.lock"]


def test_a_second_report_on_data_is_refused(kitti, tmp_path, holder):
    target = tmp_path / "report"
    holder(only_writer_in(target, "report"))
    with refused(target):
        frcnn.data_report(kitti, target, compare=0)
    assert everything_in(target) == [".frcnn.report.lock"]


def test_no_lock_is_left_behind(kitti, tmp_path):
    frcnn.convert_labels(kitti, tmp_path / "out" / "coco", "coco")
    frcnn.new_spec(kitti, tmp_path / "out" / "specs")
    frcnn.data_report(kitti, tmp_path / "out" / "report", compare=0)
    assert not [name for name in everything_in(tmp_path / "out") if "frcnn" in name]


def test_a_second_export_is_refused_before_it_computes(models, tmp_path, holder):
    target = tmp_path / "new" / "model.onnx"
    holder(only_writer_of(target))
    with refused(target):
        frcnn.export(models.trained, target)
    assert everything_in(tmp_path / "new") == [".frcnn.model.onnx.lock"]
