"""The checked-in YAML is current, and says what a cluster has to know."""

import pytest
import yaml

from pipelines.compile import COMPILED, compile_all


@pytest.fixture(scope="module")
def documents():
    return list(yaml.safe_load_all((COMPILED / "faster_rcnn.yaml").read_text()))


def test_the_checked_in_yaml_is_what_the_pipeline_compiles_to(tmp_path):
    fresh = {path.name: path.read_text() for path in compile_all(tmp_path)}
    assert fresh == {path.name: path.read_text() for path in COMPILED.glob("*.yaml")}


def test_every_condition_is_on_an_input_of_its_own_pipeline_never_on_a_steps_output(documents):
    spec = documents[0]
    conditions = {
        task["triggerPolicy"]["condition"]: (owner, task)
        for owner, component in spec["components"].items()
        for task in component.get("dag", {}).get("tasks", {}).values()
        if "condition" in task.get("triggerPolicy", {})
    }
    assert list(conditions) == ["inputs.parameter_values['pipelinechannel--passed'] == true"]
    for _, task in conditions.values():
        assert task["inputs"]["parameters"]["pipelinechannel--passed"] == {
            "componentInputParameter": "passed"
        }
    root = spec["root"]["dag"]["tasks"].values()
    assert not [task for task in root if "condition" in task.get("triggerPolicy", {})]


def test_every_parameter_is_described(documents):
    inputs = documents[0]["root"]["inputDefinitions"]["parameters"]
    assert [name for name, each in inputs.items() if not each.get("description")] == []


def test_every_step_has_resources_retries_and_caching(documents):
    spec = documents[0]
    executors = spec["deploymentSpec"]["executors"]
    assert len(executors) == 7
    for name, executor in executors.items():
        assert executor["container"]["resources"]["resourceMemoryLimit"], name
    tasks = [spec["root"]["dag"], *(each["dag"] for each in spec["components"].values() if "dag" in each)]
    steps = [
        task
        for dag in tasks
        for task in dag["tasks"].values()
        if "executorLabel" in spec["components"][task["componentRef"]["name"]]
    ]
    assert len(steps) == 7
    for task in steps:
        assert task["cachingOptions"]["enableCache"]
        assert task["retryPolicy"]["maxRetryCount"] == 2


def test_the_training_steps_have_as_many_gpus_as_the_run_asks_for(documents):
    executors = documents[0]["deploymentSpec"]["executors"]
    counts = {
        name: executor["container"]["resources"]["accelerator"]["resourceCount"]
        for name, executor in executors.items()
        if "accelerator" in executor["container"]["resources"]
    }
    assert counts == dict.fromkeys(
        ("exec-train", "exec-train-2"), "{{$.inputs.parameters['pipelinechannel--gpus']}}"
    )


def test_a_reference_to_a_parameter_is_to_one_that_is_handed_in(documents):
    """KFP's compiler forgets those of resources when it hands parameters into a condition."""
    components = documents[0]["components"]
    dags = {
        "root": documents[0]["root"],
        **{name: each for name, each in components.items() if "dag" in each},
    }
    for owner, component in dags.items():
        declared = component.get("inputDefinitions", {}).get("parameters", {})
        for task in component["dag"]["tasks"].values():
            for each in task.get("inputs", {}).get("parameters", {}).values():
                assert each.get("componentInputParameter", next(iter(declared))) in declared, (owner, each)


def test_the_key_comes_from_a_secret_that_may_be_missing_and_stands_nowhere_in_the_yaml(documents):
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name, executor in executors.items():
        (secret,) = executor["secretAsEnv"]
        assert secret["optional"], name
        assert secret["keyToEnv"] == [{"envVar": "FRCNN_KEY", "secretKey": "key"}]
