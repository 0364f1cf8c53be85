#!/opt/venv/bin/python
"""Installs the packages that extras of frcnn require, for an image, with the hashes of locks/.

Runs in the folder of locks/ and shared/. Environment:
  EXTRAS       extras, with commas between them
  PIP_OPTIONS  further options of pip, such as --no-index --find-links DIR for builds without a network

A lock has the packages of all extras, and pip takes hashes from requirements only, not from constraints. So
pip first downloads the wheels in the versions of the lock, and then installs what it has downloaded with
their hashes. Source packages are refused, because pip would run them before it knows their hash.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def required(project: Mapping[str, Any], extras: Iterable[str]) -> list[str]:
    """Lists the requirements of a project.

    Args:
        project: Table [project] of its pyproject.toml.
        extras: Extras to include.

    Returns:
        Requirements. An extra that names other extras of the project is replaced by theirs.
    """
    own = re.compile(rf"{project['name']}\[(.*)\]")
    optional = project["optional-dependencies"]
    found: dict[str, None] = dict.fromkeys(project["dependencies"])
    for extra in extras:
        if extra not in optional:
            raise SystemExit(f"EXTRAS: no extra {extra!r}; expected some of {', '.join(optional)}")
        for each in optional[extra]:
            others = own.fullmatch(each)
            found |= dict.fromkeys(required(project, others[1].split(",")) if others else [each])
    return list(found)


def locked(text: str) -> dict[str, str]:
    """Reads a lock.

    Args:
        text: Lines `NAME==VERSION ; MARKER --hash=...`, continued after a backslash.

    Returns:
        Lines by normalized name of the package.
    """
    lines = (each.strip() for each in text.replace("\\\n", " ").splitlines())
    return {normalized(each.partition("==")[0]): each for each in lines if each and not each.startswith("#")}


def normalized(name: str) -> str:
    """Returns the one spelling of a package's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def install(requirements: Sequence[str], lock: Mapping[str, str], options: Sequence[str]) -> None:
    """Downloads packages with what they require, and installs the files whose hashes the lock has.

    Args:
        requirements: Requirements.
        lock: Lines of the lock by name.
        options: Further options of pip for the download.
    """
    with tempfile.TemporaryDirectory() as folder:
        wheels, versions, subset = (Path(folder, name) for name in ("wheels", "versions.txt", "subset.txt"))
        versions.write_text("".join(f"{each.partition(' --hash')[0]}\n" for each in lock.values()))
        _pip("download", *options, *_ONLY_WHEELS, "--dest", wheels, "--constraint", versions, *requirements)
        names = {normalized(path.name.partition("-")[0]) for path in wheels.iterdir()}
        if unknown := names - lock.keys():
            raise SystemExit(f"{', '.join(sorted(unknown))}: not in the lock; run make lock")
        subset.write_text("".join(f"{lock[name]}\n" for name in sorted(names)))
        _pip(
            *("install", "--no-index", "--find-links", wheels, *_ONLY_WHEELS),
            *("--no-deps", "--require-hashes", "--requirement", subset),
        )


_ONLY_WHEELS = ("--only-binary", ":all:")


def _pip(command: str, *words: str | Path) -> None:
    """Runs pip of this Python; ends this program if it fails."""
    pip = (sys.executable, "-m", "pip", command, "--no-cache-dir", "--disable-pip-version-check")
    code = subprocess.run([*pip, *map(str, words)], check=False).returncode
    if code:
        raise SystemExit(code)


def main() -> None:
    """Installs the packages."""
    extras = os.environ["EXTRAS"].split(",")
    lock = Path("locks", "gpu.txt" if "gpu" in extras else "cpu.txt")
    project = tomllib.loads(Path("shared/pyproject.toml").read_text(encoding="utf-8"))["project"]
    options = shlex.split(os.environ.get("PIP_OPTIONS", ""))
    install(required(project, extras), locked(lock.read_text(encoding="utf-8")), options)


if __name__ == "__main__":
    main()
