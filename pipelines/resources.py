"""What each step may use on a cluster, how often it is tried again, and where its key comes from."""

from typing import Any

from kfp import dsl, kubernetes

# A secret with one key, `key`: it seals the model files. Without that secret they are plain.
KEY_SECRET = "frcnn-model-key"
KEY_VARIABLE = "FRCNN_KEY"


def light(task: dsl.PipelineTask, name: str) -> dsl.PipelineTask:
    """A step that computes little: convert, prune."""
    return _settings(task, name, cpu=("1", "4"), memory=("2G", "8G"))


def heavy(task: dsl.PipelineTask, name: str, *, gpus: Any = None) -> dsl.PipelineTask:
    """A step that runs the network: train, evaluate, export; `gpus` is a parameter of the pipeline."""
    _settings(task, name, cpu=("2", "16"), memory=("4G", "32G"))
    # Workers hand batches over in shared memory, of which a pod has 64 MB unless it asks for more.
    kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit="2Gi")
    if gpus is not None:
        task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(gpus)
    return task


def _settings(
    task: dsl.PipelineTask, name: str, *, cpu: tuple[str, str], memory: tuple[str, str]
) -> dsl.PipelineTask:
    task.set_display_name(name).set_caching_options(True)
    task.set_cpu_request(cpu[0]).set_cpu_limit(cpu[1])
    task.set_memory_request(memory[0]).set_memory_limit(memory[1])
    # A lost node or a pulled plug; a wrong spec fails in seconds, so that trying again costs little.
    task.set_retry(num_retries=2, backoff_duration="30s", backoff_factor=2, backoff_max_duration="10m")
    kubernetes.use_secret_as_env(task, KEY_SECRET, {"key": KEY_VARIABLE}, optional=True)
    return task
