"""Custom pipeline: convert, train and evaluate of this project, followed by a custom step.

    python examples/pipelines/with_own_step.py own.yaml      # to upload, or to run with kfp.Client

It loads the components from their YAML files, so it also works in a repository without this project's code.
There, use `load_component_from_url` instead of `load_component_from_file`.
"""

import sys
from pathlib import Path

from kfp import compiler, components, dsl, kubernetes

FOLDER = Path(__file__).parents[2] / "components"
convert = components.load_component_from_file(str(FOLDER / "convert" / "component.yaml"))
train = components.load_component_from_file(str(FOLDER / "train" / "component.yaml"))
evaluate = components.load_component_from_file(str(FOLDER / "evaluate" / "component.yaml"))

S3_KEYS = {
    "accesskey": "AWS_ACCESS_KEY_ID",
    "secretkey": "AWS_SECRET_ACCESS_KEY",
    "endpoint": "S3_ENDPOINT",
    "region": "AWS_REGION",
}
GREETING = """
import json, pathlib, sys
_, mean_ap, name, place = sys.argv
pathlib.Path(place).parent.mkdir(parents=True, exist_ok=True)
pathlib.Path(place).write_text(f"{name} finds {float(mean_ap):.0%} of what there is to find")
"""


@dsl.container_component
def announce(mean_ap: float, name: str, text: dsl.OutputPath(str)):  # type: ignore[valid-type]
    """Writes a sentence about a model, as an example of a custom step.

    Args:
        mean_ap: mAP of the model, 0 to 1.
        name: Name of the model.
        text: Output file for the sentence.
    """
    return dsl.ContainerSpec(
        image="python:3.11-slim-bookworm", command=["python", "-c", GREETING], args=[mean_ap, name, text]
    )


@dsl.pipeline(name="with-own-step", description="Converts, trains, evaluates, and runs a custom step.")
def with_own_step(data: str, spec: str, name: str = "the model", minimum_map: float = 0.3):
    """Trains a detector and writes a sentence about its accuracy.

    Args:
        data: Data set: s3://bucket/prefix, or a folder on a volume.
        spec: Experiment spec: text, or the S3 URI of a file.
        name: Name of the model in the sentence.
        minimum_map: Minimum mAP to pass, 0 to 1.
    """
    # Set every input, even if it has a default: Kubeflow Pipelines 2.17.0 requires this.
    converted = convert(data=data, convert_spec="", apply_exif=False, data_version="")
    trained = train(
        spec=spec,
        records_uri=converted.outputs["records_uri"],
        epochs=0,
        precision="fp32",
        checkpoints="",
        num_workers=1,
        min_workers=0,
        gpus_per_worker=0,
        gpus="0",
    )
    judged = evaluate(
        spec=spec,
        records_uri=converted.outputs["records_uri"],
        model=trained.outputs["model"],
        minimum_map=minimum_map,
    )
    announce(mean_ap=judged.outputs["mean_ap"], name=name)
    for task in (converted, trained, judged):
        kubernetes.use_secret_as_env(task, "frcnn-s3", S3_KEYS, optional=True)


if __name__ == "__main__":
    compiler.Compiler().compile(with_own_step, sys.argv[1])
