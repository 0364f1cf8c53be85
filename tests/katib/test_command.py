"""`frcnn tune --katib`, found by its entry point, and the step `tune` of the pipeline."""

import importlib
import json
import tomllib

import pytest
import yaml

from components.tune.main import main as step
from frcnn.cli.main import main
from tests.support import katib
from tests.support.kubernetes_double import NAMESPACE, KubernetesDouble

PLACES = ("--records", "s3://data/records", "--checkpoints", "s3://runs/tune")


@pytest.fixture
def spec_file(tmp_path, monkeypatch):
    """A spec, in a place where the entry points of the distribution `frcnn-pipelines` are found."""
    points = tomllib.loads((katib.ROOT / "pipelines/pyproject.toml").read_text())["project"]["entry-points"]
    info = tmp_path / "site/tuners_under_test-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tuners-under-test\nVersion: 1\n")
    lines = [f"{name} = {value}" for name, value in points["frcnn.tuners"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[frcnn.tuners]", *lines]) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    importlib.invalidate_caches()
    path = tmp_path / "spec.txt"
    path.write_text(katib.spec().to_text())
    return path


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A cluster whose Katib ends each search well, and a kubeconfig of it."""
    with KubernetesDouble(katib.succeeds) as double:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": {"server": double.url}}],
            "users": [{"name": "me", "user": {"token": "t"}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me", "namespace": NAMESPACE}}],
            "current-context": "it",
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
        monkeypatch.setattr(
            "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig")
        )
        yield double


def test_the_experiment_is_written_and_not_submitted(spec_file, tmp_path, capsys):
    output = tmp_path / "experiment.yaml"
    words = [
        "tune",
        "-e",
        str(spec_file),
        "--katib",
        *PLACES,
        "-o",
        str(output),
        "--trials",
        "5",
        "--jobs",
        "2",
    ]
    more = ["--epochs", "3", "--set", "model_config.roi_mini_batch=32", "--name", "mine", "--use_amp"]
    assert main([*words, *more]) == 0
    found = yaml.safe_load(output.read_text())
    assert (found["kind"], found["metadata"]["name"]) == ("Experiment", "mine")
    assert (found["spec"]["maxTrialCount"], found["spec"]["parallelTrialCount"]) == (5, 2)
    command = found["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0][
        "command"
    ]
    assert "roi_mini_batch: 32" in command[2] and "--epochs 3" in command[2]
    assert "--precision mixed" in command[2]
    (rois,) = [each for each in found["spec"]["parameters"] if each["name"] == "roi-mini-batch"]
    assert rois["feasibleSpace"]["list"] == ["16", "32", "64"]


def test_the_experiment_is_submitted_and_the_best_spec_written(spec_file, cluster, tmp_path, capsys):
    words = [
        "tune",
        "-e",
        str(spec_file),
        "--katib",
        *PLACES,
        "-r",
        str(tmp_path / "out"),
        "--name",
        "tune-bccd",
    ]
    assert main(words) == 0
    created = cluster.find("experiments", "tune-bccd")
    assert created["metadata"]["namespace"] == NAMESPACE
    assert "best: trial tune-bccd-1a2b3c4d, validation mAP 0.4321" in capsys.readouterr().out
    found = katib.again((tmp_path / "out/best_spec.txt").read_text())
    scale = (
        found.model_config.anchor_box_config.scale[0] / katib.spec().model_config.anchor_box_config.scale[0]
    )
    assert scale == pytest.approx((0.7 + 1.4) / 2)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--hours", "2"), "Katib has no time limit"),
        (("--objectives", "mAP", "flops"), "expected mAP only"),
        (("--pruner", "hyperband"), "expected asha for the median rule, or none"),
        (("--gpus", "2"), "expected --gpus_per_worker, the number of GPUs of each pod"),
        (("--strict",), "do not apply with --katib"),
        (("--epochs", "0"), "--epochs 0: expected 1 or more"),
        (("--namespace", "a/b"), "namespace a/b: expected at most 63 lower-case letters"),
        (("--pods", "'"), "No closing quotation; expected flags such as --cpu 8"),
        (("--pods", "--cpu x"), "'x': expected a quantity such as 4, 500m or 16Gi"),
        (("--records", "/data"), "records /data: expected s3://bucket/prefix"),
    ],
)
def test_flags_that_katib_has_nothing_for_are_refused(spec_file, tmp_path, capsys, flags, message):
    output = tmp_path / "experiment.yaml"
    assert main(["tune", "-e", str(spec_file), "--katib", *PLACES, *flags, "-o", str(output)]) == 2
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_the_experiment_does_not_replace_a_folder(spec_file, tmp_path, capsys):
    assert main(["tune", "-e", str(spec_file), "--katib", *PLACES, "-o", str(tmp_path)]) == 2
    assert "is a folder; expected a file for the Experiment" in capsys.readouterr().err


def test_flags_of_the_cluster_are_not_ignored_without_it(spec_file, tmp_path, capsys):
    assert main(["tune", "-e", str(spec_file), "-r", str(tmp_path / "out"), "--workers", "2"]) == 2
    assert "--workers needs --katib" in capsys.readouterr().err


def test_without_a_place_the_command_says_what_is_missing(spec_file, capsys):
    assert main(["tune", "-e", str(spec_file)]) == 2
    assert "-r DIR is missing" in capsys.readouterr().err


def test_gpus_that_no_trial_would_use_are_refused(spec_file, tmp_path, capsys):
    words = ["tune", "-e", str(spec_file), "-r", str(tmp_path / "out"), "--gpus", "4", "--jobs", "2"]
    assert main(words) == 2
    assert (
        "--gpus 4 with --jobs 2: a trial uses one GPU; expected --jobs 4 or more" in capsys.readouterr().err
    )


def test_the_step_passes_the_best_spec_on(cluster, tmp_path):
    output, metrics = tmp_path / "best_spec", tmp_path / "metrics"
    words = ["--spec", katib.spec().to_text(), "--records-uri", "minio://data/records?x=1", "--trials", "6"]
    words += ["--checkpoints", "s3://runs/tune", "--image", "frcnn-train:1", "--best-spec", str(output)]
    assert step([*words, "--metrics", str(metrics)]) == 0
    found = katib.again(output.read_text())
    assert found != katib.spec()
    assert found.training_config.num_epochs == katib.spec().training_config.num_epochs
    assert found.dataset_config == katib.spec().dataset_config
    assert json.loads(metrics.read_text())["mAP"] == 0.4321
    (name,) = [name for kind, name in cluster.objects if kind == "experiments"]
    trial = cluster.find("experiments", name)["spec"]["trialTemplate"]["trialSpec"]
    command = trial["spec"]["template"]["spec"]["containers"][0]["command"][2]
    assert "--records-uri s3://data/records " in command


def test_the_step_without_trials_passes_the_spec_on_as_it_is(tmp_path):
    output = tmp_path / "best_spec"
    text = katib.spec().to_text()
    words = ["--spec", text, "--records-uri", "s3://data/records", "--trials", "0"]
    assert step([*words, "--checkpoints", "s3://runs/tune", "--best-spec", str(output)]) == 0
    assert output.read_text() == text


def test_the_step_refuses_places_that_trials_cannot_reach(tmp_path, capsys):
    output = tmp_path / "best_spec"
    words = ["--spec", katib.spec().to_text(), "--records-uri", "/data", "--checkpoints", "s3://runs/tune"]
    assert step([*words, "--best-spec", str(output)]) != 0
    assert "records /data: expected s3://bucket/prefix" in capsys.readouterr().err
    assert not output.exists()
