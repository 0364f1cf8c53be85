"""Test double of Kubeflow Pipelines' backend: resolves a compiled pipeline as each release does.

The facts are those of github.com/kubeflow/pipelines at the tags 2.15.0, 2.16.1 and 2.17.0, files below
backend/src/v2; the code is this project's. What is followed, and where it stands there:

* compiler/argocompiler/container.go (getTaskRetryStrategyFromInput): retries become Argo's limit and backoff,
  without a policy, which to Argo is OnFailure;
* driver/root_dag.go, driver/dag.go, driver/resolve.go (resolveInputs, resolveInputParameter): where a task's
  inputs come from, defaults, types;
* driver/container.go and expression/expression.go: conditions;
* driver/driver.go (initPodSpecPatch, provisionOutputs, getPodResource), driver/k8s.go: the pod;
* driver/util.go of 2.17.0 (resolveContainerArgs, resolveCondition, pbValueToString): arguments that the
  driver resolves;
* component/launcher_v2.go (compileCmdAndArgs, getPlaceholders): arguments that the launcher resolves.

2.17.1 differs from 2.17.0, as pull request 14175 says, in that defaults are filled in before arguments are
resolved, and that IfPresent sees artifacts; its source was not at hand.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

PARAMETER = re.compile(r"\{\{\$\.inputs\.parameters\[(?:'|\")([^'\"]+)(?:'|\")\]\}\}")
CONDITION = re.compile(r"inputs\.parameter_values\['([^']+)'\] == (true|false)")
PIPELINE_ROOT = "minio://mlpipeline/v2/artifacts/faster-rcnn/run-id"
RUN_NAME, RUN_ID = "faster-rcnn-x7k2p", "run-id"
# Of the random part of an output's URI.
SALT = "salt"
_TYPES = {
    "STRING": str,
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": bool,
    "LIST": list,
    "STRUCT": dict,
    "TASK_FINAL_STATUS": dict,
}


class BackendError(Exception):
    """Error of the driver or the launcher of a step."""


@dataclasses.dataclass(frozen=True)
class Release:
    """Differences between releases.

    Attributes:
        name: The release.
        driver_resolves: Whether the driver resolves arguments, IfPresent among them, before the launcher.
        fills_defaults: Whether inputs that are left out get the component's default before that.
        sees_artifacts: Whether IfPresent is true for artifacts that are given.
        hardens: Whether containers get the security context of compiler/argocompiler/security_context.go,
            and the pipeline may add to it (driver/k8s.go). Before, it is an unknown field, which the
            compiler refuses.
        tells_success: Whether the end of a nested pipeline's tasks reaches the pipeline around it
            (metadata/client.go, UpdateDAGExecutionsState), so that an exit handler is told of success.
    """

    name: str
    driver_resolves: bool
    fills_defaults: bool = False
    sees_artifacts: bool = False
    hardens: bool = True
    tells_success: bool = True


RELEASES = {
    each.name: each
    for each in (
        Release("2.15.0", driver_resolves=False, hardens=False, tells_success=False),
        Release("2.16.1", driver_resolves=False, tells_success=False),
        Release("2.17.0", driver_resolves=True),
        Release("2.17.1", driver_resolves=True, fills_defaults=True, sees_artifacts=True),
    )
}


@dataclasses.dataclass(frozen=True)
class Step:
    """Container of a step, completely resolved.

    Attributes:
        task: Key of the task.
        name: As the UI shows it.
        image: Its image.
        command: Command and arguments, all placeholders resolved but the executor input, `{{$}}`.
        executor_input: What stands in its place.
        environment: Variables, each with the secret or config map and the key that it comes from.
        resources: Requests and limits.
        volumes: Mount paths and what is mounted.
        node_selector: Labels of nodes.
        tolerations: Tolerations.
        security_context: Of the container.
        retry: Argo's retry strategy.
        cached: Whether its outputs may be reused.
    """

    task: str
    name: str
    image: str
    command: list[str]
    executor_input: dict[str, Any]
    environment: dict[str, Any]
    resources: dict[str, dict[str, str]]
    volumes: dict[str, Any]
    node_selector: dict[str, str]
    tolerations: list[dict[str, Any]]
    security_context: dict[str, Any]
    retry: dict[str, Any]
    cached: bool

    def words(self, executor_input: Mapping[str, Any] | None = None) -> list[str]:
        """The command as the process gets it."""
        text = json.dumps(self.executor_input if executor_input is None else executor_input)
        return [word.replace("{{$}}", text) for word in self.command]


# What a step leaves in its output parameters, by its name in the UI.
Outputs = Callable[[Step], Mapping[str, Any]]


class Backend:
    """Walks a compiled pipeline as a release does."""

    def __init__(self, release: Release, spec: Mapping[str, Any], platform: Mapping[str, Any]) -> None:
        """`spec` and `platform` are the two documents of the compiled YAML."""
        self.release, self.spec = release, spec
        self.executors = spec["deploymentSpec"]["executors"]
        platforms = platform.get("platforms", {}).get("kubernetes", {})
        self.kubernetes = platforms.get("deploymentSpec", {}).get("executors", {})
        self.steps: list[Step] = []
        self.skipped: list[str] = []

    def run(self, parameters: Mapping[str, Any], outputs: Outputs) -> None:
        """Walks the DAG to its end; `steps` are those that ran, `skipped` the tasks behind closed gates.

        Raises:
            BackendError: A driver or launcher refuses.
        """
        declared = self.spec["root"]["inputDefinitions"]["parameters"]
        known = {name: each["defaultValue"] for name, each in declared.items() if "defaultValue" in each}
        missing = set(declared) - set(known) - set(parameters)
        if missing or set(parameters) - set(declared):
            raise BackendError(f"parameters missing {missing}, unknown {set(parameters) - set(declared)}")
        for name, value in parameters.items():
            _typed(name, value, declared[name]["parameterType"], "root")
        self._dag("root", self.spec["root"]["dag"], {**known, **parameters}, {}, outputs)

    def _dag(
        self,
        place: str,
        dag: Mapping[str, Any],
        parameters: Mapping[str, Any],
        artifacts: Mapping[str, Any],
        outputs: Outputs,
    ) -> None:
        """Runs the tasks of a DAG, each after those that it depends on."""
        done: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
        waiting = dict(dag["tasks"])
        while waiting:
            ready = [key for key, task in waiting.items() if set(task.get("dependentTasks", ())) <= set(done)]
            if not ready:
                raise BackendError(f"{place}: {sorted(waiting)} depend on each other")
            for key in sorted(ready):
                task = waiting.pop(key)
                component = self.spec["components"][task["componentRef"]["name"]]
                given, files = self._inputs(f"{place}/{key}", task, component, parameters, artifacts, done)
                if not _triggers(task, given):
                    self.skipped.append(key)
                    done[key] = ({}, {})
                elif "dag" in component:
                    self._dag(f"{place}/{key}", component["dag"], given, files, outputs)
                    done[key] = ({}, {})
                else:
                    step = self._step(key, task, component, given, files)
                    self.steps.append(step)
                    made = step.executor_input["outputs"].get("artifacts", {})
                    done[key] = (dict(outputs(step)), dict(made))

    # ---- inputs

    def _inputs(
        self,
        place: str,
        task: Mapping[str, Any],
        component: Mapping[str, Any],
        parameters: Mapping[str, Any],
        artifacts: Mapping[str, Any],
        done: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]],
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The inputs of a task: parameters, and artifacts."""
        declared = component.get("inputDefinitions", {}).get("parameters", {})
        given: dict[str, Any] = {}
        for name, source in task.get("inputs", {}).get("parameters", {}).items():
            given[name] = self._parameter(place, source, parameters, done)
        if "dag" in component:
            # A nested pipeline's own defaults are seen; those of a container component are not.
            for name, each in declared.items():
                if name not in given and each.get("isOptional"):
                    given[name] = each.get("defaultValue")
        for name, each in declared.items():
            if name in given:
                given[name] = _typed(name, given[name], each["parameterType"], place)
            elif not each.get("isOptional") and "defaultValue" not in each:
                raise BackendError(f"{place}: neither value nor default value provided for parameter {name}")
        files = {}
        for name, source in task.get("inputs", {}).get("artifacts", {}).items():
            if "componentInputArtifact" in source:
                files[name] = artifacts[source["componentInputArtifact"]]
            else:
                made = source["taskOutputArtifact"]
                files[name] = done[made["producerTask"]][1][made["outputArtifactKey"]]
        return given, files

    def _parameter(
        self,
        place: str,
        source: Mapping[str, Any],
        parameters: Mapping[str, Any],
        done: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]],
    ) -> Any:
        if "componentInputParameter" in source:
            name = source["componentInputParameter"]
            if name not in parameters:
                raise BackendError(f"{place}: parent DAG does not have input parameter {name}")
            return parameters[name]
        if "taskOutputParameter" in source:
            made = source["taskOutputParameter"]
            outputs = done[made["producerTask"]][0]
            if made["outputParameterKey"] not in outputs:
                raise BackendError(f"{place}: {made} was not written")
            return outputs[made["outputParameterKey"]]
        if "taskFinalStatus" in source:
            # The metadata store's state, which stays at RUNNING where a gate below stayed closed.
            told = self.release.tells_success and not self.skipped
            state = "COMPLETE" if told else "RUNNING"
            task = source["taskFinalStatus"]["producerTask"]
            return {
                "state": state,
                "pipelineTaskName": task,
                "pipelineJobResourceName": RUN_NAME,
                "error": {},
            }
        constant = source["runtimeValue"]["constant"]
        return {"{{$.pipeline_job_resource_name}}": RUN_NAME, "{{$.pipeline_job_uuid}}": RUN_ID}.get(
            str(constant), constant
        )

    # ---- a step

    def _step(
        self,
        key: str,
        task: Mapping[str, Any],
        component: Mapping[str, Any],
        given: Mapping[str, Any],
        files: Mapping[str, Any],
    ) -> Step:
        label = component["executorLabel"]
        container, kubernetes = self.executors[label]["container"], self.kubernetes.get(label, {})
        executor_input = {
            "inputs": {"parameterValues": dict(given), "artifacts": dict(files)},
            "outputs": _outputs(key, component.get("outputDefinitions", {})),
        }
        words = [*container.get("command", ()), *container.get("args", ())]
        if self.release.driver_resolves:
            words = self._resolved(words, component, given, files)
        replacements = placeholders(executor_input)
        return Step(
            task=key,
            name=task["taskInfo"]["name"],
            image=container["image"],
            command=[_replaced(word, replacements) for word in words],
            executor_input=executor_input,
            environment=_environment(container, kubernetes),
            resources=_resources(container.get("resources", {}), given),
            volumes={each["mountPath"]: _volume(each) for each in kubernetes.get("emptyDirMounts", ())},
            node_selector=dict(kubernetes.get("nodeSelector", {}).get("labels", {})),
            tolerations=list(kubernetes.get("tolerations", ())),
            security_context=_security(self.release, kubernetes),
            retry=_retry(task.get("retryPolicy")),
            cached=bool(task.get("cachingOptions", {}).get("enableCache")),
        )

    def _resolved(
        self,
        words: list[str],
        component: Mapping[str, Any],
        given: Mapping[str, Any],
        files: Mapping[str, Any],
    ) -> list[str]:
        """Arguments as the driver of 2.17 hands them to the launcher."""
        known = dict(given)
        if self.release.fills_defaults:
            for name, each in component.get("inputDefinitions", {}).get("parameters", {}).items():
                if "defaultValue" in each:
                    known.setdefault(name, each["defaultValue"])

        def one(match: re.Match[str]) -> str:
            if match[1] not in known:
                raise BackendError(f"parameter {match[1]!r} not found in executor input")
            return _go_g(known[match[1]])

        found: list[str] = []
        for word in words:
            if "$.outputs" in word:
                found.append(word)
            elif word.strip().startswith('{"IfPresent":'):
                condition = json.loads(word)["IfPresent"]
                name = condition["InputName"]
                there = known.get(name) is not None or (self.release.sees_artifacts and name in files)
                chosen = condition.get("Then") if there else condition.get("Else")
                texts = [chosen] if isinstance(chosen, str) else chosen or []
                found += [PARAMETER.sub(one, text) for text in texts]
            else:
                found.append(PARAMETER.sub(one, word))
        return found


def placeholders(executor_input: Mapping[str, Any]) -> dict[str, str]:
    """Returns the placeholders that the launcher replaces, except the executor input."""
    inputs, outputs = executor_input["inputs"], executor_input["outputs"]
    found = {}
    for kind, artifacts in (("inputs", inputs["artifacts"]), ("outputs", outputs.get("artifacts", {}))):
        for name, each in artifacts.items():
            uri = each["artifacts"][0]["uri"]
            found[f"{{{{$.{kind}.artifacts['{name}'].uri}}}}"] = uri
            found[f"{{{{$.{kind}.artifacts['{name}'].path}}}}"] = local_path(uri)
    for name, value in inputs["parameterValues"].items():
        found[f"{{{{$.inputs.parameters['{name}']}}}}"] = _go_f(value)
    for name, each in outputs.get("parameters", {}).items():
        found[f"{{{{$.outputs.parameters['{name}'].output_file}}}}"] = each["outputFile"]
    return found


def local_path(uri: str) -> str:
    """Returns the path at which a step finds an artifact."""
    for scheme, folder in (("minio://", "/minio/"), ("s3://", "/s3/"), ("gs://", "/gcs/")):
        if uri.startswith(scheme):
            return folder + uri.removeprefix(scheme)
    raise BackendError(f"failed to generate local path for URI {uri}: unsupported storage scheme")


def _replaced(word: str, replacements: Mapping[str, str]) -> str:
    for placeholder, text in replacements.items():
        word = word.replace(placeholder, text)
    return word


def _outputs(key: str, declared: Mapping[str, Any]) -> dict[str, Any]:
    root = f"{PIPELINE_ROOT}/{key}/{SALT}"
    artifacts = {
        name: {"artifacts": [{"name": name, "uri": f"{root}/{name}", "type": each["artifactType"]}]}
        for name, each in declared.get("artifacts", {}).items()
    }
    parameters = {name: {"outputFile": f"/tmp/kfp/outputs/{name}"} for name in declared.get("parameters", {})}
    found: dict[str, Any] = {"outputFile": f"{local_path(root)}/output_metadata.json"}
    # As protobuf's JSON has them: what is empty is left out.
    return (
        found
        | ({"artifacts": artifacts} if artifacts else {})
        | ({"parameters": parameters} if parameters else {})
    )


def _typed(name: str, value: Any, kind: str, place: str) -> Any:
    """A value as an input of a type; any becomes a string where one is declared."""
    if kind == "STRING":
        return value if isinstance(value, str) else _go_f(value)
    if value is None or isinstance(value, bool) != (kind == "BOOLEAN") or not isinstance(value, _TYPES[kind]):
        raise BackendError(f"{place}: input parameter {name!r} type mismatch: expect {kind}, got {value!r}")
    return value


def _triggers(task: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    condition = task.get("triggerPolicy", {}).get("condition", "")
    if not condition:
        return True
    form = CONDITION.fullmatch(condition)
    if form is None:
        raise BackendError(f"{condition}: this double knows no such condition")
    return given[form[1]] is (form[2] == "true")


def _go_f(value: Any) -> str:
    """A value as the launcher writes it (strconv.FormatFloat with 'f', -1)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        text = f"{float(value):.20f}" if "e" in repr(float(value)) else repr(float(value))
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"))


def _go_g(value: Any) -> str:
    """A value as the driver of 2.17 writes it: %d for whole numbers, else %g."""
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        if number.is_integer():
            return str(int(number))
        text = repr(number)
        return text if "e" not in text else re.sub(r"e-(\d)$", r"e-0\1", text)
    return _go_f(value)


def _resources(resources: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Requests and limits. A quantity that is a parameter has to be text, or there is none."""
    found: dict[str, dict[str, str]] = {"limits": {}, "requests": {}}
    names = {
        "resourceCpuLimit": ("limits", "cpu"),
        "resourceCpuRequest": ("requests", "cpu"),
        "resourceMemoryLimit": ("limits", "memory"),
        "resourceMemoryRequest": ("requests", "memory"),
    }
    for name, (kind, what) in names.items():
        if text := _quantity(resources.get(name, ""), given):
            found[kind][what] = text
    accelerator = resources.get("accelerator", {})
    kind, count = (_quantity(accelerator.get(key, ""), given) for key in ("resourceType", "resourceCount"))
    if kind and count:
        found["limits"][kind] = count
    return found


def _quantity(text: str, given: Mapping[str, Any]) -> str:
    form = re.search(r"\$\.inputs\.parameters\['(.+?)'\]", text)
    if form is None:
        return text
    if form[1] not in given:
        raise BackendError("executorInput did not contain container Image input parameter")
    value = given[form[1]]
    return value if isinstance(value, str) else ""


def _environment(container: Mapping[str, Any], kubernetes: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {each["name"]: each["value"] for each in container.get("env", ())}
    for kind, key, names in (
        ("secret", "secretAsEnv", ("secretNameParameter", "secretKey")),
        ("configMap", "configMapAsEnv", ("configMapNameParameter", "configMapKey")),
    ):
        for each in kubernetes.get(key, ()):
            name = each[names[0]]["runtimeValue"]["constant"]
            for pair in each["keyToEnv"]:
                place = {kind: name, "key": pair[names[1]], "optional": bool(each.get("optional"))}
                found[pair["envVar"]] = place
    return found


def _volume(mount: Mapping[str, Any]) -> dict[str, str]:
    return {"emptyDir": mount.get("medium", ""), "sizeLimit": mount.get("sizeLimit", "")}


def _security(release: Release, kubernetes: Mapping[str, Any]) -> dict[str, Any]:
    given = kubernetes.get("securityContext", {})
    if not release.hardens:
        if given:
            raise BackendError('failed to unmarshal kubernetes config: unknown field "securityContext"')
        return {}
    fixed = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    # 64 bit numbers are text in protobuf's JSON.
    return fixed | {
        name: int(value) if isinstance(value, str) else value for name, value in sorted(given.items())
    }


def _retry(policy: Mapping[str, Any] | None) -> dict[str, Any]:
    if policy is None:
        return {}
    seconds = {key: policy[key].removesuffix("s") for key in ("backoffDuration", "backoffMaxDuration")}
    return {
        "limit": str(policy["maxRetryCount"]),
        "backoff": {
            "duration": seconds["backoffDuration"],
            "factor": _go_f(policy["backoffFactor"]),
            "maxDuration": seconds["backoffMaxDuration"],
        },
    }
