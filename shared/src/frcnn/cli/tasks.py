"""Which tasks there are, and where their modules lie; nothing here imports one."""

import dataclasses
import importlib.metadata
import importlib.util

# Other distributions add tasks here: name = module that looks like those of frcnn.cli.
ENTRY_POINTS = "frcnn.commands"


@dataclasses.dataclass(frozen=True)
class Task:
    """A task's name, its module and one line of help.

    With `says_status` the command ends with `Execution status: PASS` or `FAIL`, as the reference's
    tasks do; commands whose standard output is the result go without.
    """

    name: str
    module: str
    help: str
    says_status: bool = True


_OWN = (
    Task("dataset_convert", "frcnn.cli.dataset_convert", "labels and images to TFRecords"),
    Task("train", "frcnn.cli.train", "train a detector, or go on training one"),
    Task("evaluate", "frcnn.cli.evaluate", "average precision of a model on the validation set"),
    Task("inference", "frcnn.cli.inference", "detect objects in a folder of images"),
    Task("prune", "frcnn.cli.prune", "remove the channels that matter least"),
    Task("export", "frcnn.cli.export", "write a model for deployment"),
    Task("onnx", "frcnn.cli.onnx", "compare an exported model with the one it came from"),
    Task("engine", "frcnn.cli.engine", "build a TensorRT engine of an exported model"),
    Task("augment", "frcnn.cli.augment", "show what augmentation does to training images"),
    Task("model", "frcnn.cli.model", "layers, parameters, operations and memory", says_status=False),
    Task("store", "frcnn.cli.store", "push folders to S3, pull, list and verify them", says_status=False),
    Task("spec", "frcnn.cli.spec", "check a spec, or show its effective values", says_status=False),
    Task("completion", "frcnn.cli.completion", "print a shell's script for completion", says_status=False),
    Task("demo-data", "frcnn.cli.demo_data", "draw a small synthetic data set in KITTI layout"),
    Task("demo", "frcnn.cli.demo", "convert, train, evaluate and infer in one go"),
)


def all_tasks() -> dict[str, Task]:
    """Every task there is, by name: those of this package, then those other packages add."""
    tasks = {task.name: task for task in _OWN if importlib.util.find_spec(task.module)}
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        summary = point.dist.metadata["Summary"] if point.dist else ""
        tasks.setdefault(point.name, Task(point.name, point.value, summary, says_status=False))
    return tasks
