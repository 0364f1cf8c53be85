"""The Experiment: what it says, and what a trial's shell makes of its command."""

import json
import os
import shlex
import subprocess
import sys

import pytest

from components.katib.build import manifest_of
from components.katib.experiment import METRIC, experiment
from components.katib.parameters import choices_of, names_of, parameters_of
from components.train.main import parser as train_flags
from components.train.worker import parser as worker_flags
from frcnn.errors import UsageError
from frcnn.steps.specs import experiment_given, with_choices
from frcnn.tuning.space import Searched, Space
from frcnn.tuning.trial_spec import best_spec
from frcnn.tuning.tuned_spec import TunedSpec
from tests.support import katib

BLIND = TunedSpec(katib.spec().updated({"dataset_config.validation_data_source": None}))


def filled(manifest):
    """The trial's template with values in place of Katib's placeholders, as `applyParameters` fills it."""
    template = manifest["spec"]["trialTemplate"]
    text = json.dumps(template["trialSpec"])
    values = {**katib.assignments(manifest), "${trialSpec.Name}": "tune-bccd-xyz"}
    for each in template["trialParameters"]:
        text = text.replace(f"${{trialParameters.{each['name']}}}", values[each["reference"]])
    return json.loads(text)


def expanded(words):
    """What Kubernetes does to a container's command: `$$` becomes `$`, unknown `$(NAME)` stays."""
    return [word.replace("$$", "$") for word in words]


def run_in_shell(tmp_path, command, program):
    """Runs the command with a program that writes its arguments down in the place of python or mpirun."""
    seen = tmp_path / "seen.json"
    tool = tmp_path / "bin" / program
    tool.parent.mkdir()
    tool.write_text(
        f"#!{sys.executable}\nimport json, sys\njson.dump(sys.argv[1:], open({str(seen)!r}, 'w'))\n", "utf-8"
    )
    tool.chmod(0o755)
    # As Katib's webhook joins the words of `sh -c` with its redirection and its marks.
    script = f"{command[2]} 1>{tmp_path}/metrics.log 2>&1 && echo completed > {tmp_path}/$$.pid"
    path = f"{tool.parent}:/usr/bin:/bin"
    environment = {"PATH": path, "FRCNN_KEY": "a key"}
    subprocess.run([*command[:2], script], env=environment, check=True)
    assert [each.read_text().strip() for each in tmp_path.glob("*.pid")] == ["completed"]
    return json.loads(seen.read_text("utf-8"))


def test_the_experiment_says_what_was_wanted():
    spec = katib.manifest()["spec"]
    assert spec["objective"]["objectiveMetricName"] == METRIC and spec["objective"]["type"] == "maximize"
    assert (spec["maxTrialCount"], spec["parallelTrialCount"], spec["maxFailedTrialCount"]) == (12, 3, 3)
    assert spec["earlyStopping"]["algorithmName"] == "medianstop"
    assert {"name": "start_step", "value": "2"} in spec["earlyStopping"]["algorithmSettings"]
    assert "earlyStopping" not in katib.manifest(early_stopping=False)["spec"]
    assert katib.manifest(trials=2)["spec"]["parallelTrialCount"] == 2
    kinds = {each["name"]: each["parameterType"] for each in spec["parameters"]}
    assert kinds["base-lr"] == "double" and kinds["arch"] == "categorical"
    (rate,) = [each for each in spec["parameters"] if each["name"] == "base-lr"]
    assert rate["feasibleSpace"] == {"min": "0.25", "max": "4", "distribution": "logUniform"}


def test_the_trial_trains_with_what_katib_chose(tmp_path):
    manifest = katib.manifest()
    container = filled(manifest)["spec"]["template"]["spec"]["containers"][0]
    words = run_in_shell(tmp_path, expanded(container["command"]), "python")
    assert words[:2] == ["-m", "components.train.main"]
    args = train_flags().parse_args(words[2:])
    assert (args.records_uri, args.checkpoints) == ("s3://data/records", "s3://runs/tune/tune-bccd-xyz")
    assert (args.epochs, args.gpus, args.report_metric) == (10, 1, True)
    assert args.spec == katib.search().spec_place
    assert experiment_given(args.spec) == katib.spec()
    trained = with_choices(katib.spec(), args.space, args.choice)
    space = katib.search().space
    listed = [{"name": name, "value": value} for name, value in katib.assignments(manifest).items()]
    expected = best_spec(katib.tuned(), space, choices_of(listed, space)).experiment
    assert trained.model_config == expected.model_config
    assert trained.augmentation_config == expected.augmentation_config
    assert trained.training_config.learning_rate == expected.training_config.learning_rate
    assert trained.training_config.checkpoint_interval == 1
    assert trained.evaluation_config.validation_period_during_training == 1


def test_a_trial_of_several_pods_is_an_mpijob_whose_launcher_passes_the_same_on(tmp_path):
    manifest = katib.manifest(2)
    template = manifest["spec"]["trialTemplate"]
    assert template["primaryContainerName"] == "launcher"
    assert template["primaryPodLabels"] == {"training.kubeflow.org/job-role": "launcher"}
    job = filled(manifest)
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v2beta1", "MPIJob")
    replicas = job["spec"]["mpiReplicaSpecs"]
    assert replicas["Worker"]["replicas"] == 2
    command = replicas["Launcher"]["template"]["spec"]["containers"][0]["command"]
    words = run_in_shell(tmp_path, expanded(command), "mpirun")
    assert words[:4] == ["-x", "FRCNN_KEY", "-np", "2"], (
        "the key that is set is passed on, roles that are not are not"
    )
    assert "--tag-output" not in words
    at = words.index("components.train.worker")
    assert words[at - 2 : at] == ["python", "-m"]
    args = worker_flags().parse_args(words[at + 1 :])
    assert (args.records, args.checkpoints) == ("s3://data/records", "s3://runs/tune/tune-bccd-xyz")
    assert args.spec == katib.search().spec_place and args.report_metric
    assert len(args.choice) == len(katib.search().space.fields)


def test_equal_searches_are_equal_and_an_owner_changes_no_setting():
    assert katib.manifest() == katib.manifest()
    owned = katib.manifest(owner="step")
    assert owned["metadata"]["ownerReferences"][0]["name"] == "step"
    assert owned["metadata"]["annotations"] == katib.manifest()["metadata"]["annotations"]
    assert katib.manifest(trials=13)["metadata"]["annotations"] != katib.manifest()["metadata"]["annotations"]


def test_fields_that_end_alike_get_names_of_their_own():
    fields = ("a.b.scale", "a.c.scale", 'm["x y"].rate[0]')
    names = names_of(Space(tuple(Searched(each, values=("1", "2")) for each in fields)))
    assert list(names.values()) == ["scale", "scale-2", "rate-0"]


@pytest.mark.parametrize("value", ["it's", 'say "a"', "a\\b", "a\nb", "$HOME"])
def test_values_that_katibs_templates_would_break_are_refused(value):
    space = Space((Searched("model_config.arch", values=(value, "b")),))
    with pytest.raises(UsageError, match=r"model_config\.arch: the value (?s:.*) contains one of"):
        parameters_of(space)


def test_assignments_of_another_search_are_refused():
    space = katib.search().space
    with pytest.raises(UsageError, match="it is another search"):
        choices_of([{"name": "base-lr", "value": "1"}], space)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"records": "/data/records"}, r"records /data/records: expected s3://bucket/prefix"),
        ({"checkpoints": ""}, r"checkpoints \(no URI\): expected s3://bucket/prefix"),
        ({"checkpoints": "s3://data/records/"}, "one contains the other; expected two places"),
        ({"checkpoints": "s3://data"}, "one contains the other; expected two places"),
        ({"image": "two words"}, "image 'two words': expected the name of an image"),
        ({"seed": -1}, "seed -1: expected 0 to 4294967295"),
        ({"spec": BLIND}, "names no validation set, so trials cannot be compared"),
        ({"trials": 0}, "trials 0: expected 1 or more"),
        ({"parallel": 0}, "jobs 0: expected 1 or more"),
        ({"name": "Upper"}, "name Upper: expected at most 40 lower-case letters"),
        ({"name": "a" * 41}, "expected at most 40"),
        ({"options": "--cpus 4"}, "unrecognized arguments: --cpus 4"),
    ],
)
def test_wrong_settings_are_named_before_anything_is_submitted(change, message):
    with pytest.raises(UsageError, match=message):
        manifest_of(katib.wanted(**change), "team")


def test_a_name_follows_from_the_settings(monkeypatch):
    first, again = (manifest_of(katib.wanted(), "team")["metadata"]["name"] for _ in range(2))
    other = manifest_of(katib.wanted(trials=5), "team")["metadata"]["name"]
    assert first == again != other and first.startswith("frcnn-tune-")
    monkeypatch.setenv("S3_PATH_STYLE", "1")
    container = manifest_of(katib.wanted(), "team")["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]
    assert {"name": "S3_PATH_STYLE", "value": "1"} in container["spec"]["containers"][0]["env"]


def test_no_key_is_in_the_manifest(monkeypatch):
    sealed = TunedSpec(katib.again(katib.spec().to_text() + 'enc_key: "a secret of mine"\n'))
    with pytest.raises(UsageError, match="frcnn-model-key"):
        manifest_of(katib.wanted(spec=sealed), "team")
    monkeypatch.setenv("FRCNN_KEY", "another secret")
    text = json.dumps(manifest_of(katib.wanted(spec=sealed), "team"))
    assert "secret of mine" not in text and "another secret" not in text


def test_flags_of_a_trial_are_none_of_an_ordinary_training():
    args = train_flags().parse_args(["--model", "m"])
    assert not args.report_metric
    assert with_choices(katib.spec(), args.space, args.choice) is katib.spec()


def test_the_command_is_one_script_for_a_shell():
    command = experiment(katib.search())["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
    (container,) = command["containers"]
    assert container["command"][:2] == ["sh", "-c"] and "args" not in container
    assert shlex.split(container["command"][2])[:3] == ["python", "-m", "components.train.main"]
    assert os.linesep in container["command"][2]
