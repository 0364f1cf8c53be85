"""KFP's local runner with each container step as a process of this machine (or as another handler says).

kfp.local runs Python functions as processes, and containers in Docker only. What is changed here for the
time of a run are private names of kfp 2.17 (tests/pipeline/test_process_runner.py notices if they move):
the handler of a step, its log, and the function that executes a step, which is watched.
"""

import contextlib
import dataclasses
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from kfp import dsl, local
from kfp.local import logging_utils, pipeline_orchestrator, subprocess_task_handler, task_dispatcher
from kfp.local.orchestrator import task_executor
from kfp.local.status import Status

from frcnn.errors import RunError
from pipelines.local.step_table import StepTable

log = logging.getLogger("frcnn.pipeline")

# Time for a step to clean up after itself before it is killed.
_GRACE_SECONDS = 30


@dataclasses.dataclass(frozen=True)
class StepRun:
    """One step of a run.

    Attributes:
        name: As shown in the UI.
        state: `done`, `reused` (an earlier run's outputs, as nothing it depends on changed) or `failed`.
        seconds: Wall time.
        artifacts: Output artifacts by name.
        parameters: Output parameters by name.
    """

    name: str
    state: str
    seconds: float
    artifacts: Mapping[str, dsl.Artifact]
    parameters: Mapping[str, object]


def run_pipeline(
    pipeline: Any,
    arguments: Mapping[str, object],
    root: Path,
    cache: Path,
    steps: list[StepRun],
    *,
    handler: "type[ProcessTaskHandler] | None" = None,
    table: StepTable | None = None,
) -> None:
    """Runs a pipeline to its end on this machine.

    Args:
        pipeline: A function made by `dsl.pipeline`.
        arguments: Its parameters.
        root: Folder for the artifacts; each run has a folder of its own in it.
        cache: Folder that remembers the steps that are done.
        steps: Every step is added to it when it has ended.
        handler: Runs a step; default as a process.
        table: Shows the steps while they run.

    Raises:
        RunError: A step failed; names it.
    """
    spec = type(pipeline.pipeline_spec)()
    spec.CopyFrom(pipeline.pipeline_spec)
    _without_cluster_settings(spec)
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=str(root),
        enable_caching=True,
        cache_root=str(cache),
    )
    handler, table = handler or ProcessTaskHandler, table or StepTable(())
    with table, _run_by(handler, table, steps):
        try:
            pipeline_orchestrator.run_local_pipeline(pipeline_spec=spec, arguments=dict(arguments))
        except RuntimeError as error:
            failed = [step.name for step in steps if step.state == "failed"]
            if not failed:
                raise
            raise RunError(
                f"step {failed[0]} failed, its messages are above; the same command goes on from there"
            ) from error


class ProcessTaskHandler(subprocess_task_handler.SubprocessTaskHandler):
    """Runs the command of a container step as a process, its output going where ours goes, or to `say`."""

    started = 0
    say: ClassVar[Callable[[str], None] | None] = None

    def validate_image(self, image: str) -> None:
        """Any image will do: none is used."""

    def validate_not_container_component(self, full_command: list[str]) -> None:
        """Container components are what this is for."""

    def run(self) -> Status:
        """Runs the command; a step's `python` is the one that runs this."""
        type(self).started += 1
        program, *words = self.full_command
        # -P: a folder named like one of our packages in the user's folder is not meant.
        command = [sys.executable, "-P", *words] if program == "python" else self.full_command
        path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
        env = {**os.environ, **self.env_vars, "PYTHONPATH": path}
        say = type(self).say
        stdout, stderr = (subprocess.PIPE, subprocess.STDOUT) if say else (None, None)
        with subprocess.Popen(command, env=env, stdout=stdout, stderr=stderr) as process:
            try:
                for line in process.stdout or ():
                    if say:
                        say(line.decode("utf-8", "replace").rstrip())
                code = process.wait()
            except BaseException:
                _end(process)
                raise
        return Status.SUCCESS if code == 0 else Status.FAILURE


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _without_cluster_settings(spec: Any) -> None:
    """Takes out of a pipeline what is for clusters only."""
    for dag in (spec.root.dag, *(component.dag for component in spec.components.values())):
        for task in dag.tasks.values():
            # What fails once fails again: the user is told at once and not after the last attempt.
            task.ClearField("retry_policy")
            # The compiler adds a parameter of that name to steps whose number of GPUs is a parameter, with
            # a reference in it that only clusters resolve.
            task.inputs.parameters.pop("accelerator_count", None)


@contextlib.contextmanager
def _run_by(handler: type[ProcessTaskHandler], table: StepTable, steps: list[StepRun]) -> Iterator[None]:
    execute = task_executor.execute_single_task
    changes: tuple[tuple[Any, str, Any], ...] = (
        (subprocess_task_handler, "SubprocessTaskHandler", handler),
        (task_executor, "execute_single_task", _watched(execute, handler, table, steps)),
        # Display names and resources have no meaning here, which needs no saying for each step.
        (task_executor, "_warn_local_only_noops", lambda *given: None),
        # kfp would put its own log on standard output in place of ours, and in colour.
        (task_dispatcher, "logging", logging.Logger("silent", logging.CRITICAL + 1)),
        (logging_utils, "local_logger_context", contextlib.nullcontext),
        (logging_utils, "indented_print", contextlib.nullcontext),
        (logging_utils, "print_horizontal_line", lambda: None),
        (handler, "say", staticmethod(table.say) if table.enabled else None),
    )
    with contextlib.ExitStack() as stack:
        for place, name, value in changes:
            stack.enter_context(mock.patch.object(place, name, value))
        yield


def _watched(
    execute: Callable[..., tuple[dict[str, Any], Status]],
    handler: type[ProcessTaskHandler],
    table: StepTable,
    steps: list[StepRun],
) -> Callable[..., tuple[dict[str, Any], Status]]:
    def watched(**given: Any) -> tuple[dict[str, Any], Status]:
        name = given["task_spec"].task_info.name or given["task_name"]
        log.info("step %s", name)
        table.begin(name)
        began, processes = time.monotonic(), handler.started
        state, seconds = "failed", 0.0
        try:
            outputs, status = execute(**given)
            if status == Status.SUCCESS:
                state = "done" if handler.started > processes else "reused"
        finally:
            seconds = time.monotonic() - began
            table.end(name, state, seconds)
        log.info("step %s: %s in %.1f s", name, state, seconds)
        artifacts = {key: each for key, each in outputs.items() if isinstance(each, dsl.Artifact)}
        parameters = {key: each for key, each in outputs.items() if key not in artifacts}
        steps.append(StepRun(name, state, seconds, artifacts, parameters))
        return outputs, status

    return watched
