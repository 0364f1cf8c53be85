"""Command line and common parts of the sections, each of which is a program of its own."""

import argparse
import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.gpu.findings import Notebook


@dataclasses.dataclass(frozen=True)
class Task:
    """Arguments of a section.

    Attributes:
        notes: Notebook for findings.
        folder: Folder that all sections share.
        end: When the section's time is over, by `time.monotonic`.
        peer_python: Python interpreter with torchvision; need not exist.
        rehearse: Whether to run on the CPU with small settings.
        xla: Whether to compare XLA with TensorFlow's own kernels.
    """

    notes: Notebook
    folder: Path
    end: float
    peer_python: Path
    rehearse: bool
    xla: bool

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.end - time.monotonic()

    @contextlib.contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Notes an exception within the block as wrong, and lets the section go on.

        Args:
            what: What the block does.
        """
        try:
            yield
        except Exception as error:  # any: the rest of the section is still worth running
            text = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
            self.notes.checked(what, "failed", False, text[:300])


def run(main: Callable[[Task], None]) -> None:
    """Parses the arguments that `plan.run_section` gives and runs a section.

    Args:
        main: The section.
    """
    flags = argparse.ArgumentParser()
    flags.add_argument("--name", required=True)
    flags.add_argument("--folder", type=Path, required=True)
    flags.add_argument("--notes", type=Path, required=True)
    flags.add_argument("--seconds", type=float, required=True)
    flags.add_argument("--peer-python", type=Path, required=True)
    flags.add_argument("--rehearse", action="store_true")
    flags.add_argument("--xla", action="store_true")
    args = flags.parse_args()
    notes = Notebook(args.notes, args.name)
    end = time.monotonic() + args.seconds
    main(Task(notes, args.folder, end, args.peer_python, args.rehearse, args.xla))


def let_memory_grow() -> None:
    """Makes TensorFlow take GPU memory as needed, so that two processes fit on one GPU."""
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def gpu_peak_mib() -> float | None:
    """Returns the peak of GPU memory that TensorFlow's tensors took, MiB; `None` without a GPU."""
    import tensorflow as tf

    if not tf.config.list_logical_devices("GPU"):
        return None
    return float(tf.config.experimental.get_memory_info("GPU:0")["peak"]) / 2**20
