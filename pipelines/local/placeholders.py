"""Replaces the placeholders in a step's command in a single pass.

Unlike kfp.local, inserted values are not searched for placeholders. There, a spec with `{{$}}` in a comment
would reach a step with the step's parameters and folders inserted.
"""

import json
import re
from typing import Any

from kfp import dsl
from kfp.local import placeholder_utils

_PLACEHOLDER = re.compile(r"\{\{\$(.*?)\}\}", re.DOTALL)
_PARTS = re.compile(r"[.\[\]']+")


def replace_placeholders(
    full_command: list[str],
    executor_input_dict: dict[str, Any],
    pipeline_resource_name: str,
    task_resource_name: str,
    pipeline_root: str,
    unique_pipeline_id: str,
) -> list[str]:
    """Replaces the placeholders in a compiled command; has the signature of kfp.local's function.

    Args:
        full_command: Compiled command and arguments.
        executor_input_dict: Inputs and outputs of the step.
        pipeline_resource_name: Name of the run.
        task_resource_name: Name of the step.
        pipeline_root: Folder of the artifacts.
        unique_pipeline_id: Id of the run.

    Returns:
        Command and arguments.
    """
    constants = {
        "{{$}}": json.dumps(executor_input_dict),
        dsl.PIPELINE_JOB_NAME_PLACEHOLDER: pipeline_resource_name,
        dsl.PIPELINE_JOB_ID_PLACEHOLDER: unique_pipeline_id,
        dsl.PIPELINE_TASK_NAME_PLACEHOLDER: task_resource_name,
        dsl.PIPELINE_TASK_ID_PLACEHOLDER: placeholder_utils.make_random_id(),
        dsl.PIPELINE_ROOT_PLACEHOLDER: pipeline_root,
    }

    def value(match: re.Match[str]) -> str:
        found = constants.get(match[0])
        return _input_or_output(match[1], executor_input_dict) if found is None else found

    provided = placeholder_utils.get_provided_inputs(executor_input_dict)
    words = [placeholder_utils.resolve_struct_placeholders(word, provided) for word in full_command]
    return [_PLACEHOLDER.sub(value, word) for word in placeholder_utils.flatten_list(words)]


def _input_or_output(text: str, executor_input: dict[str, Any]) -> str:
    """Returns the value of a placeholder such as `.inputs.parameters['name']`."""
    parts = [part for part in _PARTS.split(text) if part]
    path = placeholder_utils.convert_placeholder_parts_to_path(parts)
    found = placeholder_utils.get_value_using_path(executor_input, path)
    return found if isinstance(found, str) else json.dumps(found)
