"""The check of a compiled file finds what a release cannot run, and nothing in the checked-in pipeline."""

import pytest
import yaml

from tests.conformance.backend import RELEASES
from tests.conformance.check import faults
from tests.conformance.record import YAML

releases = pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)


@releases
def test_the_checked_in_pipeline_has_no_faults(release):
    assert list(faults(release, YAML)) == []


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("2.15.0", "step prune: its script refuses its arguments: prune: error: argument --granularity"),
        ("2.16.1", "step prune: its script refuses its arguments: prune: error: argument --granularity"),
        ("2.17.0", "the backend refuses it: parameter 'granularity' not found in executor input"),
        ("2.17.1", ""),
    ],
)
def test_an_input_left_to_its_default_is_found(release, expected, tmp_path):
    spec, platform = yaml.safe_load_all(YAML.read_text())
    for component in spec["components"].values():
        if "prune" in component.get("dag", {}).get("tasks", {}):
            del component["dag"]["tasks"]["prune"]["inputs"]["parameters"]["granularity"]
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump_all([spec, platform]))
    assert next(faults(RELEASES[release], path), "").startswith(expected)
    assert bool(list(faults(RELEASES[release], path))) == bool(expected)
