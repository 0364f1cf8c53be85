"""What a pipeline step tells Kubeflow Pipelines about its outputs, without importing kfp.

KFP puts a JSON text, the executor input, in place of `{{$}}` on a step's command line. It names the
places of all outputs and a file, `executor_output.json`, in which the step answers. A local run knows
only the artifacts listed there, and nothing else carries the numbers of a Metrics artifact to the UI.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from frcnn.errors import UsageError
from frcnn.files import write_text

# What JSON can hold; KFP shows lists and mappings where an artifact's type says how.
Metadata: TypeAlias = Mapping[str, Any]


def write_executor_output(executor_input: str, metadata: Mapping[str, Metadata]) -> Path:
    """Answers with every output artifact of the step; returns the file written.

    Args:
        executor_input: The JSON that KFP gave.
        metadata: By name of an output artifact; shown with it in the UI. Numbers that are not finite are
            left out, since JSON has none.

    Raises:
        UsageError: `executor_input` is not what KFP writes, or has no artifact that `metadata` names.
    """
    outputs = _outputs(executor_input)
    declared = outputs.get("artifacts") or {}
    unknown = sorted(set(metadata) - set(declared))
    if unknown:
        known = ", ".join(declared) or "none"
        raise UsageError(f"--executor-input: no output artifact {', '.join(unknown)}; it names {known}")
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
            "--executor-input: expected the JSON that KFP puts in place of {{$}}, with outputs.outputFile; "
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
    # A server says what it says of an artifact (KFP 2.14 leaves its name out), and adds our numbers to it.
    artifacts = [
        {
            **{key: each[key] for key in ("name", "uri") if each.get(key)},
            "metadata": {**(each.get("metadata") or {}), **finite},
        }
        for each in declared.get("artifacts", ())
    ]
    return {"artifacts": artifacts}
