"""The record files of one conversion: written to a hidden folder, put in place in one step."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from frcnn.data.conversion.fault_log import warning_path
from frcnn.data.records.offsets import list_name, write_list
from frcnn.data.records.tfrecord import files_of, is_record_file
from frcnn.errors import DataError, RunError, UsageError
from frcnn.files import is_disk_full
from frcnn.set_switch import SetSwitch
from frcnn.single_writer import only_writer_of

log = logging.getLogger(__name__)


class ShardFiles:
    """Takes record files under their final names into a hidden folder; `commit` puts them in place."""

    def __init__(self, output: Path, switch: SetSwitch) -> None:
        """`switch` has begun; `output` is a prefix."""
        self._output = output
        self._switch = switch
        self._aside = switch.new

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A new file, flushed to the disk when the block ends well."""
        with (self._aside / name).open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())

    @property
    def warnings(self) -> Path:
        """Where to write the list of faults."""
        return self._aside / warning_path(self._output).name

    def write_lists(self) -> None:
        """Writes the list of offsets of each record file, beside it (`offsets`)."""
        for path in sorted(self._aside.iterdir()):
            if path != self.warnings:
                write_list(path)

    def keep_warnings(self) -> None:
        """Puts only the list of faults in place."""
        self.warnings.replace(warning_path(self._output))

    def commit(self) -> tuple[tuple[Path, ...], int]:
        """Puts the new files in place of those of a former run, in one step.

        Returns the files now there, and how many of a former run are gone. Ctrl-C has to wait; a process
        that is killed leaves the former set or the new one, whole.
        """
        names = sorted(path.name for path in self._aside.iterdir())
        with _uninterrupted():
            former = _former_files(self._output)
            lists = (path.with_name(list_name(path.name)) for path in former)
            old = (*former, *lists, warning_path(self._output))
            self._switch.commit([path.name for path in old if os.path.lexists(path)])
        records = [name for name in names if name != self.warnings.name and not name.startswith(".")]
        return tuple(self._output.parent / name for name in records), len(former)


@contextmanager
def staged(output: Path) -> Iterator[ShardFiles]:
    """A place for record files beside the prefix `output`; whatever is not committed is removed.

    Raises:
        UsageError: `output` names a folder.
        DataError: A file that would be replaced is not one of ours.
        PlaceBusyError: Another conversion writes to the same prefix.
        RunError: The disk is full.
    """
    if not output.name or output.is_dir():
        raise UsageError(f"{output} is a folder; expected a file prefix such as {output / 'kitti'}")
    try:
        with only_writer_of(output):
            switch = SetSwitch(output, stand_ins=True)
            try:
                switch.begin()
                _former_files(output)
                yield ShardFiles(output, switch)
            finally:
                switch.settle()
    except Exception as error:
        if is_disk_full(error):
            raise RunError(
                f"disk full while writing {output}*; nothing is left behind, make room and run again"
            ) from error
        raise


def _former_files(output: Path) -> list[Path]:
    files = files_of(output)
    for path in files:
        if not is_record_file(path):
            raise DataError(
                f"{path} is in the way: its name is that of a record file, but it is none; "
                "move it, or choose another prefix"
            )
    return files


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Holds Ctrl-C and SIGTERM back until the end of the block, so that it is done whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {
        number: signal.signal(number, lambda got, _: arrived.append(got))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        for got in arrived:
            signal.raise_signal(got)
