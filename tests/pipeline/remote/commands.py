"""Commands on a server of Kubeflow Pipelines, as a user types them."""

import warnings

from frcnn.cli import task_runner
from frcnn.cli.tasks import Task
from pipelines import command
from pipelines.compile import COMPILED

YAML = COMPILED / "faster_rcnn.yaml"
RUNNING = ("RUNNING", [("root-driver", "SUCCEEDED"), ("convert", "SUCCEEDED"), ("train", "RUNNING")])
ALL = [
    (name, "SUCCEEDED")
    for name in (
        *("convert", "train", "evaluate", "prune", "retrain", "evaluate-retrained"),
        *("export", "compare", "notify"),
    )
]
STUCK = (
    "RUNNING",
    [("convert-driver", "SUCCEEDED"), ("convert", "RUNNING"), ("executor", "PENDING")],
)


def frcnn(*words):
    task = Task("pipeline", "pipelines.command", "", prints_status=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # urllib3 pools of the generated client
        return task_runner.run(task, command, [str(word) for word in words])


def submit(double, spec, *words):
    where = ("--host", double.url, "--poll", "0.01")
    return frcnn("submit", "--spec", spec, "--data", "s3://data/kitti", *where, *words)
