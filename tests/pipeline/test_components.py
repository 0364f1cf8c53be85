"""Each component by itself: YAML that other people's pipelines load."""

import importlib.util
import json
from pathlib import Path

import pytest
import yaml
from kfp import compiler, components, dsl

from pipelines.compile import COMPONENTS, DEFINITIONS, compile_components
from pipelines.local.processes import ProcessTaskHandler, run_pipeline
from tests.conformance.backend import RELEASES, Backend
from tests.pipeline.test_dag import StandIns
from tests.pipeline.tiny import SPEC, write_data

EXAMPLE = Path(__file__).parents[2] / "examples" / "pipelines" / "with_own_step.py"


def example():
    module = importlib.util.module_from_spec(importlib.util.spec_from_file_location("own", EXAMPLE))
    module.__spec__.loader.exec_module(module)
    return module.with_own_step


def test_the_checked_in_files_are_what_the_definitions_compile_to(tmp_path):
    fresh = {str(path.relative_to(tmp_path)): path.read_text() for path in compile_components(tmp_path)}
    kept = {str(path.relative_to(COMPONENTS)): path.read_text() for path in COMPONENTS.glob("*/*.yaml")}
    assert fresh == kept


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_component_is_loaded_with_types_descriptions_and_a_versioned_image(name):
    loaded = components.load_component_from_file(str(COMPONENTS / name))
    assert loaded.component_spec.description
    (declared,) = yaml.safe_load((COMPONENTS / name).read_text())["components"].values()
    for side in ("inputDefinitions", "outputDefinitions"):
        for kind in ("parameters", "artifacts"):
            for each, found in declared.get(side, {}).get(kind, {}).items():
                assert found.get("description"), each
    (executor,) = loaded.pipeline_spec.deployment_spec["executors"].values()
    image, _, tag = executor["container"]["image"].partition(":")
    assert image.startswith("frcnn-")
    assert tag[0].isdigit()


def test_a_component_runs_in_a_pipeline_of_others(tmp_path):
    compare = components.load_component_from_file(str(COMPONENTS / "compare" / "component.yaml"))

    @dsl.pipeline(name="others")
    def others(mean_ap: float):
        compare(mean_ap=mean_ap, published="", tolerance=0.0)

    steps = []
    run_pipeline(others, {"mean_ap": 0.5}, tmp_path / "artifacts", tmp_path / "cache", steps)
    assert [(step.name, step.state, step.parameters) for step in steps] == [
        ("compare", "done", {"passed": False})
    ]


class Mixed(ProcessTaskHandler):
    """Stand-ins for this project's steps; the other one runs for real."""

    started = 0
    stand_ins = StandIns([0.5])

    def run(self):
        if self.full_command[1] != "-m":
            return super().run()
        type(self).started += 1
        return type(self).stand_ins(self)


def test_the_example_runs_with_its_own_step(tmp_path):
    steps = []
    arguments = {"data": str(tmp_path), "spec": "spec {", "name": "Ada"}
    run_pipeline(example(), arguments, tmp_path / "artifacts", tmp_path / "cache", steps, handler=Mixed)
    assert [step.name for step in steps] == ["convert", "train", "evaluate", "announce"]
    assert steps[-1].parameters == {"text": "Ada finds 50% of what there is to find"}


@pytest.mark.e2e
@pytest.mark.timeout(1800)
def test_the_example_trains_for_real(tmp_path):
    steps = []
    data = write_data(tmp_path / "data")
    arguments = {"data": str(data), "spec": SPEC, "minimum_map": 0.0}
    run_pipeline(example(), arguments, tmp_path / "artifacts", tmp_path / "cache", steps)
    (evaluate,) = [step for step in steps if step.name == "evaluate"]
    metrics = json.loads((Path(evaluate.artifacts["report"].path) / "metrics.json").read_text())
    assert evaluate.parameters["mean_ap"] == metrics["mAP"]


@pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)
def test_every_release_of_the_backend_resolves_the_example(release, tmp_path):
    compiler.Compiler().compile(example(), str(tmp_path / "own.yaml"))
    spec, platform = yaml.safe_load_all((tmp_path / "own.yaml").read_text())
    backend = Backend(release, spec, platform)
    known = {"records_uri": "minio://b/records", "mean_ap": 0.5, "passed": True, "text": ""}
    backend.run(
        {"data": "d", "spec": SPEC},
        lambda step: {name: known[name] for name in step.executor_input["outputs"].get("parameters", {})},
    )
    for step in backend.steps[:3]:
        words = step.words()
        importlib.import_module(words[2]).parser().parse_args(words[3:])
    assert backend.steps[-1].command[-3:-1] == ["0.5", "the model"]


def test_a_stand_in_that_fails_fails_the_example(tmp_path, monkeypatch):
    from frcnn.errors import RunError

    failing = StandIns([0.5])
    failing.failing = "train"
    monkeypatch.setattr(Mixed, "stand_ins", failing)
    with pytest.raises(RunError, match="step train failed"):
        run_pipeline(
            example(), {"data": "d", "spec": "s {"}, tmp_path / "a", tmp_path / "c", [], handler=Mixed
        )
