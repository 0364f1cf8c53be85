"""Creates type stubs for TensorRT 11, which has none, from the stubs of TensorRT 10, for pyright.

Usage: tensorrt_11_stubs.py FOLDER
Writes FOLDER/tensorrt and FOLDER/tensorrt_bindings: the installed `tensorrt-stubs` without the names listed
in `tensorrt_11_gone.json`, which the bindings of 11.0 and 11.4 lack (scripts/tensorrt_names.sh). Also writes
FOLDER/pyrightconfig.json, which checks the modules that support both releases against these stubs.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GONE = json.loads(Path(__file__).with_name("tensorrt_11_gone.json").read_text(encoding="utf-8"))
CHECKED = ("exporting/tensorrt/engine.py", "inference/tensorrt.py")
_NAME = re.compile(r"\s*(?:class|def) (\w+)|\s*(\w+)\s*[:=]|from \S+ import (\w+)", re.MULTILINE)


def filtered(text: str) -> str:
    """Removes from a stub file the names that TensorRT 11 lacks.

    Some stubs are not valid Python, so the text is split by indentation instead of being parsed.

    Args:
        text: Text of the stub file.

    Returns:
        The remaining text.
    """
    return "".join(_without(text, "", GONE["names"]))


def _without(text: str, indent: str, gone: list[str]) -> Iterator[str]:
    """Yields the blocks whose names are not gone, and classes without the members that are gone."""
    for block in _blocks(text, indent):
        name = _name_of(block)
        if name in gone:
            continue
        if not indent and name == "__all__":
            yield re.sub(rf"'(?:{'|'.join(gone)})',? ?", "", block)
        elif not indent and block.startswith("class "):
            head, body = block.split("\n", 1)
            yield f"{head}\n    ...\n{''.join(_without(body, '    ', GONE['members'].get(name, [])))}"
        else:
            yield block


def _blocks(text: str, indent: str) -> Iterator[str]:
    """Splits the text before each statement of this indentation; decorators stay with their statement."""
    starts = re.compile(rf"^{indent}(?=[\w@])", re.MULTILINE)
    places = [match.start() for match in starts.finditer(text)] or [len(text)]
    begin = 0
    for place, following in zip(places, [*places[1:], len(text)], strict=True):
        if text[place + len(indent) : place + len(indent) + 1] != "@":
            yield text[begin:following]
            begin = following
    yield text[begin:]


def _name_of(block: str) -> str:
    """Returns the name that a block defines; empty if there is none."""
    lines = [line for line in block.splitlines() if line.strip() and line.strip()[0] != "@"]
    found = _NAME.match(lines[0]) if lines else None
    return next((name for name in found.groups() if name), "") if found else ""


def main(folder: Path) -> None:
    """Writes stubs and pyright configuration.

    Args:
        folder: Output folder.
    """
    for file in files("tensorrt-stubs") or []:
        if file.suffix == ".pyi":
            target = folder / str(file)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(filtered(file.read_text(encoding="utf-8")), encoding="utf-8")
    config = {
        # Paths must be relative: pyright rejects absolute ones here.
        "include": [os.path.relpath(ROOT / "shared/src/frcnn" / name, folder) for name in CHECKED],
        "extraPaths": [os.path.relpath(ROOT / "shared/src", folder)],
        "stubPath": ".",
        "pythonVersion": "3.11",
        "reportMissingModuleSource": False,
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(config, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
