"""Record files of one conversion: written to a hidden folder, then published in one step."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from frcnn.atomic_set import SetSwitch
from frcnn.data.conversion.fault_log import warning_path
from frcnn.data.records.offsets import list_name, write_list
from frcnn.data.records.tfrecord import files_of, is_record_file
from frcnn.errors import DataError, RunError, UsageError
from frcnn.files import is_disk_full
from frcnn.single_writer import only_writer_of


class ShardFiles:
    """Writer of record files to a hidden folder; `commit` publishes them."""

    def __init__(self, output: Path, switch: SetSwitch) -> None:
        """Creates the writer.

        Args:
            output: Path prefix of the record files.
            switch: File switch on which `begin` was called.
        """
        self._output = output
        self._switch = switch
        self._aside = switch.new

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Creates a file; flushes it to disk if the block succeeds.

        Args:
            name: Final file name.
        """
        with (self._aside / name).open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())

    @property
    def warnings(self) -> Path:
        """Path of the issue list before it is published."""
        return self._aside / warning_path(self._output).name

    def write_lists(self) -> None:
        """Writes the index of record offsets for each record file (`offsets`)."""
        for path in sorted(self._aside.iterdir()):
            if path != self.warnings:
                write_list(path)

    def keep_warnings(self) -> None:
        """Publishes only the issue list."""
        self.warnings.replace(warning_path(self._output))

    def commit(self) -> tuple[tuple[Path, ...], int]:
        """Replaces the files of a previous run by the new ones in one step.

        Signals wait until the step is complete. If the process is killed, either the old or the new set of
        files remains.

        Returns:
            Tuple of the published record files and the number of replaced ones.
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
    """Provides a writer for the record files of a prefix; removes everything that is not committed.

    Args:
        output: Path prefix of the record files.

    Raises:
        UsageError: `output` is a folder.
        DataError: A file that would be replaced is not a record file.
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
                f"disk full while writing {output}*. No files were left behind. Free space and run again."
            ) from error
        raise


def _former_files(output: Path) -> list[Path]:
    files = files_of(output)
    for path in files:
        if not is_record_file(path):
            raise DataError(
                f"{path} matches the output prefix but is not a TFRecord file. "
                "Move it or choose another prefix (-o)."
            )
    return files


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delays SIGINT, SIGTERM and SIGHUP until the end of the block."""
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
