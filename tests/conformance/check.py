"""Says what a release of the backend cannot run of a compiled pipeline.

`python -m tests.conformance.check FILE` does so for every release.
"""

import contextlib
import importlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.conformance.backend import RELEASES, Backend, BackendError, Release, Step
from tests.conformance.record import PARAMETERS, outputs

_NUMBERS = {"NUMBER_INTEGER": int, "NUMBER_DOUBLE": float}
_TRAININGS = ("train", "retrain")


def faults(release: Release, path: Path) -> Iterator[str]:
    """Walks a pipeline as a release does, every gate open, and yields what goes wrong."""
    spec, platform = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    backend = Backend(release, spec, platform)
    try:
        backend.run(_known(spec["root"]["inputDefinitions"]["parameters"]), outputs)
    except BackendError as error:
        yield f"the backend refuses it: {error}"
    for step in backend.steps:
        if said := _refusal(step):
            yield f"step {step.name}: its script refuses its arguments: {said}"
        if step.name in _TRAININGS and not step.resources["limits"].get("nvidia.com/gpu"):
            yield f"step {step.name}: its pod gets no GPU"


def _known(declared: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the recorded walk that a pipeline has, in the types that it declares."""
    return {
        name: _NUMBERS.get(declared[name]["parameterType"], lambda value: value)(value)
        for name, value in PARAMETERS.items()
        if name in declared
    }


def _refusal(step: Step) -> str:
    _, _, module, *words = step.words()
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            importlib.import_module(module).parser().parse_args(words)
    except SystemExit:
        return said.getvalue().strip().splitlines()[-1]
    return ""


def main() -> int:
    """Checks a file for every release. Returns 1 if there are faults."""
    path = Path(sys.argv[1])
    found = [f"{name}: {fault}" for name, release in RELEASES.items() for fault in faults(release, path)]
    sys.stdout.write("".join(f"{line}\n" for line in found or ["no faults"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
