"""Names from elsewhere stay below the folder they are meant for or are refused; every place asks for that."""

import ast
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import frcnn
from frcnn.paths import UnsafeNameError, below, fault_of
from frcnn.storage.folder_backend import FolderBackend

PARTS = st.one_of(
    st.sampled_from(
        ["..", ".", "", "a", "b.txt", "~", "...", "-r", "a b", "ü", "\\", "C:", "link", "x" * 256]
    ),
    st.text(max_size=8),
)
NAMES = st.one_of(st.lists(PARTS, max_size=6).map("/".join), st.text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a link that leads out of it, beside one that is nobody's business."""
    top = tmp_path_factory.mktemp("paths")
    (top / "secret").mkdir()
    (top / "folder" / "a").mkdir(parents=True)
    (top / "folder" / "link").symlink_to(top / "secret")
    (top / "folder" / "inner").symlink_to("a")
    return top / "folder"


@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_a_name_stays_below_its_folder_or_is_refused_by_name(folder, name):
    try:
        path = below(folder, name, "s3://bucket/key")
    except UnsafeNameError as error:
        assert str(error).startswith("s3://bucket/key: the name ")
        assert "\n" not in str(error)
        return
    real = Path(os.path.realpath(path))
    assert real != folder.resolve()
    assert real.is_relative_to(folder.resolve())
    assert path.relative_to(folder).as_posix() == name
    os.fsencode(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_the_store_of_a_volume_writes_and_removes_nothing_outside(folder, name):
    before = sorted(folder.parent.rglob("*"))
    keeper = FolderBackend(folder)
    try:
        keeper.write(name, b"x", "9dd4e461268c8034f5c8564e155c67a6")
    except (UnsafeNameError, OSError):  # OSError: the name of a folder
        pass
    else:
        keeper.remove([name])
    assert {path.parts[len(folder.parent.parts)] for path in folder.parent.rglob("*")} == {"folder", "secret"}
    assert set(before) <= set(folder.parent.rglob("*"))
    assert not list((folder.parent / "secret").iterdir())


@pytest.mark.parametrize(
    "name",
    [*("", "/", "/etc/passwd", "..", "../x", "a/../../x", "a/..", ".", "./a", "a//b", "a/", "a/./b"),
     *("a\0b", "a\nb", "\x1b[31m", "x" * 256, "/".join(["x" * 250] * 20), "\ud800", "link/x", "link")],
)  # fmt: skip
def test_names_that_are_refused(folder, name):
    with pytest.raises(UnsafeNameError, match="expected a relative name that stays below its folder"):
        below(folder, name)


@pytest.mark.parametrize("name", ["a", "a/b", "ü + % #1.txt", "..a", "a..", "~", "inner/x", "x" * 255, "-r"])
def test_names_that_are_taken(folder, name):
    assert below(folder, name) == folder / name
    assert fault_of(name) is None


def test_links_are_followed_where_the_owner_of_the_folder_is_meant_to_lay_them(folder):
    assert below(folder, "link/x", follow_links=True) == folder / "link" / "x"
    with pytest.raises(UnsafeNameError):
        below(folder, "link/../../x", follow_links=True)


# Modules that take names from a server, a manifest, an archive or a copy of these, and how each of their
# joins of a folder with something that is not written in the code is safe. A new join fails the test below.
FOREIGN = (
    *("storage/*.py", "training/s3_backup.py", "data/records/disk_cache.py", "data/records/files.py"),
    *("model/files/archive.py", "model/files/hdf5*.py", "training/pretrained/*.py"),
)
SAFE_JOINS = {
    "storage/cache_folder.py": {
        "cache / name",  # a name in the code
        "Path(tempfile.gettempdir(), f'{_NAME}-cache-{os.getuid()}')",
    },
    "storage/download.py": {
        "staging / f'.{name}.partial'",  # a checksum
        "staging / f'.{name}.journal'",
    },
    "storage/folder_backend.py": {
        "self._root / name",  # in messages only
        "self._root / folder",  # of a path that was checked
        "Path(folder, name)",  # of the file system's own listing
        "Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=path.parent)) / f'{_PARTIAL}{path.name}'",
        "folder / f'{_PARTIAL}{path.name}'",
    },
    "storage/packing.py": {"Path(top, name)", "Path(top, each)"},  # the file system's own listing
    "storage/mirror.py": {"Path(top, name)", "self._folder / name"},  # the same
    "storage/object_store.py": {"staging / path.name"},  # of a path that the caller gives
    "data/records/disk_cache.py": {"Path(top, name)"},
}


def test_every_place_that_takes_foreign_names_asks_for_a_path_below_its_folder():
    root = Path(frcnn.__file__).parent
    found = {}
    for pattern in FOREIGN:
        for path in sorted(root.glob(pattern)):
            if joins := set(_joins(ast.parse(path.read_text(encoding="utf-8")))):
                found[path.relative_to(root).as_posix()] = joins
    unknown = {name: joins - SAFE_JOINS.get(name, set()) for name, joins in found.items()}
    assert not {name: joins for name, joins in unknown.items() if joins}, (
        "a path is made of something that may come from elsewhere: use frcnn.paths.below, "
        "or say in SAFE_JOINS why it cannot"
    )
    stale = {name: joins - found.get(name, set()) for name, joins in SAFE_JOINS.items()}
    assert not {name: joins for name, joins in stale.items() if joins}


def _joins(tree):
    """Joins of paths with what no text in the code is."""
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(op=ast.Div(), right=right) if not _is_fixed(right):
                if not _is_arithmetic(node):
                    yield ast.unparse(node)
            case ast.Call(func=ast.Name(id="Path"), args=[_, _, *_]):
                yield ast.unparse(node)
            case ast.Call(func=ast.Attribute(attr="joinpath" | "with_name"), args=args) if not all(
                map(_is_fixed, args)
            ):
                if node.func.attr == "joinpath":  # `with_name` refuses slashes itself
                    yield ast.unparse(node)


def _is_fixed(node):
    """A text in the code, or a constant of the module."""
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.isupper())


def _is_arithmetic(node):
    numbers = (
        isinstance(each, ast.Constant) and isinstance(each.value, int | float) for each in ast.walk(node)
    )
    sums = (isinstance(each, ast.BinOp) and isinstance(each.op, ast.Add) for each in ast.walk(node))
    return any(numbers) or any(sums) or ast.unparse(node.right) in ("MIB", "seconds")
