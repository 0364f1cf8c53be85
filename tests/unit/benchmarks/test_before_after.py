import subprocess
import sys

import pytest

from benchmarks import before_after
from benchmarks.before_after import Pair, command_pair, table, user_seconds
from benchmarks.run_speed import ROOT

BUSY = "sum(range(20_000_000))"


def test_user_seconds_count_children_and_not_waiting():
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"
    own = user_seconds([sys.executable, "-c", BUSY], ROOT)
    assert own > 0.1
    assert user_seconds([sys.executable, "-c", child], ROOT) > 0.5 * own
    assert user_seconds(["sleep", "0.5"], ROOT) < 0.1


def test_a_command_that_fails_ends_the_comparison():
    with pytest.raises(subprocess.CalledProcessError):
        user_seconds([sys.executable, "-c", "raise SystemExit(3)"], ROOT)


def test_both_versions_run_in_turns_each_with_its_own_code(tmp_path, monkeypatch):
    trees = [tmp_path / "old", tmp_path / "new"]
    for tree in trees:
        (tree / "shared/src").mkdir(parents=True)
        (tree / "own.py").write_text(f"open({str(tmp_path / 'order')!r}, 'a').write('{tree.name} ')")
    monkeypatch.setitem(before_after.COMMANDS, "own", ["-m", "own"])
    pair = command_pair("own", trees, 2)
    assert (tmp_path / "order").read_text() == "old new old new "
    assert len(pair.old) == len(pair.new) == 2


@pytest.mark.parametrize(
    ("new", "verdict"),
    [([1.0, 1.02, 5.0], "unchanged"), ([1.2, 1.3, 1.1], "SLOWER"), ([0.5, 0.6, 2.0], "faster")],
)
def test_the_verdict_is_that_of_the_median(new, verdict):
    row = list(table([Pair("x", [1.0, 1.0, 1.0], new)], "v1").columns[-1].cells)
    assert row == [verdict]


def test_an_old_version_is_unpacked_as_it_was_and_leaves_no_trace():
    with before_after.checkout("HEAD") as tree:
        assert (tree / "benchmarks/run_speed.py").is_file() and (tree / "shared/src/frcnn").is_dir()
    assert not tree.exists()
