"""Katib's own code as the judge of an Experiment: the program of tests/kube/katib, built where Go is."""

import functools
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.support import katib

MODULE = katib.ROOT / "tests/kube/katib"
KINDS = {"job": 1, "mpijob": 2}


@functools.cache
def program() -> Path:
    """Returns the program that `scripts/build_katib_judge.sh` builds; skips the tests without it."""
    script = katib.ROOT / "scripts/build_katib_judge.sh"
    asked = subprocess.run([str(script), "--where"], capture_output=True, text=True, check=True)
    path = Path(asked.stdout.strip())
    if not path.is_file():
        pytest.skip(f"no {path}: scripts/build_katib_judge.sh builds it, where Go is")
    return path


@functools.cache
def source() -> Path:
    """Returns the folder of Katib's module, which has its configuration and CRDs; downloads it if missing."""
    found = subprocess.run(
        ["go", "mod", "download", "-json", "github.com/kubeflow/katib"],
        cwd=MODULE,
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(json.loads(found.stdout)["Dir"])


def ask(words: list[str], experiment: dict[str, Any] | None = None) -> Any:
    """Runs the program and returns its answer."""
    config = source() / "manifests/v1beta1/installs/katib-standalone/katib-config.yaml"
    done = subprocess.run(
        [str(program()), *words],
        input=json.dumps(experiment) if experiment else "",
        capture_output=True,
        text=True,
        env={**os.environ, "KATIB_CONFIG": str(config)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def validated(experiment: dict[str, Any]) -> list[str]:
    """What the validating webhook objects to."""
    answer: list[str] = ask(["validate"], experiment)["objections"]
    return answer


def trial(experiment: dict[str, Any]) -> dict[str, Any]:
    """The job of a trial, and its pod as the mutating webhook leaves it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "assignments.json"
        path.write_text(json.dumps(katib.assignments(experiment)))
        answer: dict[str, Any] = ask(["trial", str(path)], experiment)
        return answer


def collected(log: Path, metric: str, line: str) -> list[list[str]]:
    """Time, name and value of each metric that the collector finds in a log."""
    answer: list[list[str]] = ask(["collect", str(log), metric, line])["values"]
    return answer
