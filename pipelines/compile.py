"""Compiles the pipelines to the YAML that is checked in, or for images of your own.

`python -m pipelines.compile` writes pipelines/compiled/ again.
"""

import logging
import sys
from pathlib import Path

from frcnn.runtime.files import atomic_path

log = logging.getLogger(__name__)

COMPILED = Path(__file__).with_name("compiled")


def compile_all(folder: Path) -> list[Path]:
    """Writes the YAML of every pipeline into `folder`; returns the files."""
    from kfp import compiler

    from pipelines.faster_rcnn import faster_rcnn

    written = []
    for name, pipeline in (("faster_rcnn", faster_rcnn),):
        path = folder / f"{name}.yaml"
        with atomic_path(path) as temporary:
            compiler.Compiler().compile(pipeline, str(temporary))
        written.append(path)
    return written


if __name__ == "__main__":
    for path in compile_all(COMPILED):
        sys.stdout.write(f"{path}\n")
