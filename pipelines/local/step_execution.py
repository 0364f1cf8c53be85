"""Runs a single step of a local run: from the cache if nothing has changed, else with a handler.

kfp.local schedules the graph (order, gates, exit handler) and calls this code for each step. Its own step
execution runs containers only in Docker, searches inserted texts for placeholders, and prints its own log.
"""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from kfp import dsl
from kfp.local import cache, executor_input_utils, executor_output_utils
from kfp.local.orchestrator import task_executor
from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils
from kfp.local.status import Status
from kfp.local.task_handler_interface import ITaskHandler

from pipelines.local.placeholders import replace_placeholders
from pipelines.local.step_table import StepTable

log = logging.getLogger("frcnn.pipeline")

# Message of kfp's pipeline specification; kfp creates these classes at run time.
Message: TypeAlias = Any
Outputs: TypeAlias = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class StepRun:
    """Result of one step of a run.

    Attributes:
        name: Name in the UI.
        state: `done`, `reused` (outputs of an earlier run with the same inputs) or `failed`.
        seconds: Wall time.
        artifacts: Output artifacts by name.
        parameters: Output parameters by name.
    """

    name: str
    state: str
    seconds: float
    artifacts: Mapping[str, dsl.Artifact]
    parameters: Mapping[str, object]


@contextlib.contextmanager
def steps_run_by(execution: "StepExecution") -> Iterator[None]:
    """Makes kfp.local run steps with `execution` within the block.

    `execute_single_task` is the only name in kfp that is replaced; kfp has no parameter for it.

    Args:
        execution: Function that runs a step.
    """
    former = task_executor.execute_single_task
    task_executor.execute_single_task = execution
    try:
        yield
    finally:
        task_executor.execute_single_task = former


class StepExecution:
    """Replacement of `kfp.local.orchestrator.task_executor.execute_single_task`."""

    def __init__(
        self, handler: Callable[..., ITaskHandler], cache_folder: Path, table: StepTable, steps: list[StepRun]
    ) -> None:
        """Opens the cache.

        Args:
            handler: Function that creates the handler of a step, with the signature of kfp's `ITaskHandler`.
            cache_folder: Folder of the cache; created if missing.
            table: Table that shows the steps.
            steps: List to which each step is added when it ends.
        """
        self._handler, self._table, self._steps = handler, table, steps
        self._cache = cache.LocalCache(str(cache_folder))

    def __call__(self, *, task_name: str, task_spec: Message, **given: Any) -> tuple[Outputs, Status]:
        """Runs a step and records its result.

        Args:
            task_name: Key of the task.
            task_spec: Task of the pipeline specification.
            given: Other arguments of kfp's function.

        Returns:
            Tuple of the step's outputs by name and its status.
        """
        name = task_spec.task_info.name or task_name
        log.info("step %s", name)
        self._table.begin(name)
        began, state = time.monotonic(), "failed"
        outputs: Outputs = {}
        try:
            state, outputs = self._run(task_spec, **given)
        finally:
            seconds = time.monotonic() - began
            self._table.end(name, state, seconds)
        log.info("step %s: %s in %.1f s", name, state, seconds)
        artifacts = {key: each for key, each in outputs.items() if isinstance(each, dsl.Artifact)}
        parameters = {key: each for key, each in outputs.items() if key not in artifacts}
        self._steps.append(StepRun(name, state, seconds, artifacts, parameters))
        return outputs, Status.FAILURE if state == "failed" else Status.SUCCESS

    def _run(
        self,
        task_spec: Message,
        *,
        components: Mapping[str, Message],
        executors: Mapping[str, Message],
        io_store: Any,
        **run: Any,
    ) -> tuple[str, Outputs]:
        component_name = task_spec.component_ref.name
        component = components[component_name]
        container = executors[component.executor_label].container
        arguments = OrchestratorUtils.make_task_arguments(task_spec.inputs, io_store)
        command = [*container.command, *container.args]
        environment = {each.name: each.value for each in container.env}
        key = None
        if task_spec.caching_options.enable_cache:
            custom = task_spec.caching_options.cache_key or None
            key = self._cache.compute_key(
                component_name, container.image, command, arguments, environment, custom
            )
            if (found := self._cache.get(key)) is not None:
                return "reused", found
        inputs, resolved = _resolve(command, component_name, component, arguments, **run)
        handler = self._handler(container.image, resolved, run["pipeline_root"], run["runner"], environment)
        if handler.run() != Status.SUCCESS:
            return "failed", {}
        outputs = executor_output_utils.get_outputs_for_task(executor_input=inputs, component_spec=component)
        if key is not None:
            self._cache.put(key, outputs)
        return "done", outputs


def _resolve(
    command: list[str],
    component_name: str,
    component: Message,
    arguments: Mapping[str, Any],
    *,
    pipeline_resource_name: str,
    pipeline_root: str,
    unique_pipeline_id: str,
    **others: Any,
) -> tuple[Message, list[str]]:
    """Chooses the output folders of a step; returns its executor input and its resolved command."""
    task = executor_input_utils.get_local_task_resource_name(component_name)
    folder = executor_input_utils.construct_local_task_root(pipeline_root, pipeline_resource_name, task)
    inputs = executor_input_utils.construct_executor_input(
        component_spec=component, arguments=arguments, task_root=folder, block_input_artifact=False
    )
    described = executor_input_utils.executor_input_to_dict(executor_input=inputs, component_spec=component)
    return inputs, replace_placeholders(
        command, described, pipeline_resource_name, task, pipeline_root, unique_pipeline_id
    )
