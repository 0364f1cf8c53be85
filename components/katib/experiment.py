"""Converts a `KatibSearch` into an Experiment of Katib v0.19 (kubeflow.org/v1beta1)."""

import shlex
from collections.abc import Sequence

from components.katib.parameters import names_of, parameters_of
from components.katib.search import KatibSearch
from components.mpijob import manifest as mpi
from components.mpijob.manifest import Manifest
from components.mpijob.mpirun import mpirun, passed_variables

API_VERSION = "kubeflow.org/v1beta1"
# The name of the metric in the lines that a training prints; see components/train/trial.py.
METRIC = "validation_mAP"
_LINE = rf"({METRIC})=([0-9.eE+-]+)"
# Longest name that Katib's webhook accepts.
LONGEST_NAME = 40
_TRIAL = "trialName"
_CONTAINER = "training"
_MODEL_FOLDER = "/tmp/model"
# Number of trials to complete before others are compared with their median.
_MEDIAN_OF = 3
_FAILURES = 3


def experiment(search: KatibSearch) -> Manifest:
    """Builds the Experiment. Equal searches have equal manifests.

    Args:
        search: The search.

    Returns:
        Experiment as JSON.

    Raises:
        UsageError: A value of the space does not survive Katib's templates.
    """
    spec = _spec(search)
    metadata: Manifest = {
        "name": search.job.name,
        "namespace": search.job.namespace,
        "labels": mpi.labels_of(search.job),
        "annotations": {mpi.SETTINGS_ANNOTATION: mpi.settings_of(spec)},
    }
    if search.job.owner:
        metadata["ownerReferences"] = [mpi.owner_reference(search.job)]
    return {"apiVersion": API_VERSION, "kind": "Experiment", "metadata": metadata, "spec": spec}


def _spec(search: KatibSearch) -> Manifest:
    spec: Manifest = {
        "objective": {
            "type": "maximize",
            "objectiveMetricName": METRIC,
            # The best checkpoint of a trial counts, which is the one of its highest mAP.
            "metricStrategies": [{"name": METRIC, "value": "max"}],
        },
        "algorithm": {
            # Optuna's sampler, as in a search on one machine.
            "algorithmName": "multivariate-tpe",
            "algorithmSettings": [{"name": "random_state", "value": str(search.seed)}],
        },
        "parameters": parameters_of(search.space),
        "maxTrialCount": search.trials,
        "parallelTrialCount": min(search.parallel, search.trials),
        "maxFailedTrialCount": min(_FAILURES, search.trials),
        "resumePolicy": "Never",
        "metricsCollectorSpec": {
            "collector": {"kind": "StdOut"},
            "source": {"filter": {"metricsFormat": [_LINE]}},
        },
        "trialTemplate": _template(search),
    }
    if search.early_stopping and search.epochs > 1:
        spec["earlyStopping"] = {
            "algorithmName": "medianstop",
            "algorithmSettings": [
                {"name": "min_trials_required", "value": str(_MEDIAN_OF)},
                {"name": "start_step", "value": str(max(1, search.epochs // 5))},
            ],
        }
    return spec


def _template(search: KatibSearch) -> Manifest:
    names = names_of(search.space)
    template: Manifest = {
        # The pods of trials that ended stay, with their logs, as long as the Experiment.
        "retain": True,
        "primaryContainerName": "launcher" if search.distributed else _CONTAINER,
        "trialParameters": [
            *({"name": name, "description": field, "reference": name} for field, name in names.items()),
            {"name": _TRIAL, "description": "name of the trial", "reference": "${trialSpec.Name}"},
        ],
    }
    if search.distributed:
        template |= {
            "primaryPodLabels": {mpi.ROLE_LABEL: "launcher"},
            "successCondition": _condition("Succeeded"),
            "failureCondition": _condition("Failed"),
            "trialSpec": _mpijob(search),
        }
    else:
        template |= {
            "successCondition": _condition("Complete"),
            "failureCondition": _condition("Failed"),
            "trialSpec": _job(search),
        }
    return template


def _condition(kind: str) -> str:
    return f'status.conditions.#(type=="{kind}")#|#(status=="True")#'


def _job(search: KatibSearch) -> Manifest:
    words = ["python", "-m", "components.train.main", "--spec", search.spec_place]
    words += ["--records-uri", search.records, *_flags(search), "--model", _MODEL_FOLDER]
    words += ["--gpus", str(search.job.worker.gpus)] if search.job.worker.gpus else []
    pod = mpi.training_pod(search.job, _CONTAINER, _shell_command(quoted(words, search)))
    pod["spec"]["restartPolicy"] = "Never"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "spec": {"backoffLimit": search.job.backoff_limit, "template": pod},
    }


def _mpijob(search: KatibSearch) -> Manifest:
    words = ["python", "-m", "components.train.worker", "--spec", search.spec_place]
    words += ["--records", search.records, *_flags(search)]
    spec = mpi.manifest(search.job)["spec"]
    launcher = spec["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"][0]
    # The prefix of --tag-output would hide the time at the beginning of a metric's line.
    options = [word for word in mpirun(search.job)[1:] if word != "--tag-output"]
    options = options[: len(options) - len(search.job.training)]
    variables = " ".join(passed_variables(search.job))
    script = (
        f"set -- {shlex.join(options)} {quoted(words, search)}; "
        f'for name in {variables}; do if printenv "$name" >/dev/null; then set -- -x "$name" "$@"; fi; done; '
        'mpirun "$@"'
    )
    launcher["command"] = _shell_command(script)
    # Even equal trials have different names, so their checkpoints do not mix.
    return {"apiVersion": mpi.API_VERSION, "kind": "MPIJob", "spec": spec}


def _flags(search: KatibSearch) -> list[str]:
    """Returns the flags that both kinds of trials have."""
    words = ["--epochs", str(search.epochs), "--precision", "mixed" if search.mixed else "fp32"]
    words += ["--checkpoints", f"{search.checkpoints.rstrip('/')}/{_placeholder(_TRIAL)}"]
    words += ["--space", search.space.to_text(), "--report-metric"]
    for field, name in names_of(search.space).items():
        words += ["--choice", f"{field}={_placeholder(name)}"]
    return words


def _placeholder(name: str) -> str:
    return f"${{trialParameters.{name}}}"


def quoted(words: Sequence[str], search: KatibSearch) -> str:
    """Returns a command as text for a shell in a container of a trial.

    Kubernetes turns `$$` into `$` and replaces `$(NAME)`, so that each `$` is doubled, except in Katib's
    placeholders, which are gone by then.

    Args:
        words: Command and arguments.
        search: The search.

    Returns:
        Text of one line per line of the arguments.
    """
    text = shlex.join(words).replace("$", "$$")
    for name in (*names_of(search.space).values(), _TRIAL):
        text = text.replace(f"${_placeholder(name)}", _placeholder(name))
    return text


def _shell_command(script: str) -> list[str]:
    """Returns the command of a container that runs a script, whose last command is the training.

    Katib appends redirections to it and joins the words with blanks. Only a script for `sh -c` survives that.
    """
    return ["sh", "-c", script]
