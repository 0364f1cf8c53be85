import json
from pathlib import Path

import pytest
import yaml

CHART = Path(__file__).parents[2] / "charts/frcnn-pipelines"
VALUE_SETS = sorted(path.name for path in (CHART / "ci").glob("*-values.yaml"))


@pytest.fixture(scope="session")
def chart():
    from helm_python.chart import Chart

    with Chart.load(CHART) as loaded:
        yield loaded


@pytest.fixture(scope="session")
def render(chart):
    """Objects of the chart with a value set of ci/ (its name), or with values."""

    def render(values):
        given = (
            values if isinstance(values, dict) else yaml.safe_load((CHART / "ci" / values).read_text("utf-8"))
        )
        files = chart.render(given, name="vision", namespace="team", revision=3)
        texts = [text for path, text in files.items() if path.endswith(".yaml")]
        return [each for text in texts for each in yaml.safe_load_all(text) if each]

    return render


@pytest.fixture(scope="session")
def render_blind(chart):
    """Objects as Argo CD renders them: told what the cluster has, without access to it."""
    from helm_python import _native

    def render(values):
        # The package has no argument for --api-versions; the Helm library in it has.
        options = {"name": "vision", "namespace": "team", "api_versions": ["v1", "v1/Pod", "batch/v1/Job"]}
        files = json.loads(
            _native.call_string("helm_render", chart._raw(), json.dumps(values), json.dumps(options))
        )
        texts = [text for path, text in files.items() if path.endswith(".yaml")]
        return [each for text in texts for each in yaml.safe_load_all(text) if each]

    return render


@pytest.fixture(params=VALUE_SETS)
def objects(request, render):
    return render(request.param)


def find(objects, kind, name):
    found = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    assert len(found) == 1, f"{kind}/{name}: {len(found)} found"
    return found[0]


def pods_of(objects):
    """(object, its pod's template) of all Jobs and Deployments."""
    return [(each, each["spec"]["template"]) for each in objects if each["kind"] in ("Job", "Deployment")]
