"""A named pipe in the place of any file that is read ends in a sentence; nothing waits for a writer."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from frcnn.data.conversion.coco.annotations import read_coco
from frcnn.data.conversion.kitti.plan import read_sequences
from frcnn.data.image_file import load_image
from frcnn.data.records.offsets import offsets_of
from frcnn.data.records.tfrecord import is_record_file, read_records
from frcnn.data.transforms import image_arrays
from frcnn.errors import FrcnnError, RunError
from frcnn.evaluation.html_report import read_metrics
from frcnn.exporting.int8.tensor_file import read_tensor_file
from frcnn.files import remove_leftovers
from frcnn.inference.model_kind import kind_of
from frcnn.limits import open_archive, read_json
from frcnn.model.files.training_record import read_record
from frcnn.sealing.sealed_file import header_of, is_sealed, opened
from frcnn.single_writer import only_writer_in
from frcnn.storage import Store
from frcnn.training.pretrained.load import read_source
from frcnn.training.run_folder import checkpoint_in

SECONDS = 5


@contextlib.contextmanager
def no_wait():
    """Ends the block with an error that no reader catches when it waits."""

    def stop(*_):
        raise KeyboardInterrupt("it waits for a writer")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


READERS = {
    "records": lambda path: [*read_records(path)],
    "offsets of records": offsets_of,
    "COCO annotations": lambda path: read_coco(path, "images"),
    "KITTI sequences": read_sequences,
    "an image": lambda path: image_arrays.read(path, 3),
    "an image for a network": lambda path: load_image(path, None),
    "metrics": read_metrics,
    "a small JSON file": read_json,
    "calibration images": lambda path: [*read_tensor_file(path, (3, 8, 8))],
    "a model": kind_of,
    "a checkpoint": read_record,
    "an archive": open_archive,
    "a sealed file": header_of,
    "the plain copy of a sealed file": lambda path: opened(path, "key", "keras").__enter__(),
    "pretrained weights": read_source,
}


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_waits_for_the_writer_of_a_pipe(tmp_path, reader):
    path = tmp_path / "pipe.tlt"
    os.mkfifo(path)
    with no_wait(), pytest.raises(Exception) as caught:
        READERS[reader](path)
    assert (
        "pipe" in str(caught.value) or "regular" in str(caught.value) or "no such file" in str(caught.value)
    )


def test_a_pipe_is_neither_a_record_file_nor_sealed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with no_wait():
        assert not is_record_file(tmp_path / "pipe")
        with contextlib.suppress(FrcnnError):
            assert not is_sealed(tmp_path / "pipe")


def test_pipes_among_checkpoints_and_as_their_list_are_ignored(tmp_path):
    for name in ("checkpoints.json", "frcnn_resnet_10.epoch_9.keras"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "frcnn_resnet_10.epoch_1.keras").write_bytes(b"PK")
    with no_wait():
        assert checkpoint_in(tmp_path, "latest") == tmp_path / "frcnn_resnet_10.epoch_1.keras"


def test_a_pipe_as_the_manifest_of_an_artifact_is_no_manifest(tmp_path):
    os.mkfifo(tmp_path / "frcnn-manifest.json")
    with no_wait(), pytest.raises(FrcnnError, match="nothing is there"):
        Store().contents(str(tmp_path))


@pytest.mark.parametrize("lay", [os.mkfifo, lambda path: path.symlink_to(path.parent / "mine")])
def test_what_lies_in_the_place_of_a_lock_file_is_refused_and_what_it_leads_to_stays(tmp_path, lay):
    (tmp_path / "mine").write_text("a file of the user's")
    lay(tmp_path / ".frcnn.train.lock")
    with no_wait(), pytest.raises(RunError, match="expected a lock file"), only_writer_in(tmp_path, "train"):
        pass
    assert (tmp_path / "mine").read_text() == "a file of the user's"


def test_a_link_that_looks_like_a_leftover_is_not_followed(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    for name in (".frcnn-lock", "file"):
        (home / name).touch()
    (tmp_path / ".frcnn-abc.part").symlink_to(home)
    remove_leftovers(tmp_path)
    assert {path.name for path in Path(home).iterdir()} == {".frcnn-lock", "file"}
