"""The checked-in YAML is current, and says what a cluster has to know."""

import pytest
import yaml

from frcnn.errors import RunError
from pipelines.compile import COMPILED, PIPELINES, compile_all


@pytest.fixture(scope="module", params=PIPELINES)
def documents(request):
    return list(yaml.safe_load_all((COMPILED / PIPELINES[request.param]).read_text()))


def searches(documents):
    return documents[0]["pipelineInfo"]["name"] == "faster-rcnn-tune"


def test_the_checked_in_yaml_is_what_the_pipeline_compiles_to(tmp_path):
    fresh = {path.name: path.read_text() for path in compile_all(tmp_path)}
    assert fresh == {path.name: path.read_text() for path in COMPILED.glob("*.yaml")}


def dags(spec):
    """The root's tasks and those of every nested pipeline."""
    nested = {name: each["dag"] for name, each in spec["components"].items() if "dag" in each}
    return {"root": spec["root"]["dag"], **nested}


def test_every_condition_is_on_an_input_of_its_own_pipeline_never_on_a_steps_output(documents):
    conditions = [
        task
        for dag in dags(documents[0]).values()
        for task in dag["tasks"].values()
        if "condition" in task.get("triggerPolicy", {})
    ]
    assert len(conditions) == 3
    for task in conditions:
        passed = task["triggerPolicy"]["condition"]
        assert passed == "inputs.parameter_values['pipelinechannel--passed'] == true"
        assert task["inputs"]["parameters"]["pipelinechannel--passed"] == {
            "componentInputParameter": "passed"
        }


def test_the_exit_handler_is_told_however_the_run_ends(documents):
    (handler,) = [
        task
        for task in documents[0]["root"]["dag"]["tasks"].values()
        if "strategy" in task.get("triggerPolicy", {})
    ]
    assert handler["taskInfo"]["name"] == "notify"
    assert handler["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


def test_every_parameter_is_described(documents):
    inputs = documents[0]["root"]["inputDefinitions"]["parameters"]
    assert [name for name, each in inputs.items() if not each.get("description")] == []


def test_every_step_has_resources_retries_and_caching_of_its_own(documents):
    spec = documents[0]
    for name, executor in spec["deploymentSpec"]["executors"].items():
        assert executor["container"]["resources"]["resourceMemoryLimit"], name
    steps = {
        task["taskInfo"]["name"]: (
            task.get("retryPolicy", {}).get("maxRetryCount", 0),
            task["cachingOptions"].get("enableCache", False),
        )
        for dag in dags(spec).values()
        for task in dag["tasks"].values()
        if "executorLabel" in spec["components"][task["componentRef"]["name"]]
    }
    assert steps == {
        "convert": (2, True),
        "train": (5, True),
        "evaluate": (2, True),
        "prune": (2, True),
        "retrain": (5, True),
        "evaluate retrained": (2, True),
        "export": (2, True),
        "compare": (2, False),
        "publish": (5, False),
        "notify": (0, False),
        **({"tune": (5, True)} if searches(documents) else {}),
    }


def test_the_training_steps_have_as_many_gpus_as_the_run_asks_for(documents):
    executors = documents[0]["deploymentSpec"]["executors"]
    counts = {
        name: executor["container"]["resources"]["accelerator"]["resourceCount"]
        for name, executor in executors.items()
        if "accelerator" in executor["container"]["resources"]
    }
    assert counts == dict.fromkeys(
        ("exec-train", "exec-retrain"), "{{$.inputs.parameters['pipelinechannel--step_gpus']}}"
    )


def tasks(spec):
    """Every container task, with where it stands and its component."""
    for owner, dag in dags(spec).items():
        for key, task in dag["tasks"].items():
            component = spec["components"][task["componentRef"]["name"]]
            if "executorLabel" in component:
                yield owner, f"{owner}/{key}", task, component


def test_the_number_of_gpus_is_text_since_backends_read_no_number_there(documents):
    spec = documents[0]
    for owner, place, task, component in tasks(spec):
        resources = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]["resources"]
        if "accelerator" in resources:
            source = task["inputs"]["parameters"]["pipelinechannel--step_gpus"]["componentInputParameter"]
            declared = spec["components"][owner]["inputDefinitions"]["parameters"][source]
            assert declared["parameterType"] == "STRING", place
    assert spec["root"]["inputDefinitions"]["parameters"]["step_gpus"]["defaultValue"] == "0"


def test_every_input_of_every_step_is_given_since_a_backend_may_not_see_its_default(documents):
    for _, place, task, component in tasks(documents[0]):
        for kind in ("parameters", "artifacts"):
            declared = component.get("inputDefinitions", {}).get(kind, {})
            given = task.get("inputs", {}).get(kind, {})
            assert set(declared) <= set(given), place


def test_the_data_set_is_no_artifact_of_the_trainings_which_read_it_where_it_is_kept(documents):
    """A launcher copies every input artifact to the disk of the step's pod before the step begins."""
    artifacts = {
        place.partition("/")[2]: set(component.get("inputDefinitions", {}).get("artifacts", {}))
        for _, place, _, component in tasks(documents[0])
    }
    assert (artifacts["train"], artifacts["retrain"]) == (set(), {"start_from"})


def test_steps_are_tried_again_however_long_their_first_attempt_took(documents):
    """Backends count backoffMaxDuration from the beginning of the first attempt, and end a retry then."""
    policies = {
        place: task["retryPolicy"] for _, place, task, _ in tasks(documents[0]) if "retryPolicy" in task
    }
    assert len(policies) == (10 if searches(documents) else 9)
    for place, policy in policies.items():
        longest, wait = (int(policy[key][:-1]) for key in ("backoffMaxDuration", "backoffDuration"))
        waits = sum(wait * policy["backoffFactor"] ** n for n in range(policy["maxRetryCount"]))
        assert longest - waits > 14 * 24 * 3600, place


def test_a_reference_to_a_parameter_is_to_one_that_is_handed_in(documents):
    """KFP's compiler forgets those of resources when it hands parameters into a condition."""
    spec = documents[0]
    for owner, dag in dags(spec).items():
        component = spec["root"] if owner == "root" else spec["components"][owner]
        declared = component.get("inputDefinitions", {}).get("parameters", {})
        for task in dag["tasks"].values():
            for each in task.get("inputs", {}).get("parameters", {}).values():
                assert each.get("componentInputParameter", next(iter(declared), "")) in {*declared, ""}, owner


def test_secrets_come_by_name_may_be_missing_and_stand_nowhere_in_the_yaml(documents):
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert len(executors) == len(documents[0]["deploymentSpec"]["executors"])
    variables = set()
    for name, executor in executors.items():
        secrets = executor["secretAsEnv"]
        assert all(secret["optional"] for secret in secrets), name
        names = [secret["secretNameParameter"]["runtimeValue"]["constant"] for secret in secrets]
        assert names == (["frcnn-webhook"] if name == "exec-notify" else ["frcnn-model-key", "frcnn-s3"])
        variables |= {each["envVar"] for secret in secrets for each in secret["keyToEnv"]}
    assert variables == {
        *("FRCNN_KEY", "FRCNN_WEBHOOK", "S3_ENDPOINT"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"),
    }


def test_both_documents_are_what_kfps_protos_describe(documents):
    from google.protobuf import json_format
    from kfp.kubernetes import kubernetes_executor_config_pb2
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec = json_format.ParseDict(documents[0], pipeline_spec_pb2.PipelineSpec())
    assert spec.pipeline_info.name in PIPELINES
    platform = json_format.ParseDict(documents[1], pipeline_spec_pb2.PlatformSpec())
    for name, config in platform.platforms["kubernetes"].deployment_spec.executors.items():
        parsed = json_format.ParseDict(
            json_format.MessageToDict(config), kubernetes_executor_config_pb2.KubernetesExecutorConfig()
        )
        assert parsed.secret_as_env, name


def test_a_file_in_place_of_the_output_folder_is_named(tmp_path):
    (tmp_path / "mine.yaml").write_text("mine")
    with pytest.raises(FileExistsError, match=r"mine\.yaml"):
        compile_all(tmp_path / "mine.yaml")
    assert (tmp_path / "mine.yaml").read_text() == "mine"


def test_a_folder_in_place_of_a_compiled_file_is_named_without_a_stack_trace(tmp_path):
    (tmp_path / "faster_rcnn.yaml" / "mine").mkdir(parents=True)
    with pytest.raises(RunError) as caught:
        compile_all(tmp_path)
    assert str(caught.value) == f"compilation failed: {tmp_path}/faster_rcnn.yaml: Is a directory"
