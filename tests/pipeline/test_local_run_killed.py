"""A local run, killed before every call that changes a file: the same command ends like a run not killed."""

from pathlib import Path

import pytest
from kfp import dsl

from frcnn.single_writer import only_writer_in
from pipelines.local.processes import StepRun, run_pipeline
from pipelines.local.run import link_latest
from tests.support.kill_points import each_kill, kill_server

WRITE = """
import sys
from pathlib import Path
from frcnn.files import write_text
from frcnn.steps.kfp_output import write_executor_output
described, target, text = sys.argv[1:4]
write_text(Path(target), text + (open(sys.argv[4]).read() if len(sys.argv) > 4 else ""))
write_executor_output(described, {})
"""


@dsl.container_component
def first(made: dsl.Output[dsl.Artifact], text: str):
    return dsl.ContainerSpec(image="none", command=["python", "-c", WRITE, "{{$}}", made.path, text])


@dsl.container_component
def second(made: dsl.Output[dsl.Artifact], given: dsl.Input[dsl.Artifact]):
    return dsl.ContainerSpec(
        image="none", command=["python", "-c", WRITE, "{{$}}", made.path, "second ", given.path]
    )


@dsl.pipeline(name="two-steps")
def two_steps(text: str):
    second(given=first(text=text).outputs["made"])


def run_here(folder: Path) -> None:
    """The job: what `frcnn pipeline run` does around the steps."""
    output = folder / "output"
    steps: list[StepRun] = []
    with only_writer_in(output, "pipeline"):
        run_pipeline(two_steps, {"text": "first"}, output / "artifacts", output / "cache", steps)
        link_latest(steps, output / "latest")


@pytest.mark.slow
def test_at_every_kill_the_next_run_ends_with_the_same_artifacts(tmp_path, record_property):
    prepared, server_files = tmp_path / "prepared", tmp_path / "server"
    server_files.mkdir()
    run_here(prepared)
    for entry in (prepared / "output/cache").iterdir():
        entry.unlink()

    def check(folder: Path) -> None:
        assert set(linked(folder)) in ({"first/made", "second/made"}, set())

    with kill_server(run_here, server_files) as server:
        tried = each_kill(server, prepared, tmp_path / "work", check, equal=linked)
    record_property("kill points", tried)
    assert tried > 20


def linked(folder: Path) -> dict[str, str]:
    """Describes the links of the last run."""
    output = folder / "output"
    return {
        str(path.relative_to(output / "latest")): path.read_text()
        for path in sorted((output / "latest").glob("*/*"))
    }
