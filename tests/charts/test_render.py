"""Each value set renders, lints, and gives objects that Kubernetes takes; bad values are refused."""

import base64
import json

import kubernetes_validate
import pytest
import yaml
from helm_python.chart import lint
from helm_python.errors import HelmError

from tests.charts.conftest import CHART, VALUE_SETS, find, pods_of

LEAST = {"s3": {"endpoint": "http://minio:9000", "existingSecret": "keys"}}


@pytest.mark.parametrize("name", VALUE_SETS)
def test_lint_is_clean(name):
    values = yaml.safe_load((CHART / "ci" / name).read_text("utf-8"))
    report = lint(CHART, values, strict=True)
    assert report["errors"] == []
    assert [each for each in report["messages"] if each["severity"] > 1] == []


@pytest.mark.parametrize("version", ["1.25", "1.37"])
def test_objects_are_valid_for_kubernetes(objects, version):
    assert objects
    for each in objects:
        kubernetes_validate.validate(each, version, strict=True)


def test_objects_are_all_different_and_in_the_release_namespace(objects):
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))
    assert {each["metadata"]["namespace"] for each in objects} == {"team"}
    for each in objects:
        assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == "vision"


def test_pods_keep_to_podsecurity_restricted(objects):
    for _, template in pods_of(objects):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
        assert {key for volume in spec.get("volumes", []) for key in volume} - {"name"} <= allowed
        for container in spec.get("initContainers", []) + spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]) == {"requests", "limits"}


def test_images_have_a_fixed_tag(objects):
    for _, template in pods_of(objects):
        for container in template["spec"].get("initContainers", []) + template["spec"]["containers"]:
            tag = container["image"].rpartition(":")[2]
            assert tag not in ("", "latest", container["image"])


def test_selectors_find_the_pods(objects):
    for workload, template in pods_of(objects):
        labels = template["metadata"]["labels"].items()
        if workload["kind"] == "Deployment":
            assert workload["spec"]["selector"]["matchLabels"].items() <= labels
    templates = [template for _, template in pods_of(objects)]
    for each in objects:
        if each["kind"] == "Service":
            wanted = each["spec"]["selector"].items()
            found = [pod for pod in templates if wanted <= pod["metadata"]["labels"].items()]
            assert len(found) == 1
            ports = {port["name"] for c in found[0]["spec"]["containers"] for port in c.get("ports", [])}
            assert {port["targetPort"] for port in each["spec"]["ports"]} <= ports


def test_what_pods_refer_to_is_there(objects):
    """Config maps, claims, accounts; of secrets those that the chart makes, with their keys."""
    there = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    for _, template in pods_of(objects):
        spec = template["spec"]
        assert ("ServiceAccount", spec.get("serviceAccountName", "default")) in there or (
            "serviceAccountName" not in spec
        )
        for volume in spec["volumes"]:
            if "configMap" in volume:
                files = there["ConfigMap", volume["configMap"]["name"]]["data"]
                for container in spec["containers"]:
                    script = container["command"][-1]
                    assert not script.startswith("/scripts/") or script.removeprefix("/scripts/") in files
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in there
        for container in spec.get("initContainers", []) + spec["containers"]:
            for variable in container.get("env", []):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference and reference["name"] not in ("keys", "mlpipeline-minio-artifact"):
                    assert reference["key"] in there["Secret", reference["name"]]["data"]


def test_existing_secret_is_used_and_none_made(render):
    objects = render("kubeflow-values.yaml")
    assert [each for each in objects if each["kind"] == "Secret"] == []


def test_compiled_pipelines_find_what_they_refer_to_by_name(render):
    from components.train.distributed import pod_options
    from pipelines.resources import SECRETS, TRAINING_OPTIONS

    objects = render("multi-user-values.yaml")
    for name, keys in SECRETS.items():
        assert set(find(objects, "Secret", name)["data"]) == set(keys)
    name, keys = TRAINING_OPTIONS
    options = find(objects, "ConfigMap", name)["data"]
    assert set(options) == set(keys)
    assert pod_options(options["options"]).memory == "64Gi"


def test_pipelines_use_the_keys_and_the_address_of_the_charts_own_server(render):
    objects = render("own-s3-values.yaml")
    secret = find(objects, "Secret", "frcnn-s3")["data"]
    assert secret["secretkey"] == find(objects, "Secret", "vision-frcnn-s3")["data"]["secretkey"]
    assert base64.b64decode(secret["endpoint"]) == b"http://vision-frcnn-s3:8333"


def test_own_server_gets_random_keys(render):
    def secret():
        return find(render("own-s3-values.yaml"), "Secret", "vision-frcnn-s3")["data"]["secretkey"]

    first = secret()
    assert len(first) > 40
    assert first != secret()


def test_trainings_talk_among_themselves_to_dns_and_to_s3_only(render, job_labels):
    policy = find(render("own-s3-values.yaml"), "NetworkPolicy", "vision-frcnn-training")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= job_labels.items()
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"from": [{"podSelector": policy["podSelector"]}]}]
    own, dns, store = policy["egress"]
    assert own == {"to": [{"podSelector": policy["podSelector"]}]}
    assert {port["port"] for port in dns["ports"]} == {53}
    assert store["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "s3"
    assert [port["port"] for port in store["ports"]] == [8333]


@pytest.fixture
def job_labels():
    from components.mpijob.job import Resources, TrainingJob
    from components.mpijob.manifest import manifest

    job = TrainingJob("x", "team", "image:1", ("frcnn",), 1, Resources("1", "1Gi"))
    return manifest(job)["spec"]["mpiReplicaSpecs"]["Worker"]["template"]["metadata"]["labels"]


def test_notes_name_what_was_installed(chart):
    values = yaml.safe_load((CHART / "ci/own-s3-values.yaml").read_text("utf-8"))
    notes = chart.render(values, name="vision", namespace="team")["frcnn-pipelines/templates/NOTES.txt"]
    assert "http://vision-frcnn-s3:8333, bucket frcnn, keys in secret vision-frcnn-s3" in notes
    assert "port-forward svc/vision-frcnn-tensorboard 6006:80" in notes


BAD = {
    "unknown key": ({"s3": {"url": "http://x"}}, "url"),
    "unknown section": ({"tensorbord": {}}, "tensorbord"),
    "type": ({"tensorboard": {"interval": "often"}}, "interval"),
    "endpoint without scheme": ({"s3": {"endpoint": "minio:9000"}}, "endpoint"),
    "latest": ({"images": {"tag": "latest"}}, "tag"),
    "pull policy": ({"images": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
    "bucket": ({"s3": {"bucket": "My_Bucket"}}, "bucket"),
    "cron of five fields": ({"publish": {"recurring": {"cron": "0 2 * * 0"}}}, "cron"),
    "subject": ({"rbac": {"subjects": [{"kind": "Robot", "name": "x"}]}}, "subjects"),
    "account": ({"serviceAccounts": {"training": "No Such"}}, "training"),
    "quote in a key": ({"s3": {"secretKey": 'a"b'}}, "secretKey"),
    "port": ({"networkPolicy": {"s3Ports": [70000]}}, "s3Ports"),
    "no endpoint": ({"s3": {"endpoint": ""}}, "s3.endpoint is needed"),
    "no keys": ({"s3": {"existingSecret": ""}}, "s3.existingSecret, or s3.accessKey, is needed"),
    "no pipeline": ({"publish": {"enabled": True}}, "publish.pipeline is needed"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_refused_by_name(case, chart, render):
    render(LEAST)
    change, expected = BAD[case]
    values = {**LEAST, **change}
    if "s3" in change:
        values["s3"] = {**LEAST["s3"], **change["s3"]}
    with pytest.raises(HelmError, match=expected):
        render(values)


def leaves(values, path=""):
    for key, value in values.items():
        name = f"{path}{key}"
        if isinstance(value, dict) and value and name not in OPAQUE:
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


OPAQUE = ("s3Server.resources", "tensorboard.resources")


def test_every_value_has_a_schema_a_comment_and_a_line_in_the_readme(chart):
    text = (CHART / "values.yaml").read_text("utf-8")
    readme = (CHART / "README.md").read_text("utf-8")
    lines = text.splitlines()
    for name, value in leaves(chart.values):
        schema = chart.schema
        for key in name.split("."):
            schema = schema["properties"][key]
        default = "see values.yaml" if name in OPAQUE else f"`{json.dumps(value)}`"
        assert f"| `{name}` | {default} |" in readme
        key = name.rpartition(".")[2]
        spots = [i for i, line in enumerate(lines) if line.strip().startswith(f"{key}:")]
        assert any(lines[i - 1].strip().startswith("# -- ") for i in spots), name
