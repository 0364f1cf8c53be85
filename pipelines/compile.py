"""Compiles the pipeline and its components to the checked-in YAML, or to YAML for other images.

`python -m pipelines.compile` updates pipelines/compiled/ and components/*/*.yaml. `python -m
pipelines.compile pipelines FOLDER` and `... components FOLDER` write to FOLDER.
"""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frcnn.console.exit_codes import message
from frcnn.errors import FrcnnError, RunError
from frcnn.files import atomic_path

COMPILED = Path(__file__).with_name("compiled")
COMPONENTS = Path(__file__).parents[1] / "components"
# Compiled file -> (module, name) of the definition. Other pipelines load these files.
DEFINITIONS = {
    **{
        f"{step}/component.yaml": (step, step)
        for step in (
            "convert",
            "train",
            "evaluate",
            "inference",
            "prune",
            "export",
            "compare",
            "publish",
            "notify",
            "tune",
        )
    },
    "train/retrain.yaml": ("train", "retrain"),
    "evaluate/evaluate_retrained.yaml": ("evaluate", "evaluate_retrained"),
}
# Name of a pipeline -> its compiled file.
PIPELINES = {"faster-rcnn": "faster_rcnn.yaml", "faster-rcnn-tune": "faster_rcnn_tune.yaml"}
# kfp names parts of nested pipelines in the order of protobuf maps. In the compiled implementation, the order
# varies between processes; in the Python implementation, it is the insertion order.
_FIXED_ORDER = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python", "PYTHONHASHSEED": "0"}


def compile_all(folder: Path) -> list[Path]:
    """Compiles every pipeline. The output is reproducible byte by byte.

    Args:
        folder: Output folder.

    Returns:
        Written files.

    Raises:
        OSError: The folder cannot be created.
        RunError: kfp rejected a pipeline.
    """
    return _compile_apart("pipelines", folder)


def compile_components(folder: Path) -> list[Path]:
    """Compiles every component in `DEFINITIONS`. The output is reproducible byte by byte.

    Args:
        folder: Output folder.

    Returns:
        Written files.

    Raises:
        OSError: The folder cannot be created.
        RunError: kfp rejected a component.
    """
    return _compile_apart("components", folder)


def _compile_apart(what: str, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)  # an error here is the user's; one of the process is kfp's
    path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    command = [sys.executable, "-m", "pipelines.compile", what, str(folder.resolve())]
    done = subprocess.run(
        command,
        env={**os.environ, **_FIXED_ORDER, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RunError(f"compilation failed: {done.stderr.strip()[-2000:]}")
    return [Path(line) for line in done.stdout.splitlines()]


def _compile_here(what: str, folder: Path) -> list[Path]:
    from kfp import compiler

    written = []
    for name, definition in _pipelines() if what == "pipelines" else _components():
        path = folder / name
        with atomic_path(path) as temporary:
            compiler.Compiler().compile(definition, str(temporary))
        written.append(path)
    return written


def _pipelines() -> Iterator[tuple[str, Any]]:
    from pipelines.faster_rcnn import faster_rcnn
    from pipelines.faster_rcnn_tune import faster_rcnn_tune

    for definition in (faster_rcnn, faster_rcnn_tune):
        yield PIPELINES[definition.name], definition


def _components() -> Iterator[tuple[str, Any]]:
    for path, (step, name) in DEFINITIONS.items():
        yield path, getattr(importlib.import_module(f"components.{step}.component"), name)


def main() -> None:
    """Compiles as the command line requests, and prints the names of the written files."""
    try:
        if len(sys.argv) > 2:
            paths = _compile_here(sys.argv[1], Path(sys.argv[2]))
        else:
            paths = [*compile_all(COMPILED), *compile_components(COMPONENTS)]
    except (FrcnnError, OSError) as error:  # such as a full disk
        sys.exit(message(error))
    for path in paths:
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
