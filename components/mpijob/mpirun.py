"""Command line of the launcher: how mpirun starts the training on the workers."""

from components.mpijob.environment import ROLE_VARIABLES, environment
from components.mpijob.job import TrainingJob


def launcher_command(job: TrainingJob) -> list[str]:
    """Builds the launcher's command, a shell script that runs mpirun.

    The script passes on optional variables only if they are set in its pod, because mpirun warns about
    variables that are not set.

    Args:
        job: Training job.

    Returns:
        Command and arguments.
    """
    script = (
        f"for name in {' '.join(passed_variables(job))}; do "
        'if printenv "$name" >/dev/null; then set -- -x "$name" "$@"; fi; done; exec mpirun "$@"'
    )
    return ["sh", "-c", script, "mpirun", *mpirun(job)[1:]]


def passed_variables(job: TrainingJob) -> list[str]:
    """Returns the variables that the launcher passes to the processes if they are set in its pod.

    Args:
        job: Training job.
    """
    return list(dict.fromkeys([*job.secret_environment, *ROLE_VARIABLES]))


def mpirun(job: TrainingJob) -> list[str]:
    """Builds the mpirun command: one process per slot on all workers.

    Args:
        job: Training job.

    Returns:
        Command and arguments, with the variables that are always set in the launcher.
    """
    words = ["mpirun", "-np", str(job.processes), "--bind-to", "none", "--map-by", "slot", "--tag-output"]
    # The worker's sshd starts the process without the container's environment. mpirun warns about variables
    # that are not set, so LD_LIBRARY_PATH is passed only with GPUs, whose images set it.
    inherited = ("PATH", "HOME", "LD_LIBRARY_PATH") if job.worker.gpus else ("PATH", "HOME")
    certain = [
        each["name"]
        for each in environment(job)
        if each["name"] not in (*job.secret_environment, *ROLE_VARIABLES)
    ]
    for name in (*inherited, *certain):
        words += ["-x", name]
    # Gradients use NCCL or TCP; MPI itself carries only small messages.
    words += ["--mca", "pml", "ob1", "--mca", "btl", "^openib"]
    if job.network_interface:
        words += ["--mca", "btl_tcp_if_include", job.network_interface]
        words += ["--mca", "oob_tcp_if_include", job.network_interface]
    return [*words, *job.training]
