"""locks/: what `make setup` installs is what pyproject.toml asks for, in the tested versions, with hashes."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
# What `make demo` installs, and what `make setup` adds.
RUN = {"convert", "train", "evaluate", "inference", "export", "pipeline"}
EXTRAS = RUN | {"data", "tune", "openvino", "docs", "dev"}
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def locked(name: str) -> dict[str, Requirement]:
    """Pinned requirements of a lock file by name; fails on a line that is anything else."""
    text = (ROOT / "locks" / name).read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[str, Requirement] = {}
    for line in filter(None, (line.partition("#")[0].strip() for line in text.splitlines())):
        words, hashes = line.partition(" --hash=")[0], HASH.findall(line)
        assert hashes and len(hashes) == line.count("--"), line
        requirement = Requirement(words)
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), line
        assert canonicalize_name(requirement.name) not in found, (
            "a version for each Python would need a test each"
        )
        found[canonicalize_name(requirement.name)] = requirement
    return found


def constrained() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def asked_for(extras: set[str]) -> list[Requirement]:
    """What the project requires itself, with extras of its own followed."""
    with (ROOT / "shared/pyproject.toml").open("rb") as stream:
        project = tomllib.load(stream)["project"]
    found, todo = [*map(Requirement, project["dependencies"])], set(extras)
    seen: set[str] = set()
    while todo - seen:
        extra = min(todo - seen)
        seen.add(extra)
        for each in map(Requirement, project["optional-dependencies"][extra]):
            todo |= each.extras if each.name == "frcnn" else set()
            found += [] if each.name == "frcnn" else [each]
    return found


@pytest.mark.parametrize(("name", "extras"), [("{}-run.txt", RUN), ("{}.txt", EXTRAS)])
@pytest.mark.parametrize("build", ["cpu", "gpu"])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_requirement_is_locked_in_a_version_that_fits(build, machine, python, name, extras):
    pins = locked(name.format(build))
    here = {"python_version": python, "python_full_version": f"{python}.1", "platform_machine": machine}
    for each in asked_for(extras | {build}):
        if each.marker is not None and not each.marker.evaluate(here):
            continue
        pin = pins[canonicalize_name(each.name)]
        assert pin.marker is None or pin.marker.evaluate(here), each
        assert each.specifier.contains(str(pin.specifier).removeprefix("=="), prereleases=True), each


@pytest.mark.parametrize("name", ["cpu.txt", "gpu.txt", "tensorrt-stubs.txt"])
def test_locked_versions_are_those_that_the_images_install(name):
    versions = constrained()
    pins = {each: str(pin.specifier).removeprefix("==") for each, pin in locked(name).items()}
    assert {each: version for each, version in pins.items() if versions.get(each, version) != version} == {}


@pytest.mark.parametrize("name", ["{}.txt", "{}-run.txt"])
@pytest.mark.parametrize(
    ("build", "machine", "expected"),
    [
        ("cpu", "x86_64", {"tensorflow-cpu"}),
        ("cpu", "aarch64", {"tensorflow"}),  # tensorflow-cpu has no wheels there
        ("gpu", "x86_64", {"tensorflow"}),
        ("gpu", "aarch64", {"tensorflow"}),
    ],
)
def test_only_one_build_of_tensorflow_is_locked_for_a_machine(build, machine, expected, name):
    here = {"platform_machine": machine, "python_version": "3.11"}
    found = {
        each
        for each, pin in locked(name.format(build)).items()
        if each in {"tensorflow", "tensorflow-cpu"} and (pin.marker is None or pin.marker.evaluate(here))
    }
    assert found == expected


def test_what_builds_the_project_is_locked_too():
    pins = locked("cpu.txt")
    for folder in ("shared", "pipelines"):
        with (ROOT / folder / "pyproject.toml").open("rb") as stream:
            for each in map(Requirement, tomllib.load(stream)["build-system"]["requires"]):
                assert each.specifier.contains(str(pins[each.name].specifier).removeprefix("=="))


def test_no_lock_names_an_address():
    for path in (ROOT / "locks").iterdir():
        assert "://" not in path.read_text(encoding="utf-8"), path.name
