"""Writes down what each release makes of the compiled pipeline: `python -m tests.conformance.record`."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from pipelines.compile import COMPILED
from tests.conformance.backend import RELEASES, Backend, Release, Step

FOLDER = Path(__file__).with_name("recorded")
YAML = COMPILED / "faster_rcnn.yaml"
SPEC = 'random_seed: 42\nenc_key: "a key"\n'
# Every kind of value, none of them as the pipeline has it by itself.
PARAMETERS: dict[str, Any] = {
    "data": "s3://data/kitti",
    "spec": SPEC,
    "apply_exif": True,
    "epochs": 3,
    "minimum_map": 0.25,
    "tolerance": 0.00001,
    "publish_to": "s3://models/kitti",
    "num_workers": 1,
    "step_gpus": "1",
    "webhook": "https://chat.example/hooks/1",
}
MEAN_AP = 0.4375
# What the search passes on, in the pipeline that has one.
BEST_SPEC = "random_seed: 43\n"


def outputs(step: Step) -> dict[str, Any]:
    """Returns the output parameters of a successful step."""
    records = step.executor_input["outputs"].get("artifacts", {}).get("records")
    known = {
        "records_uri": records["artifacts"][0]["uri"] if records else "",
        "mean_ap": MEAN_AP,
        "passed": True,
        "best_spec": BEST_SPEC,
    }
    return {name: known[name] for name in step.executor_input["outputs"].get("parameters", {})}


def walked(release: Release, path: Path = YAML, **parameters: Any) -> Backend:
    """The pipeline as a release runs it, every gate open."""
    spec, platform = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    backend = Backend(release, spec, platform)
    backend.run({**PARAMETERS, **parameters}, outputs)
    return backend


def record(release: Release) -> str:
    """Returns the record of a release for the checked-in pipeline."""
    steps = [dataclasses.asdict(step) for step in walked(release).steps]
    content = {"release": release.name, "parameters": PARAMETERS, "steps": steps}
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Writes the files; prints their names."""
    FOLDER.mkdir(exist_ok=True)
    for release in RELEASES.values():
        path = FOLDER / f"{release.name}.json"
        path.write_text(record(release), encoding="utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
