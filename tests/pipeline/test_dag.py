"""The real DAG with stand-ins for the steps' scripts: each gets the right inputs, and both gates decide.

The local runner passes over a condition it cannot resolve and reports success, so that every test looks
at the artifacts.
"""

import importlib
import json
from pathlib import Path

import pytest
from kfp.local.status import Status

from frcnn.errors import RunError
from frcnn.files import write_text
from frcnn.steps.kfp_output import write_executor_output
from pipelines.faster_rcnn import faster_rcnn
from pipelines.local.processes import ProcessTaskHandler, run_pipeline

FIRST = ["convert", "train", "evaluate"]
SECOND = ["prune", "retrain", "evaluate retrained"]
ALL = [*FIRST, *SECOND, "export", "compare", "notify"]
# They run whatever was done before: what is published changes by itself.
NEVER_REUSED = 2


class StandIns:
    """Answers for the scripts: reads flags with their own parsers, writes a line into each artifact."""

    def __init__(self, mean_aps):
        self.mean_aps = list(mean_aps)
        self.calls = []
        self.failing = None

    def __call__(self, handler):
        ProcessTaskHandler.started += 1
        module, *words = handler.full_command[2:]
        step = module.split(".")[1]
        args = importlib.import_module(module).parser().parse_args(words)
        self.calls.append((step, args))
        if step == self.failing:
            return Status.FAILURE
        if step == "notify":
            return Status.SUCCESS
        if step in ("compare", "publish"):
            importlib.import_module(module).step(args)  # the real ones, which are quick
            write_text(args.metrics, "{}")
        else:
            self.write_artifacts(step, args)
        write_executor_output(args.executor_input, {})
        return Status.SUCCESS

    def write_artifacts(self, step, args):
        if step == "convert":
            write_text(args.records_uri, args.records_kept_at)
        outputs = json.loads(args.executor_input)["outputs"]
        for name, each in outputs.get("artifacts", {}).items():
            path = Path(each["artifacts"][0]["uri"])
            path.parent.mkdir(parents=True, exist_ok=True)
            if name in ("metrics", "page", "confusion"):
                assert path == getattr(args, name)
                path.write_text("{}")
            else:
                path.mkdir()
                (path / f"by_{step}").write_text(f"{step} {len(self.calls)}")
        if step == "evaluate":
            mean_ap = self.mean_aps.pop(0)
            (args.report / "metrics.json").write_text(json.dumps({"mAP": mean_ap}))
            baseline = args.minimum_map if args.baseline_map is None else args.baseline_map - args.tolerance
            args.mean_ap.write_text(str(mean_ap))
            args.passed.write_text("true" if mean_ap >= max(args.minimum_map, baseline) else "false")


@pytest.fixture
def stand_ins(monkeypatch):
    made = StandIns([0.5, 0.5])
    monkeypatch.setattr(ProcessTaskHandler, "run", lambda handler: made(handler))
    return made


def run(tmp_path, **arguments):
    steps = []
    given = {"data": "/data", "spec": "spec {", "minimum_map": 0.4, "tolerance": 0.02, **arguments}
    run_pipeline(faster_rcnn, given, tmp_path / "artifacts", tmp_path / "cache", steps)
    return steps


def artifact(steps, step, name):
    (found,) = [each.artifacts[name] for each in steps if each.name == step]
    return Path(found.path)


def test_all_steps_run_in_order_and_every_artifact_is_there(tmp_path, stand_ins):
    steps = run(tmp_path)
    assert [step.name for step in steps] == ALL
    places = [
        artifact(steps, *each)
        for each in (
            ("convert", "records"),
            ("train", "model"),
            ("evaluate", "report"),
            ("prune", "pruned"),
            ("retrain", "model"),
            ("evaluate retrained", "report"),
            ("export", "exported"),
        )
    ]
    assert [next(place.glob("by_*")).read_text() for place in places] == [
        "convert 1",
        "train 2",
        "evaluate 3",
        "prune 4",
        "train 5",
        "evaluate 6",
        "export 7",
    ]


def test_each_step_gets_what_it_works_on(tmp_path, stand_ins):
    steps = run(
        tmp_path,
        epochs=3,
        retrain_epochs=5,
        train_precision="mixed",
        prune_threshold=0.25,
        export_precision="fp16",
        apply_exif=True,
        data_version="v1",
        checkpoints="c",
        num_workers=2,
        min_workers=1,
        gpus_per_worker=4,
        step_gpus="1",
        target_params=0.4,
        webhook="http://localhost:1/hook",
    )
    convert, train, evaluate, prune, retrain, again, export, compare, notify = [
        args for _, args in stand_ins.calls
    ]
    records = artifact(steps, "convert", "records")
    assert convert.data == "/data"
    assert (convert.data_version, convert.apply_exif) == ("v1", "true")
    assert (train.records_uri, train.epochs, train.start_from) == (str(records), 3, None)
    assert (train.checkpoints, retrain.records_uri) == ("c", str(records))
    assert evaluate.model == artifact(steps, "train", "model")
    assert (evaluate.minimum_map, evaluate.baseline_map) == (0.4, None)
    assert (prune.model, prune.threshold) == (artifact(steps, "train", "model"), 0.25)
    assert (retrain.start_from, retrain.epochs) == (artifact(steps, "prune", "pruned"), 5)
    assert (again.model, again.records_uri) == (artifact(steps, "retrain", "model"), str(records))
    assert (again.minimum_map, again.baseline_map, again.tolerance) == (0.4, 0.5, 0.02)
    assert (export.model, export.precision) == (artifact(steps, "retrain", "model"), "fp16")
    assert (evaluate.former, again.former) == (None, artifact(steps, "evaluate", "report"))
    workers = [
        (each.num_workers, each.min_workers, each.gpus_per_worker, each.gpus) for each in (train, retrain)
    ]
    assert workers == [(2, 1, 4, 1)] * 2
    assert [each.precision for each in (train, retrain)] == ["mixed"] * 2
    assert prune.target_params == 0.4
    assert (export.records_uri, compare.mean_ap) == (str(records), 0.5)
    assert notify.webhook == "http://localhost:1/hook"
    assert json.loads(notify.status)["state"] == "SUCCEEDED"
    assert {args.spec for _, args in stand_ins.calls if hasattr(args, "spec")} == {"spec {"}


def test_a_trained_model_below_the_minimum_is_not_pruned(tmp_path, stand_ins):
    stand_ins.mean_aps = [0.39]
    assert [step.name for step in run(tmp_path)] == [*FIRST, "notify"]


def test_a_retrained_model_that_lost_too_much_is_not_exported(tmp_path, stand_ins):
    stand_ins.mean_aps = [0.5, 0.47]
    assert [step.name for step in run(tmp_path)] == [*FIRST, *SECOND, "notify"]


def test_a_retrained_model_within_the_tolerance_is_exported(tmp_path, stand_ins):
    stand_ins.mean_aps = [0.5, 0.485]
    assert [step.name for step in run(tmp_path)] == ALL


def test_a_failed_step_is_named_and_the_next_run_goes_on_from_there(tmp_path, stand_ins):
    stand_ins.failing = "prune"
    with pytest.raises(RunError, match="step prune failed"):
        run(tmp_path)
    assert [step for step, _ in stand_ins.calls] == ["convert", "train", "evaluate", "prune", "notify"]
    assert json.loads(stand_ins.calls[-1][1].status)["state"] == "FAILED"
    stand_ins.failing = None
    steps = run(tmp_path)
    assert [step.name for step in steps] == ALL
    assert [step.state for step in steps] == ["reused"] * 3 + ["done"] * (4 + NEVER_REUSED)


def test_other_parameters_run_only_the_steps_that_depend_on_them(tmp_path, stand_ins):
    run(tmp_path)
    stand_ins.mean_aps = [0.5]
    steps = run(tmp_path, prune_threshold=0.7)
    assert [step.state for step in steps] == ["reused"] * 3 + ["done"] * (4 + NEVER_REUSED)


def test_steps_whose_artifacts_are_gone_run_again(tmp_path, stand_ins):
    steps = run(tmp_path)
    place = artifact(steps, "export", "exported")
    place.rename(place.with_name("gone"))
    assert [step.state for step in run(tmp_path)] == ["reused"] * 6 + ["done"] * (1 + NEVER_REUSED)


def test_a_model_is_published_where_there_is_none_with_its_report(tmp_path, stand_ins):
    steps = run(tmp_path, publish_to=str(tmp_path / "in_use"))
    assert [step.name for step in steps] == [*ALL[:-1], "publish", "notify"]
    assert {path.name for path in (tmp_path / "in_use").iterdir()} == {
        "by_export",
        "by_evaluate",
        "metrics.json",
    }


def test_a_published_model_is_replaced_by_one_as_good_and_not_by_a_worse_one(tmp_path, stand_ins):
    place = tmp_path / "in_use"
    stand_ins.mean_aps = [0.5, 0.5]
    run(tmp_path, publish_to=str(place))
    first = place.resolve()
    stand_ins.mean_aps = [0.5, 0.5]
    run(tmp_path, publish_to=str(place), data_version="2")
    second = place.resolve()
    assert second != first
    stand_ins.mean_aps = [0.49, 0.49]
    steps = run(tmp_path, publish_to=str(place), data_version="3")
    assert "publish" not in [step.name for step in steps]
    assert place.resolve() == second
    stand_ins.mean_aps = [0.49, 0.49]
    run(tmp_path, publish_to=str(place), data_version="4", publish_tolerance=0.02)
    assert place.resolve() != second
