"""`frcnn.load`: from a model file to a detector."""

import os
from pathlib import Path

from frcnn.api.backend import use_tensorflow
from frcnn.api.keys import resolved_key
from frcnn.api.locations import Location, model_file
from frcnn.inference.detector import Detector
from frcnn.inference.open_model import PrecisionHint, RunOptions, Runtime, open_model
from frcnn.packages import needed_for
from frcnn.spec.python_api import given
from frcnn.spec.schema.experiment import Experiment


def load(
    model: Location,
    *,
    spec: Experiment | str | os.PathLike[str] | None = None,
    key: str | Path | None = None,
    runtime: Runtime = "auto",
    device: str = "auto",
    precision_hint: PrecisionHint | None = None,
    threads: int = 0,
    as_is: bool = False,
) -> Detector:
    """Loads a detector from a model file.

    Args:
        model: A trained model (`.keras`, `.tlt`), an exported one (`.onnx`, `.etlt`) or a TensorRT engine; or
            a results folder, which means its best checkpoint. May be an `s3://` URI of a file.
        spec: Settings to use instead of those that the file holds: a `Spec` or a file's name. Needed only for
            an engine that was built elsewhere.
        key: Key of a sealed file, or a `pathlib.Path` of the key's file; by default FRCNN_KEY, then the file
            that FRCNN_KEY_FILE names, then the spec's.
        runtime: What runs the model; by default what suits the kind of file: `keras`, `onnxruntime` or
            `tensorrt`. Exported models also run in `openvino`.
        device: `auto` for the fastest device there is, `cpu`, `gpu`, or one of several GPUs: `gpu:1`.
        precision_hint: What `openvino` may compute float32 layers in; `fp32` by default.
        threads: Threads that an exported model uses for one batch; 0 for as many as the runtime wants.
        as_is: Run an exported model's own graph, though CPUs are faster with its head in another form.

    Returns:
        The detector. Close it, or use it as a context manager, to free its memory.

    Raises:
        UsageError: An argument cannot be right, or the runtime does not run such a file.
        ModelError: The file is missing, no model, broken, or sealed with another key; or the spec is for
            other classes or another input size.
        MissingPackageError: The runtime is not installed; the message names the extra to install.
        RunError: There is no such device.
        StoreError: The object on S3 cannot be read.
    """
    options = RunOptions(runtime, device, precision_hint, threads, as_is)
    settings = None if spec is None else given(Experiment, spec)
    secret = resolved_key(key, settings.enc_key if settings is not None else None)
    use_tensorflow()
    with model_file(model) as path, needed_for(f"loading {path.name}"):
        return open_model(path, options, settings, secret)
