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
    elsewhere = [each for each in objects if each["metadata"]["namespace"] != "team"]
    # Kubeflow asks for rights in the pipeline's namespace, whatever the release's is.
    assert {each["metadata"]["name"] for each in elsewhere} <= {"vision-frcnn-publish"}
    assert {each["kind"] for each in elsewhere} <= {"Role", "RoleBinding"}
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


def test_existing_secret_is_used_and_steps_get_the_server_all_the_same(render):
    """Its keys are copied where a cluster can be looked at: see tests/kube."""
    (secret,) = [each for each in render("kubeflow-values.yaml") if each["kind"] == "Secret"]
    assert secret["metadata"]["name"] == "frcnn-s3"
    assert decoded(secret) == {"endpoint": "http://seaweedfs.kubeflow:9000", "region": "us-east-1"}


def test_a_secret_that_steps_can_use_as_it_is_is_left_alone(render):
    objects = render({"s3": {"endpoint": "http://minio:9000", "existingSecret": "frcnn-s3"}})
    assert [each for each in objects if each["kind"] == "Secret"] == []


def decoded(secret):
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def test_line_breaks_at_the_end_of_values_from_files_are_dropped(render):
    """`--set-file`, with files from an editor, of Unix or Windows."""
    s3 = {"endpoint": "http://m:9000\n", "accessKey": "AK\n", "secretKey": "SK\r\n", "region": "eu-1\n"}
    objects = render({"s3": s3, "modelKey": {"value": "key\n"}, "tensorboard": {"enabled": True}})
    known = {"accesskey": "AK", "secretkey": "SK"}
    assert decoded(find(objects, "Secret", "vision-frcnn-s3")) == known
    more = {"endpoint": "http://m:9000", "region": "eu-1"}
    assert decoded(find(objects, "Secret", "frcnn-s3")) == {**known, **more}
    assert decoded(find(objects, "Secret", "frcnn-model-key")) == {"key": "key"}


def test_a_role_stands_in_for_keys(render):
    s3 = {"endpoint": "https://s3.eu-1.amazonaws.com", "region": "eu-1"}
    accounts = {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/frcnn"}}
    objects = render({"s3": s3, "serviceAccounts": accounts, "tensorboard": {"enabled": True}})
    (secret,) = [each for each in objects if each["kind"] == "Secret"]
    assert decoded(secret) == {"endpoint": s3["endpoint"], "region": "eu-1"}
    for _, template in pods_of(objects):
        assert "secretKeyRef" not in str(template)


STORE = {"s3Server": {"enabled": True}, "s3": {"accessKey": "a", "secretKey": "one"}}
READERS = ("bucket", "s3", "tensorboard")


def test_pods_that_read_keys_when_they_start_are_replaced_when_keys_change(render):
    def pods(secret):
        values = {**STORE, "s3": {"accessKey": "a", "secretKey": secret}, "tensorboard": {"enabled": True}}
        return {
            template["metadata"]["labels"]["app.kubernetes.io/component"]: template
            for _, template in pods_of(render(values))
        }

    one, again, two = pods("hush-1"), pods("hush-1"), pods("hush-2")
    assert set(one) == set(READERS)
    assert one == again
    assert [name for name in READERS if one[name] == two[name]] == []
    assert "hush" not in str(one)


def job_names(chart, values, revision=1):
    files = chart.render(values, name="vision", namespace="team", revision=revision)
    texts = [text for path, text in files.items() if path.endswith("-job.yaml")]
    return {each["metadata"]["name"] for text in texts for each in yaml.safe_load_all(text) if each}


def test_jobs_get_another_name_with_other_content_though_the_revision_stays(chart):
    """Jobs cannot be changed, and Argo CD renders each time as revision 1."""
    publish = {"enabled": True, "pipeline": "pipelineInfo: {name: a}"}
    values = {**STORE, "publish": publish}
    names = job_names(chart, values)
    assert names == job_names(chart, values)
    other = {**values, "publish": {**publish, "pipeline": "pipelineInfo: {name: b}"}}
    assert len(names & job_names(chart, other)) == 1
    assert not names & job_names(chart, {**values, "images": {"tag": "9"}})
    # With Helm, an upgrade runs them again whether or not anything changed.
    assert not names & job_names(chart, values, revision=2)


def test_argo_cd_treats_jobs_as_hooks(objects):
    for each in objects:
        if each["kind"] == "Job":
            annotations = each["metadata"]["annotations"]
            assert annotations["argocd.argoproj.io/hook-delete-policy"] == "BeforeHookCreation"


def test_where_the_cluster_cannot_be_looked_at_a_random_key_is_refused(render_blind):
    from helm_python.errors import HelmError

    with pytest.raises(HelmError, match=r"s3.secretKey is needed, because this chart is rendered without"):
        render_blind({"s3Server": {"enabled": True}})
    given = {"s3Server": {"enabled": True}, "s3": {"secretKey": "given"}}
    first, second = render_blind(given), render_blind(given)
    assert first == second
    assert decoded(find(first, "Secret", "frcnn-s3"))["secretkey"] == "given"


def test_where_the_cluster_cannot_be_looked_at_the_steps_own_secret_has_to_be_named(render_blind):
    from helm_python.errors import HelmError

    endpoint = {"endpoint": "http://seaweedfs.kubeflow:9000"}
    message = "keys of secret mlpipeline-minio-artifact cannot be copied, .* set s3.existingSecret=frcnn-s3"
    with pytest.raises(HelmError, match=message):
        render_blind({"s3": {**endpoint, "existingSecret": "mlpipeline-minio-artifact"}})
    objects = render_blind({"s3": {**endpoint, "existingSecret": "frcnn-s3"}})
    assert [each for each in objects if each["kind"] == "Secret"] == []
    for _, template in pods_of(objects):
        assert "'name': 'frcnn-s3'" in str(template)


def test_pull_secrets_are_on_every_account(render):
    objects = render("multi-user-values.yaml")
    accounts = [each for each in objects if each["kind"] == "ServiceAccount"]
    assert len(accounts) == 3
    for each in accounts:
        assert each["imagePullSecrets"] == [{"name": "registry"}]


def test_nodes_and_taints_are_those_of_all_the_charts_pods(render):
    toleration = {"key": "team", "operator": "Equal", "value": "vision", "effect": "NoSchedule"}
    place = {"nodeSelector": {"pool": "cpu"}, "tolerations": [toleration]}
    publish = {"enabled": True, "pipeline": "pipelineInfo: {name: a}"}
    objects = render({**STORE, "pods": place, "publish": publish, "tensorboard": {"enabled": True}})
    pods = pods_of(objects)
    assert len(pods) == 4
    for workload, template in pods:
        assert template["spec"]["nodeSelector"] == place["nodeSelector"], workload["metadata"]["name"]
        assert template["spec"]["tolerations"] == [toleration]
        kubernetes_validate.validate(workload, "1.37", strict=True)


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        ("20Gi", 214),
        ("100Gi", 1073),
        ("5Gi", 53),
        ("1Ti", 10995),
        ("10Ti", 30000),
        ("500M", 32),
        ("1.5G", 32),
    ],
)
def test_about_a_hundred_volume_files_fit_on_the_servers_disk(render, storage, expected):
    values = {**STORE, "s3Server": {"enabled": True, "storage": storage}}
    (server,) = find(render(values), "Deployment", "vision-frcnn-s3")["spec"]["template"]["spec"][
        "containers"
    ]
    assert f"-master.volumeSizeLimitMB={expected}" in server["args"]


def test_every_container_of_a_pod_is_pulled_by_the_same_policy(objects):
    for _, template in pods_of(objects):
        for container in template["spec"].get("initContainers", []) + template["spec"]["containers"]:
            assert container["imagePullPolicy"] == "IfNotPresent"


def test_compiled_pipelines_find_what_they_refer_to_by_name(render):
    from components.train.worker_job import pod_options
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
    files = chart.render(values, name="vision", namespace="team")
    notes = files["frcnn-pipelines/templates/NOTES.txt"]
    assert "http://vision-frcnn-s3:8333, bucket frcnn, keys in secret vision-frcnn-s3" in notes
    assert "port-forward svc/vision-frcnn-tensorboard 6006:80" in notes
    (job,) = job_names(chart, values)
    assert f"logs job/{job}" in notes


def test_notes_say_how_steps_get_their_keys_where_the_chart_could_not_copy_them(chart):
    values = yaml.safe_load((CHART / "ci" / "kubeflow-values.yaml").read_text("utf-8"))
    notes = chart.render(values, name="vision", namespace="team")["frcnn-pipelines/templates/NOTES.txt"]
    assert "secret frcnn-s3 has no keys" in notes
    assert "kubectl -n team patch secret frcnn-s3" in notes


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
    "line break in a key": ({"s3": {"secretKey": "a\nb"}}, "secretKey"),
    "toleration": ({"pods": {"tolerations": [{"effect": "Never"}]}}, "effect"),
    "size": ({"s3Server": {"storage": "1.2.3Gi"}}, "storage"),
    "size of TensorBoard": ({"tensorboard": {"storage": "5Gi."}}, "storage"),
    "memory": ({"s3Server": {"resources": {"limits": {"memory": "4 GB"}}}}, "memory"),
    "processors": ({"tensorboard": {"resources": {"requests": {"cpu": "half"}}}}, "cpu"),
    "port": ({"networkPolicy": {"s3Ports": [70000]}}, "s3Ports"),
    "no endpoint": ({"s3": {"endpoint": ""}}, "s3.endpoint is needed"),
    "no keys": (
        {"s3": {"existingSecret": ""}},
        "s3.existingSecret, s3.accessKey or s3Server.enabled=true is needed",
    ),
    "no pipeline": ({"publish": {"enabled": True}}, "publish.pipeline is needed"),
    "region": ({"s3": {"region": "eu 1"}}, "region"),
    "registry with a scheme": ({"images": {"registry": "https://my.registry/team"}}, "registry"),
    "two sources of keys": ({"s3": {"accessKey": "a"}}, "s3.existingSecret is keys, but s3.accessKey or"),
    "two S3 servers": ({"s3Server": {"enabled": True}}, "s3Server.enabled runs an S3 server of its own, but"),
    "one account for all": (
        {"serviceAccounts": {"launcher": "frcnn", "training": "frcnn"}},
        "launcher, training and publish need three names",
    ),
    "key of two lines": ({"modelKey": {"value": "a\nb\n"}}, "modelKey.value has several lines"),
    "schedule of nothing": (
        {"publish": {"recurring": {"enabled": True, "parameters": {"data": "d"}}}},
        "publish.recurring.enabled needs publish.enabled",
    ),
    "schedule without data": (
        {"publish": {"enabled": True, "pipeline": "a: b", "recurring": {"enabled": True}}},
        "publish.recurring.parameters is empty",
    ),
    "Sunday as 7": (
        {"publish": {"recurring": {"cron": "0 0 2 * * 5-7"}}},
        "publish.recurring.cron is '0 0 2 . . 5-7': Kubeflow counts weekdays from 0",
    ),
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
