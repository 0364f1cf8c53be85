"""`frcnn.load`: loads a detector from a model file."""

from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.api.backend import use_tensorflow
from frcnn.api.booleans import checked_booleans
from frcnn.api.keys import resolved_key
from frcnn.api.locations import Location, model_file
from frcnn.console.quiet_import import quiet_tensorflow_import
from frcnn.inference.detector import Detector
from frcnn.inference.model_kind import EXPORTED
from frcnn.inference.open_model import PrecisionHint, RunOptions, Runtime, open_model
from frcnn.packages import needed_for

if TYPE_CHECKING:
    from frcnn.api.specs import SpecLike
    from frcnn.settings.inference import PredictionSettings


@checked_booleans
@quiet_tensorflow_import()
def load(
    model: Location,
    *,
    spec: "SpecLike | None" = None,
    key: str | Path | None = None,
    runtime: Runtime = "auto",
    device: str = "auto",
    precision_hint: PrecisionHint | None = None,
    threads: int = 0,
    as_is: bool = False,
) -> Detector:
    """Loads a detector from a model file.

    Args:
        model: Trained model (`.keras`, `.tlt`), exported model (`.onnx`, `.etlt`) or TensorRT engine; or a
            results folder, from which the best checkpoint is loaded. May be an `s3://` URI of a file.
        spec: `Spec` or the name of its file, which replaces the settings in the model file. Required only for
            an engine that another program built.
        key: Key of a sealed file, as text or a `pathlib.Path` of the key's file; by default FRCNN_KEY, then
            the file that FRCNN_KEY_FILE names, then the spec's key.
        runtime: Runtime; by default the one for the kind of file: `keras`, `onnxruntime` or `tensorrt`.
            Exported models also run in `openvino`.
        device: `auto` for the fastest available device, `cpu`, `gpu`, or one of several GPUs, such as
            `gpu:1`.
        precision_hint: Precision in which `openvino` may compute float32 layers; default `fp32`.
        threads: Number of threads that an exported model uses for one batch; 0 for the runtime's default.
        as_is: Whether to run an exported graph unchanged. By default, a faster form of its head is used on
            CPUs.

    Returns:
        The detector. Close it, or use it as a context manager, to free its memory.

    Raises:
        UsageError: An argument is invalid, or the runtime cannot run such a file.
        ModelError: The file is missing, broken, not a model, or sealed with another key; or the spec has
            other classes or another input size.
        MissingPackageError: The runtime is not installed; the message names the extra to install.
        RunError: The device does not exist.
        StoreError: The object on S3 cannot be read.
    """
    options = RunOptions(runtime, device, precision_hint, threads, as_is)
    settings, spec_key = (None, None) if spec is None else _settings(spec)
    secret = resolved_key(key, spec_key)
    use_tensorflow()
    with model_file(model) as path, needed_for(f"loading {path.name}", _extras(path, runtime)):
        return open_model(path, options, settings, secret)


def _extras(path: Path, runtime: str) -> str:
    if runtime == "openvino":
        return "openvino"
    return "onnx" if path.suffix in EXPORTED else ""


def _settings(spec: "SpecLike") -> "tuple[PredictionSettings, str]":
    """Returns the settings and the key of a given spec."""
    # Imported here, because an exported model usually needs no spec, and starts sooner without.
    from frcnn.api.specs import given_spec
    from frcnn.settings.inference import prediction_settings

    known = given_spec(spec)
    return prediction_settings(known), known.enc_key
