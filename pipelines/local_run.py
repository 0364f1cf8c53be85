"""The whole pipeline on one machine: what `frcnn pipeline run` does."""

import dataclasses
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from frcnn.errors import RunError
from frcnn.runtime.keys import KEY_FILE_VARIABLE, KEY_VARIABLE
from frcnn.runtime.published import is_s3
from pipelines import fingerprint
from pipelines.faster_rcnn import faster_rcnn
from pipelines.process_runner import StepRun, run_pipeline

log = logging.getLogger("frcnn.pipeline")

EXPORT = "export"


@dataclasses.dataclass(frozen=True)
class LocalRun:
    """A run that came to its end, be it before a gate.

    Attributes:
        steps: In the order they ran.
        latest: Folder of links to the artifacts, `<step>/<artifact>`.
    """

    steps: tuple[StepRun, ...]
    latest: Path

    @property
    def objections(self) -> str:
        """Why nothing was exported; empty if it was."""
        if any(step.name == EXPORT for step in self.steps):
            return ""
        reports = [step.artifacts["report"] for step in self.steps if "report" in step.artifacts]
        return str(reports[-1].metadata.get("objections", "")) if reports else "nothing was evaluated"


def run_locally(arguments: Mapping[str, object], data: Path, output: Path) -> LocalRun:
    """Runs the steps of the pipeline as processes.

    Steps that an earlier run into `output` finished with the same parameters, data and code are not run
    again; a training that was cut off goes on from its newest checkpoint.

    Args:
        arguments: Parameters of the pipeline, but for `data`, `data_version` and `checkpoints`.
        data: Folder with the data set.
        output: Folder for everything.

    Raises:
        RunError: A step failed.
    """
    output = output.resolve()
    place = str(arguments.get("publish_to", ""))
    given = {
        **arguments,
        "publish_to": place if not place or is_s3(place) else str(Path(place).absolute()),
        "data": str(data.resolve()),
        "data_version": fingerprint.of_data(data),
        "checkpoints": str(output / "checkpoints"),
    }
    sealed = any(os.environ.get(name) for name in (KEY_VARIABLE, KEY_FILE_VARIABLE))
    cache = output / "cache" / f"{fingerprint.of_code()}{'-sealed' if sealed else ''}"
    steps: list[StepRun] = []
    try:
        run_pipeline(faster_rcnn, given, output / "artifacts", cache, steps)
    finally:
        link_latest(steps, output / "latest")
    return LocalRun(tuple(steps), output / "latest")


def link_latest(steps: list[StepRun], folder: Path) -> None:
    """Makes `folder` hold links to these steps' artifacts, `<step>/<artifact>`, and no others.

    Raises:
        RunError: `folder` holds something that is not a link of ours.
    """
    _remove_links(folder)
    for step in steps:
        for name, artifact in step.artifacts.items():
            # Metrics artifacts have numbers and no file.
            if Path(artifact.path).exists():
                link = folder / step.name.replace(" ", "-") / name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(artifact.path)


def _remove_links(folder: Path) -> None:
    if not folder.exists():
        return
    foreign = [path for path in folder.rglob("*") if not path.is_symlink() and not path.is_dir()]
    if foreign:
        raise RunError(f"{foreign[0]}: is not a link to an artifact; move it, {folder} is made anew")
    shutil.rmtree(folder)
