"""Extras that messages name."""

import ast
import contextlib
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest

from frcnn.cli.tasks import all_tasks
from frcnn.errors import MissingPackageError
from frcnn.packages import EXTRAS, INCLUDED, extras_for, needed_for, require

PROJECT = tomllib.loads((Path(__file__).parents[2] / "shared/pyproject.toml").read_text(encoding="utf-8"))
DECLARED = PROJECT["project"]["optional-dependencies"]


def included(extra: str) -> set[str]:
    """The extras that an extra of the distribution brings, and those that they bring."""
    found = set()
    for line in DECLARED[extra]:
        if line.startswith("frcnn["):
            for each in line.removeprefix("frcnn[").rstrip("]").split(","):
                found |= {each, *included(each)}
    return found


def test_the_extras_of_tasks_and_packages_exist():
    named = {*EXTRAS.values(), *(task.extras for task in all_tasks().values() if task.extras)}
    assert {extra for each in named for extra in each.split(",")} <= set(DECLARED)


@pytest.mark.parametrize("extra", sorted(INCLUDED))
def test_extras_include_what_the_distribution_says(extra):
    own = {"onnx"} if extra == "export" else set()  # lists the same packages, not the extra
    assert INCLUDED[extra] == included(extra) | own


@pytest.fixture
def without(monkeypatch):
    """Makes packages look as if they were not installed, and all others as if they were."""

    def hide(*names):
        monkeypatch.setattr("frcnn.packages._is_installed", lambda package: package not in names)

    return hide


@pytest.mark.parametrize(
    ("wanted", "package", "expected"),
    [
        ("evaluate", "numpy", "evaluate"),
        ("evaluate", "keras", "evaluate"),
        ("evaluate", "openvino", "evaluate,openvino"),
        ("evaluate", "onnx", "evaluate,onnx"),
        ("export", "onnx", "export"),
        ("onnx", "numpy", "onnx"),
        ("", "h5py", "train"),
    ],
)
def test_one_command_installs_all_that_a_task_needs(without, wanted, package, expected):
    without(package)
    assert extras_for([package], wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "package", "expected"),
    [
        ("evaluate", "h5py", "evaluate,cpu"),
        ("", "h5py", "train,cpu"),
        ("", "tensorflow", "train,cpu"),
        ("export,cpu", "onnx", "export,cpu"),
        ("convert", "numpy", "convert"),
        ("onnx", "onnxruntime", "onnx"),
    ],
)
def test_the_extra_with_tensorflow_is_named_where_it_is_needed_and_missing(
    without, wanted, package, expected
):
    without(package, "tensorflow")
    assert extras_for([package], wanted) == expected


def test_the_extra_for_cpus_is_never_put_over_the_tensorflow_for_gpus(without):
    without("h5py")
    assert extras_for(["h5py"], "train,cpu") == "train"


def test_all_missing_packages_are_named_in_one_sentence(without):
    without("h5py", "tensorflow", "tf2onnx", "imagehash")
    with pytest.raises(MissingPackageError) as raised:
        require("evaluate,export", "frcnn pipeline run")
    assert str(raised.value) == (
        "frcnn pipeline run needs the packages h5py, tensorflow and tf2onnx, which are not installed: "
        "pip install 'frcnn[evaluate,export,cpu]'"
    )
    assert (raised.value.package, raised.value.extra) == ("h5py", "evaluate,export,cpu")
    require("onnx", "exported models")


def test_an_exception_of_an_import_names_what_else_is_missing(without):
    without("numpy", "onnxruntime")
    message = r"loading m.onnx needs the packages numpy and onnxruntime, .*'frcnn\[onnx\]'$"
    with pytest.raises(MissingPackageError, match=message), needed_for("loading m.onnx", "onnx"):
        raise ModuleNotFoundError("No module", name="numpy")


# Modules of packages that every installation has, or that no extra brings.
ALWAYS = {"google", "rich", "shtab"}
BY_HAND = {"horovod", "tensorrt"}


def test_each_package_that_the_code_imports_has_an_extra():
    """A missing one would otherwise be reported as a fault of this program."""
    root = Path(__file__).parents[2]
    folders = [root / "shared/src/frcnn", root / "pipelines", root / "components"]
    ours = {"frcnn", "pipelines", "components"}
    imported = set()
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    assert imported - sys.stdlib_module_names - ours - ALWAYS - BY_HAND == set(EXTRAS)


@pytest.mark.parametrize("package", sorted(EXTRAS))
def test_the_extra_of_a_package_brings_it(package):
    """Compared with metadata: the distribution that has the module is among those that the extra installs."""
    owners = packages_distributions().get(package, [])
    if not owners:
        pytest.skip("not installed here")
    extra = EXTRAS[package]
    tensorflow = {"cpu"} if package == "tensorflow" else set()
    asked = closure({extra, *included(extra), *tensorflow})
    assert asked & {canonical(each) for each in owners}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(extras):
    """The distributions that extras install, with their own dependencies."""
    todo = [line for extra in extras for line in DECLARED[extra] if not line.startswith("frcnn[")]
    found = set()
    while todo:
        name = canonical(re.match(r"[\w.-]+", todo.pop())[0])
        if name not in found:
            found.add(name)
            with contextlib.suppress(PackageNotFoundError):
                todo += [line for line in requires(name) or () if "extra ==" not in line]
    return found
