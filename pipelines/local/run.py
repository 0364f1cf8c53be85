"""Runs the whole pipeline on one machine, for `frcnn pipeline run`."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from frcnn.errors import RunError, StoreError
from frcnn.files import atomic_path
from frcnn.single_writer import only_writer_in
from frcnn.steps.publishing import is_s3
from pipelines.faster_rcnn import faster_rcnn
from pipelines.local import fingerprint
from pipelines.local.processes import ProcessTaskHandler, StepRun, run_pipeline
from pipelines.local.step_table import StepTable
from pipelines.resources import POLICIES
from pipelines.spec_key import key_environment, key_name, without_key

EXPORT, COMPARE, PUBLISH = "export", "compare", "publish"


@dataclasses.dataclass(frozen=True)
class LocalRun:
    """Run that ended without an error, possibly at a closed gate.

    Attributes:
        steps: Steps in the order they ran.
        latest: Folder of links to the artifacts, `<step>/<artifact>`.
    """

    steps: tuple[StepRun, ...]
    latest: Path

    @property
    def objections(self) -> str:
        """Reason why no model was exported; empty if one was."""
        if any(step.name == EXPORT for step in self.steps):
            return ""
        reports = [step.artifacts["report"] for step in self.steps if "report" in step.artifacts]
        return str(reports[-1].metadata.get("objections", "")) if reports else "nothing was evaluated"

    @property
    def report(self) -> Path | None:
        """Page of the last evaluation; `None` if nothing was evaluated."""
        names = [step.name for step in self.steps if "report" in step.artifacts]
        return self.latest / names[-1].replace(" ", "-") / "report" / "report.html" if names else None

    @property
    def publishing(self) -> str:
        """Outcome of publishing in one line; empty if publishing was not requested."""
        verdicts = [step.artifacts["metrics"].metadata for step in self.steps if step.name == COMPARE]
        objections = verdicts[0].get("objections", "") if verdicts else ""
        if objections:
            return f"not published: {objections}"
        published = [step.artifacts["metrics"].metadata for step in self.steps if step.name == PUBLISH]
        return f"published: {published[0].get('published')}" if published else ""


def run_locally(
    arguments: Mapping[str, object], data: str, output: Path, *, docker_network: str | None = None
) -> LocalRun:
    """Runs the steps of the pipeline, each as a process or as a container.

    Steps that an earlier run into `output` finished with the same parameters, data and code are reused. An
    interrupted training resumes from its newest checkpoint.

    Args:
        arguments: Parameters of the pipeline, except for `data`, `data_version` and `checkpoints`.
        data: Folder or s3:// URI of the data set.
        output: Output folder.
        docker_network: Docker network; steps run as containers in it (empty: Docker's default). `None` runs
            steps as processes.

    Returns:
        The finished run.

    Raises:
        PlaceBusyError: Another run writes to `output`.
        RunError: A step failed, or its image is missing.
        SpecError: The spec has errors.
        StoreError: The URI does not exist, or S3 is unreachable.
    """
    output = output.resolve()
    with only_writer_in(output, "pipeline"):
        return _run_locally(arguments, data, output, docker_network)


def _run_locally(
    arguments: Mapping[str, object], data: str, output: Path, docker_network: str | None
) -> LocalRun:
    spec, spec_key = without_key(str(arguments["spec"]))
    sealed = f"sealed-{name}" if (name := key_name(spec_key)) else ""
    place = str(arguments.get("publish_to", ""))
    given = {
        **arguments,
        "spec": spec,
        "publish_to": place if not place or is_s3(place) else str(Path(place).absolute()),
        "data": data if is_s3(data) else str(Path(data).resolve()),
        "data_version": _version(data),
        "checkpoints": str(output / "checkpoints" / sealed),
    }
    handler, code = ProcessTaskHandler, fingerprint.of_code()
    if docker_network is not None:
        handler, code = _in_containers(given, docker_network)
    cache = output / "cache" / "-".join(filter(None, (code, sealed)))
    steps: list[StepRun] = []
    table = StepTable([name for name in POLICIES if name != PUBLISH or place])
    try:
        run_pipeline(
            faster_rcnn,
            given,
            output / "artifacts",
            cache,
            steps,
            handler=handler,
            table=table,
            secrets=key_environment(spec_key),
        )
    finally:
        link_latest(steps, output / "latest")
    return LocalRun(tuple(steps), output / "latest")


def _version(data: str) -> str:
    """Returns a fingerprint that changes with the data set."""
    if not is_s3(data):
        return fingerprint.of_data(Path(data))
    from frcnn.storage import Store

    try:
        return Store.from_environment().contents(data).id
    except StoreError as error:
        raise type(error)(f"step convert: --data {error}") from error


def _in_containers(given: Mapping[str, object], network: str) -> tuple[type[ProcessTaskHandler], str]:
    """Returns the handler class that uses containers, and the fingerprint of all images."""
    from pipelines.local.containers import Containers, container_handler, docker_client, image_ids

    client = docker_client()
    executors = faster_rcnn.pipeline_spec.deployment_spec["executors"]
    images = sorted({executors[name]["container"]["image"] for name in executors})
    ids = image_ids(client, images)
    written = [Path(str(given["checkpoints"]))]
    if given["publish_to"] and not is_s3(str(given["publish_to"])):
        written.append(Path(str(given["publish_to"])).parent)
    read = () if is_s3(str(given["data"])) else (Path(str(given["data"])),)
    return container_handler(client, Containers(read, tuple(written), network)), fingerprint.of_texts(
        f"{name} {number}" for name, number in ids.items()
    )


def link_latest(steps: list[StepRun], folder: Path) -> None:
    """Replaces the links in a folder by links to the artifacts of these steps, `<step>/<artifact>`.

    Links are relative, so that the whole output folder can be moved. If the process is killed meanwhile, the
    folder has the links of one run, or does not exist.

    Args:
        steps: Steps of a run.
        folder: Folder of links.

    Raises:
        RunError: `folder` contains something other than links.
    """
    foreign = [path for path in folder.rglob("*") if not path.is_symlink() and not path.is_dir()]
    if foreign:
        raise RunError(
            f"{foreign[0]} is not a link to an artifact. Move it: {folder} is recreated by each run."
        )
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for step in steps:
            for name, artifact in step.artifacts.items():
                # Metrics artifacts have metadata but no file.
                if Path(artifact.path).exists():
                    place = step.name.replace(" ", "-")
                    (temporary / place).mkdir(exist_ok=True)
                    target = os.path.relpath(artifact.path, folder / place)
                    (temporary / place / name).symlink_to(target)
        if folder.exists():
            folder.replace(temporary.with_name("former"))
