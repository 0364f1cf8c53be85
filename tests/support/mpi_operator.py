"""Scripts that play mpi-operator for the Kubernetes double, with the order of events of the real one."""

import time

RUNNING = {"phase": "Running", "containerStatuses": [{"state": {"running": {}}, "ready": True}]}
PENDING = {"phase": "Pending", "conditions": [], "containerStatuses": []}


def ended(code: int, reason: str = "Error", message: str = "") -> dict:
    phase = "Failed" if code else "Succeeded"
    more = {"message": message} if message else {}
    state = {"terminated": {"exitCode": code, "reason": "Completed" if not code else reason, **more}}
    return {"phase": phase, "containerStatuses": [{"state": state}]}


def waiting(reason: str, message: str = "", image: str = "frcnn-train:9") -> dict:
    """A pod on a node whose container cannot be started."""
    container = {"image": image, "state": {"waiting": {"reason": reason, "message": message}}}
    return {"phase": "Pending", "containerStatuses": [container]}


def crashes(code: int, reason: str) -> dict:
    """A pod that the kubelet starts again and again (restartPolicy OnFailure)."""
    waits = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting failed container"}}
    before = {"terminated": {"exitCode": code, "reason": reason}}
    return {"phase": "Running", "containerStatuses": [{"state": waits, "lastState": before}]}


def unschedulable(message: str) -> dict:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"phase": "Pending", "conditions": [condition]}


def workers_of(job: dict) -> int:
    return job["spec"]["mpiReplicaSpecs"]["Worker"]["replicas"]


def runs(double, job: dict) -> str:
    """Created, workers, launcher, Running; returns the launcher's name."""
    name = job["metadata"]["name"]
    double.condition(name, "Created", message=f"MPIJob {name} is created.")
    for index in range(workers_of(job)):
        double.pod(name, "worker", index, status=PENDING)
        double.pod(name, "worker", index, status=RUNNING)
    launcher = double.pod(name, "launcher", status=RUNNING)
    double.condition(name, "Running", message=f"MPIJob {name} is running.")
    return launcher


def succeeds(double, job: dict) -> None:
    name = job["metadata"]["name"]
    launcher = runs(double, job)
    double.write_log(launcher, "epoch 1/2", "epoch 2/2")
    time.sleep(0.1)
    double.pod(name, "launcher", status=ended(0))
    double.condition(name, "Running", False)
    double.condition(name, "Succeeded", message=f"MPIJob {name} successfully completed.")


def fails(double, job: dict) -> None:
    """Launcher exits 3 with no attempts left, after a worker ran out of memory; the others are stopped."""
    name = job["metadata"]["name"]
    launcher = runs(double, job)
    double.write_log(launcher, "loss is not finite")
    double.pod(name, "worker", 0, status=ended(137, "OOMKilled"))
    double.pod(name, "launcher", status=ended(3))
    double.condition(name, "Running", False)
    message = "Job has reached the specified backoff limit"
    # The launcher's pod had neither reason nor message of its own, which the operator appends all the same.
    double.condition(name, "Failed", reason="BackoffLimitExceeded/", message=f"{message}: ")
    for index in range(1, workers_of(job)):  # cleanPodPolicy: Running
        double.remove("pods", f"{name}-worker-{index}")


def evicts(double, job: dict) -> None:
    """A worker is evicted: the job counts as failed, and its other pods go on (mpi-operator#647)."""
    name = job["metadata"]["name"]
    runs(double, job)
    message = "The node was low on resource: memory."
    double.pod(name, "worker", 0, status={"phase": "Failed", "reason": "Evicted", "message": message})
    double.condition(name, "Failed", reason="MPIJobEvicted", message="1/2 workers are evicted")
