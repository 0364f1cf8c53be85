"""Recorded results of the checked-in pipeline, for each release of the backend and each step."""

import importlib
import json
from pathlib import Path

import pytest

from pipelines.compile import COMPILED, PIPELINES
from tests.conformance.backend import RELEASES
from tests.conformance.record import BEST_SPEC, FOLDER, MEAN_AP, PARAMETERS, SPEC, YAML, record, walked

STEPS = [
    "convert",
    "train",
    "evaluate",
    "prune",
    "retrain",
    "evaluate retrained",
    "export",
    "compare",
    "publish",
    "notify",
]
ROOT = "/minio/mlpipeline/v2/artifacts/faster-rcnn/run-id"
URI = "minio://mlpipeline/v2/artifacts/faster-rcnn/run-id"
TUNE_YAML = COMPILED / PIPELINES["faster-rcnn-tune"]
releases = pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)


@releases
def test_what_is_kept_is_what_the_release_makes_of_the_checked_in_yaml(release):
    """`make conformance` writes it anew; what changed is to be seen in the difference."""
    assert (FOLDER / f"{release.name}.json").read_text() == record(release)


@releases
def test_all_steps_run_when_the_gates_open(release):
    assert sorted(step.name for step in walked(release).steps) == sorted(STEPS)


@releases
def test_a_closed_gate_ends_the_run_before_it_and_the_exit_handler_is_told_no_end(release, monkeypatch):
    from tests.conformance import record as module

    def closed(step):
        return {**module_outputs(step), **({"passed": False} if step.name == "evaluate" else {})}

    module_outputs = module.outputs
    monkeypatch.setattr(module, "outputs", closed)
    backend = walked(release)
    assert [step.name for step in backend.steps] == ["convert", "train", "evaluate", "notify"]
    notify = parsed(backend.steps[-1])
    assert json.loads(notify.status)["state"] == "RUNNING"
    from components.notify.main import message

    assert "RUNNING" not in json.dumps(message(notify.status))


@releases
def test_the_pipeline_with_a_search_trains_with_what_was_found(release):
    backend = walked(release, TUNE_YAML, checkpoints="s3://runs/kitti", trials=7, early_stopping=False)
    assert sorted(step.name for step in backend.steps) == sorted([*STEPS, "tune"])
    args = {step.name: parsed(step) for step in backend.steps}
    tuned = args["tune"]
    assert (tuned.spec, tuned.trials, tuned.parallel, tuned.early_stopping) == (SPEC, 7, 2, "false")
    assert tuned.records_uri.endswith("/convert/salt/records") and tuned.checkpoints == "s3://runs/kitti"
    for name in ("train", "evaluate", "retrain", "evaluate retrained", "export"):
        assert args[name].spec == BEST_SPEC, name


@releases
@pytest.mark.parametrize("path", [YAML, TUNE_YAML], ids=["faster-rcnn", "faster-rcnn-tune"])
def test_a_run_that_is_given_data_only_leaves_the_spec_to_the_conversion(release, path, monkeypatch):
    from tests.conformance import record as module

    needed = {"data": "s3://data/kitti", **({"checkpoints": "s3://runs"} if path == TUNE_YAML else {})}
    monkeypatch.setattr(module, "PARAMETERS", needed)
    args = {step.name: parsed(step) for step in walked(release, path).steps}
    first = ["train", "evaluate", "retrain", "evaluate retrained", "export"]
    for name in ["tune"] if path == TUNE_YAML else first:
        assert (args[name].spec, args[name].records_uri) == ("", f"{URI}/convert/salt/records"), name


@releases
def test_every_argument_is_resolved_and_the_scripts_own_parsers_take_them(release):
    for step in walked(release).steps:
        words = step.words()
        assert [word for word in step.command if "{{" in word and word != "{{$}}"] == [], step.name
        assert [word for word in words if word.startswith('{"IfPresent"')] == [], step.name
        parsed(step)


@releases
def test_scripts_get_the_values_that_the_run_was_given(release):
    args = {step.name: parsed(step) for step in walked(release).steps}
    assert args["convert"].data == PARAMETERS["data"]
    assert args["convert"].records_kept_at == f"{URI}/convert/salt/records"
    for name in ("train", "retrain"):
        assert (args[name].spec, args[name].records, args[name].gpus) == (SPEC, None, 1)
        assert args[name].records_uri == f"{URI}/convert/salt/records"
    assert (args["train"].epochs, args["retrain"].epochs) == (3, 0)
    assert (args["train"].start_from, args["retrain"].start_from) == (
        None,
        Path(f"{ROOT}/prune/salt/pruned"),
    )
    assert args["retrain"].start_from_uri == f"{URI}/prune/salt/pruned"
    first, second = args["evaluate"], args["evaluate retrained"]
    assert (first.minimum_map, first.baseline_map, first.former) == (0.25, None, None)
    assert (second.minimum_map, second.baseline_map, second.tolerance) == (0.25, MEAN_AP, 0.00001)
    assert second.former == Path(f"{ROOT}/evaluate/salt/report")
    for name in ("evaluate", "evaluate retrained", "export"):
        assert (args[name].records, args[name].records_uri) == (None, f"{URI}/convert/salt/records")
    assert (args["prune"].granularity, args["prune"].minimum_filters, args["prune"].threshold) == (8, 16, 0.1)
    assert (args["compare"].mean_ap, args["compare"].published) == (MEAN_AP, "s3://models/kitti")
    assert args["publish"].report == Path(f"{ROOT}/evaluate-retrained/salt/report")
    assert args["notify"].webhook == PARAMETERS["webhook"]


@releases
def test_no_pod_gets_a_copy_of_the_records_which_the_launcher_makes_of_input_artifacts(release):
    inputs = {step.name: set(step.executor_input["inputs"]["artifacts"]) for step in walked(release).steps}
    assert "records" not in set.union(*inputs.values())
    assert inputs["evaluate retrained"] == {"model", "former"}


@releases
@pytest.mark.parametrize(("gpus", "limit"), [("0", "0"), ("1", "1")])
def test_pods_of_trainings_have_as_many_gpus_as_the_run_asks_for(release, gpus, limit):
    limits = {step.name: step.resources["limits"] for step in walked(release, step_gpus=gpus).steps}
    for name, each in limits.items():
        assert each.get("nvidia.com/gpu") == (limit if name in ("train", "retrain") else None), name
        assert each["memory"] and each["cpu"]


@releases
def test_executor_inputs_are_what_the_scripts_answer_to(release, tmp_path):
    """As Kubeflow gives it, and as 2.14 does, without the names of artifacts."""
    from frcnn.steps.kfp_output import write_executor_output

    for step in walked(release).steps:
        if step.name == "notify":
            continue
        given = json.loads(parsed(step).executor_input)
        for named in (True, False):
            given["outputs"]["outputFile"] = str(tmp_path / f"{step.task}-{named}.json")
            for each in given["outputs"].get("artifacts", {}).values():
                if not named:
                    del each["artifacts"][0]["name"]
            answer = json.loads(write_executor_output(json.dumps(given), {}).read_text())
            assert set(answer["artifacts"]) == set(given["outputs"].get("artifacts", {}))


@releases
def test_variables_come_from_the_secrets_that_docs_name(release):
    secrets = {
        each.get("secret", each.get("configMap"))
        for step in walked(release).steps
        for each in step.environment.values()
    }
    assert secrets == {"frcnn-model-key", "frcnn-s3", "frcnn-webhook", "frcnn-training"}


def parsed(step):
    """The step's arguments as its script reads them."""
    python, flag, module, *words = step.words()
    assert (python, flag) == ("python", "-m")
    return importlib.import_module(module).parser().parse_args(words)
