"""Starts a run from Python, follows it, and reports its outcome.

This is for schedulers other than Kubeflow's own.

Usage: KF_PIPELINES_ENDPOINT=http://localhost:8080 python examples/ci/retrain.py specs/detector.txt s3://data/set
"""

import os
import sys
from pathlib import Path

from google.protobuf import json_format

from frcnn.errors import FrcnnError
from frcnn.spec import load_experiment
from pipelines.compile import compile_all
from pipelines.faster_rcnn import faster_rcnn
from pipelines.remote import actions
from pipelines.remote.connection import Connection
from pipelines.remote.follow import follow
from pipelines.remote.server import Server
from pipelines.remote.steps import names


def retrain(host: str, spec: Path, data: str, folder: Path, *, poll: float = 10.0) -> str:
    """Runs the pipeline and waits until it has exported a model.

    Args:
        host: URL of Kubeflow Pipelines.
        spec: Experiment spec.
        data: s3:// URI of the data set.
        folder: Output folder for the compiled pipeline.
        poll: Seconds between status requests.

    Returns:
        Id of the run.

    Raises:
        FrcnnError: The server refused a request, or the run failed or exported no model.
    """
    connection = Connection(Server(host, namespace=os.environ.get("KF_PIPELINES_NAMESPACE", "")))
    package, *_ = compile_all(folder)  # the others begin with a search
    arguments = {"data": data, "spec": load_experiment(spec).text, "minimum_map": 0.8}
    run_id = actions.start(connection, package, arguments, name=f"retrain {spec.stem}")
    follow(connection, run_id, names(json_format.MessageToDict(faster_rcnn.pipeline_spec)), poll=poll)
    return run_id


if __name__ == "__main__":
    try:
        run = retrain(os.environ["KF_PIPELINES_ENDPOINT"], Path(sys.argv[1]), sys.argv[2], Path("compiled"))
    except FrcnnError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{run}\n")
