"""A whole spec is seen at the doors only; below them, functions take settings and single values.

A module that is not listed here gets what it needs of a spec as an argument; `frcnn.settings` resolves it.
Commands load their spec through `frcnn.cli.spec_flags`.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Both kinds of spec, and the functions that read them.
SPECS = {"Experiment", "DatasetExportConfig", "Spec", "ConvertSpec"}
LOADERS = {"load_experiment", "load_dataset_export", "load_any", "parse_experiment", "parse_dataset_export"}
LIBRARY_DOORS = {
    "__init__.py",
    *(f"api/{name}.py" for name in ("data_reports", "specs", "training", "tuning")),
    *(f"cli/{name}.py" for name in ("spec", "spec_flags")),
    *(f"settings/{name}.py" for name in ("conversion", "data", "evaluation", "exporting")),
    *(f"settings/{name}.py" for name in ("inference", "model", "training")),
    *(f"steps/{name}.py" for name in ("default_conversion", "specs", "suggested_spec")),
    "tuning/tuned_spec.py",
}
STEP_DOORS = {
    "pipelines/spec_key.py",
}


def imported(tree: ast.AST) -> Iterator[str]:
    """Names that a module imports from the spec, wherever in the module it does, for types alone too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            of_the_spec = node.module == "frcnn.spec" or node.module.startswith("frcnn.spec.")
            if of_the_spec or node.module == "frcnn":
                yield from (each.name for each in node.names)


def seeing_specs(folder: Path) -> set[str]:
    """Modules of a folder that import a spec or a function that reads one."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if not (SPECS | LOADERS).isdisjoint(imported(ast.parse(path.read_text(encoding="utf-8"))))
    }


def test_the_library_sees_a_spec_at_its_doors_only():
    library = ROOT / "shared/src/frcnn"
    seen = {each for each in seeing_specs(library) if not each.startswith("spec/")}
    assert seen == LIBRARY_DOORS


def test_the_steps_and_pipelines_see_a_spec_at_their_doors_only():
    seen = {f"{top}/{each}" for top in ("components", "pipelines") for each in seeing_specs(ROOT / top)}
    assert seen == STEP_DOORS


def test_no_more_than_19_modules_see_a_spec():
    assert len(LIBRARY_DOORS) + len(STEP_DOORS) <= 19


def test_an_import_inside_a_function_or_for_types_counts(tmp_path):
    (tmp_path / "late.py").write_text("def f():\n    from frcnn.spec.load import parse_experiment as read\n")
    (tmp_path / "typed.py").write_text("if TYPE_CHECKING:\n    from frcnn import Spec\n")
    (tmp_path / "other.py").write_text(
        "from frcnn.spec.archs import ARCHS\nfrom frcnn.spec_writing import Spec\n"
    )
    assert seeing_specs(tmp_path) == {"late.py", "typed.py"}
