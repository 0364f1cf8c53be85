"""The double of the backend: what it refuses, release by release, is what the real ones refuse."""

from typing import Optional

import pytest
import yaml
from kfp import compiler, dsl

from tests.conformance.backend import RELEASES, Backend, BackendError

OLD, FIRST_217, NEW = (RELEASES[name] for name in ("2.16.1", "2.17.0", "2.17.1"))


@dsl.container_component
def make(made: dsl.Output[dsl.Model], number: dsl.OutputPath(float)):  # type: ignore[valid-type]
    return dsl.ContainerSpec(image="i", command=["make"], args=["--made", made.path, "--number", number])


@dsl.container_component
def take(
    least: float = 0.5,
    most: Optional[float] = None,  # noqa: UP045 (kfp reads no other spelling)
    model: dsl.Input[dsl.Model] = None,
):
    return dsl.ContainerSpec(
        image="i",
        command=["take"],
        args=[
            *("--least", least),
            dsl.IfPresentPlaceholder("most", then=["--most", most]),
            dsl.IfPresentPlaceholder("model", then=["--model", model.path], else_=["--none"]),
        ],
    )


@dsl.pipeline(name="optional-inputs")
def optional_inputs():
    made = make()
    take(model=made.outputs["made"], most=made.outputs["number"])


@dsl.pipeline(name="nothing-left-out")
def nothing_left_out():
    made = make()
    take(model=made.outputs["made"], most=made.outputs["number"], least=0.25)


@dsl.container_component
def train(gpus: int):
    return dsl.ContainerSpec(image="i", command=["train"], args=["--gpus", gpus])


@dsl.pipeline(name="gpus-as-number")
def gpus_as_number(gpus: int = 1):
    train(gpus=gpus).set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(gpus)


@dsl.container_component
def train_by_text(gpus: str):
    return dsl.ContainerSpec(image="i", command=["train"], args=["--gpus", gpus])


@dsl.pipeline(name="gpus-as-text")
def gpus_as_text(gpus: str = "1"):
    train_by_text(gpus=gpus).set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(gpus)


def walked(pipeline, release, tmp_path):
    path = tmp_path / "pipeline.yaml"
    compiler.Compiler().compile(pipeline, str(path))
    spec, *platform = yaml.safe_load_all(path.read_text())
    spec["root"].setdefault("inputDefinitions", {}).setdefault("parameters", {})
    backend = Backend(release, spec, platform[0] if platform else {})
    backend.run({}, lambda step: {"number": 0.75} if step.task == "make" else {})
    return {step.task: step for step in backend.steps}


def test_up_to_2161_ifpresent_reaches_the_step_as_it_is(tmp_path):
    words = walked(nothing_left_out, OLD, tmp_path)["take"].words()
    assert [word[:12] for word in words if word.startswith("{")] == ['{"IfPresent"'] * 2


def test_2170_refuses_an_input_left_to_its_default(tmp_path):
    with pytest.raises(BackendError, match="parameter 'least' not found in executor input"):
        walked(optional_inputs, FIRST_217, tmp_path)


def test_2170_takes_an_artifact_that_is_given_for_absent(tmp_path):
    words = walked(nothing_left_out, FIRST_217, tmp_path)["take"].words()
    assert words == ["take", "--least", "0.25", "--most", "0.75", "--none"]


def test_2171_fills_in_defaults_and_sees_artifacts(tmp_path):
    words = walked(optional_inputs, NEW, tmp_path)["take"].words()
    assert words[:6] == ["take", "--least", "0.5", "--most", "0.75", "--model"]
    assert words[6].startswith("/minio/mlpipeline/")


@pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)
def test_a_number_of_gpus_that_is_no_text_sets_no_limit(release, tmp_path):
    assert walked(gpus_as_number, release, tmp_path)["train"].resources["limits"] == {}
    limits = walked(gpus_as_text, release, tmp_path)["train-by-text"].resources["limits"]
    assert limits == {"nvidia.com/gpu": "1"}


@pytest.mark.parametrize(
    ("value", "launcher", "driver"),
    [
        (3, "3", "3"),
        (3.0, "3", "3"),
        (0.1, "0.1", "0.1"),
        (0.00001, "0.00001", "1e-05"),
        (0.0000025, "0.0000025", "2.5e-06"),
        (True, "true", "true"),
        ("a b", "a b", "a b"),
        ({"a": [1]}, '{"a":[1]}', '{"a":[1]}'),
    ],
)
def test_values_are_written_as_go_writes_them(value, launcher, driver):
    from tests.conformance.backend import _go_f, _go_g

    assert (_go_f(value), _go_g(value)) == (launcher, driver)
