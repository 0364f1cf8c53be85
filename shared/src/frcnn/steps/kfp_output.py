"""Reports the outputs of a pipeline step to Kubeflow Pipelines, without importing kfp.

KFP replaces `{{$}}` on a step's command line by a JSON text, the executor input. It contains the paths of all
outputs and of a file, `executor_output.json`, in which the step reports. A local run knows only the artifacts
listed there, and the numbers of a Metrics artifact reach the UI in no other way.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from frcnn.errors import UsageError
from frcnn.files import write_text

# JSON values. KFP displays lists and mappings of artifact types that define how.
Metadata: TypeAlias = Mapping[str, Any]


def write_executor_output(executor_input: str, metadata: Mapping[str, Metadata]) -> Path:
    """Reports all output artifacts of the step.

    Args:
        executor_input: JSON text from KFP.
        metadata: Metadata by name of the output artifact, shown in the UI. Numbers that are not finite are
            omitted, since JSON does not support them.

    Returns:
        Path of the written file.

    Raises:
        UsageError: `executor_input` is invalid, or lacks an artifact named in `metadata`.
    """
    outputs = _outputs(executor_input)
    declared = outputs.get("artifacts") or {}
    unknown = sorted(set(metadata) - set(declared))
    if unknown:
        known = ", ".join(declared) or "none"
        raise UsageError(f"--executor-input: no output artifact {', '.join(unknown)}; it names {known}.")
    answer = {name: _with_metadata(each, metadata.get(name, {})) for name, each in declared.items()}
    path = Path(outputs["outputFile"])
    write_text(path, json.dumps({"artifacts": answer}, indent=1, ensure_ascii=False, allow_nan=False))
    return path


def _outputs(executor_input: str) -> dict[str, Any]:
    try:
        outputs = json.loads(executor_input)["outputs"]
        outputs["outputFile"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            "--executor-input: expected the JSON by which KFP replaces {{$}}, with outputs.outputFile; "
            f"found {executor_input[:60]!r}"
        ) from error
    found: dict[str, Any] = outputs
    return found


def _with_metadata(declared: Mapping[str, Any], metadata: Metadata) -> dict[str, Any]:
    finite = {
        name: value
        for name, value in metadata.items()
        if not isinstance(value, float) or math.isfinite(value)
    }
    # Repeats what the server gave for an artifact (KFP 2.14 omits its name), and adds the metadata.
    artifacts = [
        {
            **{key: each[key] for key in ("name", "uri") if each.get(key)},
            "metadata": {**(each.get("metadata") or {}), **finite},
        }
        for each in declared.get("artifacts", ())
    ]
    return {"artifacts": artifacts}
