"""Table of tasks and their modules. This module does not import them.

The module of a task has the texts `HELP` and `EXAMPLES`, `add_arguments(parser)`, which adds the flags of the
command, and `run(args)`, which gets the parsed flags and may return metrics for the status file.
"""

import dataclasses
import importlib.util

# Entry point group for tasks of other distributions: name = module with the interface of those in frcnn.cli.
ENTRY_POINTS = "frcnn.commands"
# Tasks of other distributions of this project, for messages: task -> distribution.
ELSEWHERE = {"pipeline": "frcnn-pipelines"}
# Extras that a task needs, whatever its arguments are. `frcnn.packages` adds the one that brings TensorFlow.
_EXTRAS = {
    "dataset_convert": "convert",
    "train": "train",
    "evaluate": "evaluate",
    "prune": "train",
    "export": "export",
    "augment": "train",
    "model": "train",
    "store": "s3",
    "data report": "data",
    "data labels": "convert",
    "spec new": "convert",
    "demo-data": "convert",
    "demo": "evaluate,export,pipeline",
}


@dataclasses.dataclass(frozen=True)
class Task:
    """Name, module and one-line help of a task.

    Attributes:
        name: Name on the command line, of one or two words.
        module: Module to import.
        help: One line of help.
        prints_status: Whether to print `Execution status: PASS` or `FAIL` at the end, like TAO. `False` for
            commands whose result is their standard output.
        trains: Whether the task trains models, so that it takes several GPUs and mixed precision.
    """

    name: str
    module: str
    help: str
    prints_status: bool = True
    trains: bool = False

    @property
    def extras(self) -> str:
        """Extras that the task needs, comma-separated; empty if that depends on its arguments."""
        return _EXTRAS.get(self.name, "")


_OWN = (
    Task("dataset_convert", "frcnn.cli.dataset_convert", "convert labels and images to TFRecords"),
    Task("train", "frcnn.cli.train", "train a detector, or resume a training", trains=True),
    Task("tune", "frcnn.cli.tune", "search the fields of a spec for the best detector", trains=True),
    Task("evaluate", "frcnn.cli.evaluate", "compute the average precision on the validation set"),
    Task("inference", "frcnn.cli.inference", "detect objects in images"),
    Task("prune", "frcnn.cli.prune", "remove the least important filters of a model"),
    Task("export", "frcnn.cli.export", "export a model for deployment"),
    Task("onnx", "frcnn.cli.onnx", "compare an exported model with its original"),
    Task("engine", "frcnn.cli.engine", "build a TensorRT engine of an exported model"),
    Task("augment", "frcnn.cli.augment", "show the effect of augmentation on training images"),
    Task("model", "frcnn.cli.model", "show layers, parameters and memory of a model", prints_status=False),
    Task("store", "frcnn.cli.store", "push folders to S3, pull, list and verify them", prints_status=False),
    Task("data report", "frcnn.cli.data_report", "show what is in a data set", prints_status=False),
    Task("data labels", "frcnn.cli.data_labels", "convert labels to another format", prints_status=False),
    Task("spec", "frcnn.cli.spec", "check a spec, or show its effective values", prints_status=False),
    Task("spec new", "frcnn.cli.spec_new", "write specs that fit a data set", prints_status=False),
    Task("completion", "frcnn.cli.completion", "print a script for shell completion", prints_status=False),
    Task("demo-data", "frcnn.cli.demo_data", "draw a small synthetic data set in KITTI layout"),
    Task("demo", "frcnn.cli.demo", "run the whole pipeline on a small data set"),
)


def own_tasks() -> dict[str, Task]:
    """Returns the tasks of this package.

    Returns:
        Tasks by name.
    """
    return {task.name: task for task in _OWN if importlib.util.find_spec(task.module)}


def all_tasks() -> dict[str, Task]:
    """Returns the tasks of this package, followed by those of other distributions.

    This reads the metadata of all installed distributions, which takes longer than `own_tasks`.

    Returns:
        Tasks by name.
    """
    import importlib.metadata

    tasks = own_tasks()
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        summary = point.dist.metadata["Summary"] if point.dist else ""
        help_line = summary[:1].lower() + summary[1:]
        tasks.setdefault(point.name, Task(point.name, point.value, help_line, prints_status=False))
    return tasks
