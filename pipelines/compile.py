"""Compiles the pipelines to the YAML that is checked in, or for images of your own.

`python -m pipelines.compile` writes pipelines/compiled/ again; with a folder's name, it writes there.
"""

import os
import subprocess
import sys
from pathlib import Path

from frcnn.errors import RunError
from frcnn.files import atomic_path

COMPILED = Path(__file__).with_name("compiled")
# kfp names parts of nested pipelines in the order of protobuf's maps. That of the compiled implementation
# changes from process to process; Python's own is the order in which they were filled.
_FIXED_ORDER = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python", "PYTHONHASHSEED": "0"}


def compile_all(folder: Path) -> list[Path]:
    """Writes the YAML of every pipeline into `folder`; returns the files, the same bytes every time.

    Raises:
        RunError: kfp refuses a pipeline; says why.
    """
    path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    command = [sys.executable, "-m", "pipelines.compile", str(folder.resolve())]
    done = subprocess.run(
        command,
        env={**os.environ, **_FIXED_ORDER, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RunError(f"the pipeline does not compile: {done.stderr.strip()[-2000:]}")
    return [Path(line) for line in done.stdout.splitlines()]


def _compile_here(folder: Path) -> list[Path]:
    from kfp import compiler

    from pipelines.faster_rcnn import faster_rcnn

    written = []
    for name, pipeline in (("faster_rcnn", faster_rcnn),):
        path = folder / f"{name}.yaml"
        with atomic_path(path) as temporary:
            compiler.Compiler().compile(pipeline, str(temporary))
        written.append(path)
    return written


def main() -> None:
    """Prints the names of the files."""
    paths = _compile_here(Path(sys.argv[1])) if len(sys.argv) > 1 else compile_all(COMPILED)
    for path in paths:
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
