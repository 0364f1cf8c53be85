"""A step's definition and its entry script agree, and neither knows what is not its own."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

# The steps whose images are their own, and those that run in another's.
IMAGES = ("convert", "train", "evaluate", "inference", "prune", "export", "publish")
STEPS = (*IMAGES, "compare", "notify")
ROOT = Path(__file__).parents[2]
PATH = [str(ROOT / "shared" / "src"), str(ROOT)]


def definition(step):
    module = importlib.import_module(f"components.{step}.component")
    return getattr(module, step)


def container(step):
    (executor,) = definition(step).pipeline_spec.deployment_spec["executors"].values()
    return executor["container"]


def flags_of_definition(step):
    """The flags a definition passes, those of inputs that may be absent too."""
    words = []
    for word in container(step)["args"]:
        if isinstance(word, str) and word.startswith('{"IfPresent"'):
            words += json.loads(word)["IfPresent"]["Then"]
        else:
            words.append(word)
    return {word for word in words if word.startswith("--")}


@pytest.mark.parametrize("step", STEPS)
def test_definition_passes_exactly_the_flags_the_script_takes(step):
    script = importlib.import_module(f"components.{step}.main").parser()
    taken = {flag for action in script._actions for flag in action.option_strings}
    assert flags_of_definition(step) == taken - {"-h", "--help"}


@pytest.mark.parametrize("step", STEPS)
def test_defaults_of_definition_and_script_are_the_same(step):
    script = importlib.import_module(f"components.{step}.main").parser()
    inputs = definition(step).component_spec.inputs or {}
    of_script = {action.dest: action.default for action in script._actions}
    for name, value in inputs.items():
        if value.default is not None:
            assert of_script[name] == value.default, name


@pytest.mark.parametrize("step", STEPS)
def test_definition_runs_the_steps_own_script_in_an_image_that_holds_it(step):
    found = container(step)
    assert list(found["command"]) == ["python", "-m", f"components.{step}.main"]
    name = step if step in IMAGES else "publish"
    assert found["image"] == f"frcnn-{name}:0.1.0"
    assert f"COPY components/{step}/main.py" in (ROOT / "components" / name / "Dockerfile").read_text()


@pytest.mark.parametrize("step", STEPS)
def test_every_output_is_described_for_the_ui(step):
    spec = definition(step).component_spec
    missing = [name for name, each in (spec.outputs or {}).items() if not each.description]
    missing += [name for name, each in (spec.inputs or {}).items() if not each.description]
    described = definition(step).pipeline_func.__doc__ or ""
    assert all(f"{name}:" in described for name in missing), missing


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


@pytest.mark.parametrize("step", IMAGES)
def test_dockerfile_runs_the_script_as_a_numeric_user_and_has_no_entrypoint(step):
    lines = (ROOT / "components" / step / "Dockerfile").read_text().splitlines()
    words = [line.split(maxsplit=1) for line in lines if line and not line.startswith((" ", "#"))]
    by_name = dict(words)
    assert "ENTRYPOINT" not in by_name
    assert by_name["USER"].split(":")[0].isdigit()
    assert by_name["USER"].split(":")[0] != "0"
    assert f'"components.{step}.main"' in by_name["CMD"]
    assert any(
        name == "COPY" and rest.split()[0] in (f"components/{step}", f"components/{step}/main.py")
        for name, rest in words
    )
