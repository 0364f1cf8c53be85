"""A step's definition and its entry script agree, and neither knows what is not its own."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

# The steps whose images are their own, and those that run in another's.
IMAGES = ("convert", "train", "evaluate", "inference", "prune", "export", "publish")
STEPS = (*IMAGES, "compare", "notify", "tune")
ROOT = Path(__file__).parents[2]
PATH = [str(ROOT / "shared" / "src"), str(ROOT)]


# Steps with more than one definition of their script.
OTHERS = {"train": ("retrain",), "evaluate": ("evaluate_retrained",)}
DEFINITIONS = [(step, name) for step in STEPS for name in (step, *OTHERS.get(step, ()))]
# In place of --records-uri, for people who run the script by hand; and those of a trial, for Katib's jobs.
BY_HAND = {
    "train": {"--records", "--space", "--choice", "--report-metric"},
    "evaluate": {"--records"},
    "export": {"--records"},
}
# The image that a step runs in, if it is neither its own nor that of `publish`.
HOLDERS = {"tune": "train"}


def definition(step, name):
    return getattr(importlib.import_module(f"components.{step}.component"), name)


def container(step, name):
    (executor,) = definition(step, name).pipeline_spec.deployment_spec["executors"].values()
    return executor["container"]


def flags_of_definition(step, name):
    return {word.partition("=")[0] for word in container(step, name)["args"] if word.startswith("--")}


@pytest.mark.parametrize("step", STEPS)
def test_definitions_pass_exactly_the_flags_the_script_takes(step):
    script = importlib.import_module(f"components.{step}.main").parser()
    taken = {flag for action in script._actions for flag in action.option_strings}
    passed = [flags_of_definition(step, name) for name in (step, *OTHERS.get(step, ()))]
    assert set.union(*passed) == taken - {"-h", "--help"} - BY_HAND.get(step, set())


@pytest.mark.parametrize(("step", "name"), DEFINITIONS)
def test_no_argument_is_one_that_some_backend_leaves_as_it_is(step, name):
    """Backends up to 2.16.1 know nothing of IfPresent and Concat, and hand them to the script as JSON."""
    found = container(step, name)
    words = [*found["command"], *found["args"]]
    assert [word for word in words if not isinstance(word, str) or word.startswith('{"')] == []


@pytest.mark.parametrize(("step", "name"), DEFINITIONS)
def test_every_input_artifact_has_to_be_given(step, name):
    inputs = definition(step, name).component_spec.inputs or {}
    artifacts = [each for each in inputs.values() if each.type.startswith("system.")]
    assert not any(each.optional for each in artifacts)


@pytest.mark.parametrize(("step", "name"), DEFINITIONS)
def test_defaults_of_definition_and_script_are_the_same(step, name):
    script = importlib.import_module(f"components.{step}.main").parser()
    inputs = definition(step, name).component_spec.inputs or {}
    actions = {action.dest: action for action in script._actions}
    for each, value in inputs.items():
        if value.default is not None:
            taken = actions[each]
            given = taken.type(str(value.default)) if taken.type else value.default  # KFP passes text
            assert taken.default == given, each


@pytest.mark.parametrize(("step", "name"), DEFINITIONS)
def test_definition_runs_the_steps_own_script_in_an_image_that_holds_it(step, name):
    found = container(step, name)
    assert list(found["command"]) == ["python", "-m", f"components.{step}.main"]
    holder = step if step in IMAGES else HOLDERS.get(step, "publish")
    assert found["image"] == f"frcnn-{holder}:0.1.0"
    assert f"COPY components/{step}/main.py" in (ROOT / "components" / holder / "Dockerfile").read_text()


@pytest.mark.parametrize(("step", "name"), DEFINITIONS)
def test_every_output_is_described_for_the_ui(step, name):
    spec = definition(step, name).component_spec
    missing = [key for key, each in (spec.outputs or {}).items() if not each.description]
    missing += [key for key, each in (spec.inputs or {}).items() if not each.description]
    described = definition(step, name).pipeline_func.__doc__ or ""
    assert all(f"{key}:" in described for key in missing), missing


@pytest.mark.parametrize("step", STEPS)
def test_flags_are_read_without_frcnn_or_kfp(step):
    code = (
        f"import sys; import components.{step}.main as m; m.parser(); "
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'frcnn', 'kfp', 'tensorflow'}))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path[:0] = {PATH!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


def test_image_names_follow_registry_and_tag(monkeypatch):
    from components.images import image

    monkeypatch.setenv("FRCNN_REGISTRY", "my.registry/team/")
    monkeypatch.setenv("FRCNN_TAG", "1.2")
    assert image("train") == "my.registry/team/frcnn-train:1.2"


def instructions(folder):
    """Instructions of a Dockerfile as pairs of name and rest, in order."""
    lines = (ROOT / "components" / folder / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line and not line.startswith((" ", "#"))]


@pytest.mark.parametrize("step", IMAGES)
def test_dockerfile_runs_the_script_as_a_numeric_user_and_has_no_entrypoint(step):
    words = instructions(step)
    assert [rest for name, rest in words if name == "FROM"] == ["${BUILD_IMAGE} AS build", "${RUN_IMAGE}"]
    shared = instructions("base")
    (start,) = [at for at, (name, rest) in enumerate(shared) if name == "FROM" and rest.endswith(" AS run")]
    end = next(at for at, (name, _) in enumerate(shared) if name == "FROM" and at > start)
    image = shared[start:end] + words
    assert "ENTRYPOINT" not in dict(image)
    user = dict(image)["USER"].split(":")[0]  # of the last one
    assert user.isdigit() and user != "0"
    assert f'"components.{step}.main"' in dict(image)["CMD"]
    assert any(
        name == "COPY" and rest.split()[0] in (f"components/{step}", f"components/{step}/main.py")
        for name, rest in words
    )
