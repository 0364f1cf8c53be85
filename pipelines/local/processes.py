"""Runs KFP's local runner with each container step as a process, or through another handler."""

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kfp import local
from kfp.local import executor_input_utils, placeholder_utils, utils
from kfp.local.orchestrator import enhanced_dag_orchestrator
from kfp.local.status import Status
from kfp.local.task_handler_interface import ITaskHandler

from frcnn.console import step_process
from frcnn.errors import RunError
from pipelines.local.step_execution import StepExecution, StepRun, steps_run_by
from pipelines.local.step_table import StepTable

__all__ = ["ProcessTaskHandler", "StepRun", "run_pipeline"]

# Seconds for a step to clean up before it is killed.
_GRACE_SECONDS = 30


def run_pipeline(
    pipeline: Any,
    arguments: Mapping[str, object],
    root: Path,
    cache: Path,
    steps: list[StepRun],
    *,
    handler: "type[ProcessTaskHandler] | None" = None,
    table: StepTable | None = None,
    secrets: Mapping[str, str] | None = None,
) -> None:
    """Runs a pipeline to its end on this machine.

    Args:
        pipeline: Function decorated with `dsl.pipeline`.
        arguments: Parameters of the pipeline.
        root: Folder for artifacts. Each run creates a subfolder.
        cache: Folder of the cache of finished steps.
        steps: List to which each step is added when it ends.
        handler: Class that runs a step. `None` runs it as a process.
        table: Table that shows the steps while they run. `None` shows none.
        secrets: Secret environment variables of the steps.

    Raises:
        RunError: A step failed.
    """
    spec = type(pipeline.pipeline_spec)()
    spec.CopyFrom(pipeline.pipeline_spec)
    _without_cluster_settings(spec)
    table = table or StepTable(())
    make = functools.partial(
        _handler, handler or ProcessTaskHandler, table.say if table.enabled else None, secrets or {}
    )
    fail_stack: list[str] = []
    with table, steps_run_by(StepExecution(make, cache, table, steps)):
        _, status = enhanced_dag_orchestrator.run_enhanced_dag(
            pipeline_resource_name=executor_input_utils.get_local_pipeline_resource_name(
                spec.pipeline_info.name
            ),
            dag_component_spec=spec.root,
            executors={
                name: utils.struct_to_executor_spec(executor)
                for name, executor in spec.deployment_spec["executors"].items()
            },
            components=dict(spec.components.items()),
            dag_arguments=dict(arguments),
            pipeline_root=str(root.absolute()),
            runner=local.SubprocessRunner(use_venv=False),
            unique_pipeline_id=placeholder_utils.make_random_id(),
            fail_stack=fail_stack,
        )
    if status != Status.SUCCESS:
        failed = [step.name for step in steps if step.state == "failed"] or fail_stack
        raise RunError(
            f"step {failed[0]} failed; see its messages above. Rerun the same command to resume from there."
        )


class ProcessTaskHandler(ITaskHandler):
    """Handler that runs the command of a container step as a process.

    Its output goes to `say`, or else to the output of this process.
    """

    started = 0

    def __init__(
        self,
        image: str,
        full_command: list[str],
        pipeline_root: str,
        runner: local.SubprocessRunner,
        env_vars: Mapping[str, str] | None = None,
    ) -> None:
        """Stores the command. kfp defines this signature.

        Args:
            image: Image of the step, not used by processes.
            full_command: Command and arguments.
            pipeline_root: Folder of the artifacts.
            runner: Settings of kfp's runner, ignored.
            env_vars: Environment variables of the step.
        """
        self.image, self.full_command, self.pipeline_root = image, full_command, pipeline_root
        self.env_vars = dict(env_vars or {})
        self.secrets: Mapping[str, str] = {}
        self.say: Callable[[str], None] | None = None

    def run(self) -> Status:
        """Runs the command; a step's `python` is the interpreter of this process."""
        type(self).started += 1
        path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
        stdout, stderr = (subprocess.PIPE, subprocess.STDOUT) if self.say else (None, None)
        with subprocess.Popen(
            # -P ignores folders in the working directory that are named like one of our packages.
            [sys.executable, "-P", "-m", step_process.MODULE, step_process.name_of(self.full_command)],
            env={**os.environ, **self.env_vars, **self.secrets, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
        ) as process:
            try:
                _send(process, step_process.encode(self.full_command, os.getpid()))
                for line in process.stdout or ():
                    if self.say:
                        self.say(line.decode("utf-8", "replace").rstrip())
                code = process.wait()
            except BaseException:
                _end(process)
                raise
        return Status.SUCCESS if code == 0 else Status.FAILURE


def _handler(
    kind: type[ProcessTaskHandler], say: Callable[[str], None] | None, secrets: Mapping[str, str], *given: Any
) -> ProcessTaskHandler:
    handler = kind(*given)
    handler.say, handler.secrets = say, secrets
    return handler


def _send(process: "subprocess.Popen[bytes]", command: bytes) -> None:
    if process.stdin is None:
        raise RuntimeError("the process has no standard input")
    with contextlib.suppress(BrokenPipeError), process.stdin:  # its exit code explains why it ended early
        process.stdin.write(command)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _without_cluster_settings(spec: Any) -> None:
    """Removes settings that only apply to clusters from a pipeline."""
    for dag in (spec.root.dag, *(component.dag for component in spec.components.values())):
        for task in dag.tasks.values():
            # Local failures are rarely transient, so report the first one instead of retrying.
            task.ClearField("retry_policy")
            # The compiler adds this parameter to steps whose number of GPUs is a parameter. Only clusters can
            # resolve its reference.
            task.inputs.parameters.pop("accelerator_count", None)
