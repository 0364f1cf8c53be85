"""What can be asked of a server: start a run, schedule runs, list, cancel, publish the pipeline."""

import contextlib
import datetime
import functools
import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frcnn.errors import RunError, UsageError
from pipelines.faster_rcnn import NAME
from pipelines.remote.connection import Connection
from pipelines.remote.package import without_reuse

log = logging.getLogger("frcnn.pipeline")

EXPERIMENT = NAME
PAGE_SIZE = 100
_EQUALS = 1


def start(
    connection: Connection,
    package: Path,
    arguments: Mapping[str, Any],
    *,
    name: str = "",
    experiment: str = EXPERIMENT,
    cached: bool = True,
    service_account: str | None = None,
) -> str:
    """Starts a run of the pipeline in `package`; returns its id."""
    now = datetime.datetime.now(datetime.UTC)
    with _sent(package, cached) as path:
        run = connection.ask(
            lambda client: client.run_pipeline(
                _experiment(client, experiment, connection.namespace),
                name or f"{NAME} {now:%Y-%m-%d %H:%M:%S}",
                pipeline_package_path=str(path),
                params=dict(arguments),
                service_account=service_account,
            )
        )
    return str(run.run_id)


def schedule(
    connection: Connection,
    package: Path,
    arguments: Mapping[str, Any],
    *,
    name: str,
    cron: str,
    max_concurrency: int = 1,
    experiment: str = EXPERIMENT,
    cached: bool = True,
    service_account: str | None = None,
) -> str:
    """Makes a schedule, without catching up on missed times; one of that name is replaced. Returns its id.

    Args:
        connection: To the server.
        package: The pipeline's YAML.
        arguments: Parameters of each run.
        name: Of the schedule.
        cron: Six fields, in the server's time zone.
        max_concurrency: So many of its runs at once.
        experiment: That its runs belong to.
        cached: Whether steps are reused.
        service_account: That the steps run as.
    """
    former = [each for each in schedules(connection) if each.display_name == name]
    with _sent(package, cached) as path:
        made = connection.ask(
            lambda client: client.create_recurring_run(
                _experiment(client, experiment, connection.namespace),
                name,
                cron_expression=cron,
                max_concurrency=max_concurrency,
                no_catchup=True,
                params=dict(arguments),
                pipeline_package_path=str(path),
                service_account=service_account,
            )
        )
    # Only now: a schedule that is refused leaves the former one.
    for each in former:
        _remove_schedule(connection, each)
    return str(made.recurring_run_id)


def schedules(connection: Connection) -> list[Any]:
    """All schedules."""
    return _pages(
        connection,
        lambda client, token: client.list_recurring_runs(
            page_token=token, page_size=PAGE_SIZE, namespace=connection.namespace
        ),
        "recurring_runs",
    )


def runs(connection: Connection, most: int) -> list[Any]:
    """The newest runs, at most so many."""
    answer = connection.ask(
        lambda client: client.list_runs(
            page_size=most, sort_by="created_at desc", namespace=connection.namespace
        )
    )
    return list(answer.runs or [])


def cancel(connection: Connection, run_id: str) -> None:
    """Ends a run."""
    connection.ask(lambda client: client.terminate_run(run_id), f"run {run_id}")


def cancel_schedule(connection: Connection, name: str) -> None:
    """Removes schedules by name or id; what they have started goes on.

    Raises:
        UsageError: There is none.
    """
    found = schedules(connection)
    chosen = [each for each in found if name in (each.display_name, each.recurring_run_id)]
    if not chosen:
        there = ", ".join(sorted(str(each.display_name) for each in found)) or "none"
        raise UsageError(f"--schedule {name}: no schedule of that name; there is: {there}")
    for each in chosen:
        _remove_schedule(connection, each)


def publish(connection: Connection, package: Path, version: str = "", name: str = NAME) -> tuple[str, bool]:
    """Uploads the pipeline as a version that people start from the UI.

    Without a `version`, it is named after its content, so that the same pipeline is uploaded once.

    Returns:
        The version's name, and whether it is new.

    Raises:
        RunError: The version is there, with other content than its name may stand for.
    """
    wanted = version or hashlib.sha256(package.read_bytes()).hexdigest()[:12]
    pipeline_id = connection.ask(lambda client: _pipeline_id(client, name, connection.namespace))
    if pipeline_id is None:
        pipeline = connection.ask(
            lambda client: client.upload_pipeline(
                str(package), pipeline_name=name, namespace=connection.namespace
            )
        )
        pipeline_id = pipeline.pipeline_id
    present = connection.ask(
        lambda client: client.list_pipeline_versions(
            pipeline_id, page_size=1, filter=_named(wanted, "display_name")
        )
    )
    if present.pipeline_versions:
        if version:
            raise RunError(f"--version {version}: is there already, and versions do not change; name another")
        return wanted, False
    connection.ask(
        lambda client: client.upload_pipeline_version(str(package), wanted, pipeline_id=pipeline_id)
    )
    return wanted, True


def link(connection: Connection, run_id: str) -> str:
    """Where the UI shows a run."""
    return f"{connection.where.host}/#/runs/details/{run_id}"


def _sent(package: Path, cached: bool) -> contextlib.AbstractContextManager[Path]:
    """The YAML to send: as it is, or with every step run anew."""
    return contextlib.nullcontext(package) if cached else without_reuse(package)


def _experiment(client: Any, name: str, namespace: str | None) -> str:
    return str(client.create_experiment(name, namespace=namespace).experiment_id)


def _pipeline_id(client: Any, name: str, namespace: str | None) -> str | None:
    answer = client.list_pipelines(page_size=2, filter=_named(name, "display_name"), namespace=namespace)
    found = [each.pipeline_id for each in answer.pipelines or []]
    return found[0] if found else None


def _named(name: str, key: str) -> str:
    return json.dumps({"predicates": [{"operation": _EQUALS, "key": key, "stringValue": name}]})


def _remove_schedule(connection: Connection, each: Any) -> None:
    number = each.recurring_run_id
    connection.ask(lambda client: client.delete_recurring_run(number), f"schedule {each.display_name}")


def _pages(connection: Connection, question: Any, key: str) -> list[Any]:
    found: list[Any] = []
    token = ""
    while True:
        page = connection.ask(functools.partial(_turned, question, token))
        found += getattr(page, key) or []
        token = page.next_page_token or ""
        if not token:
            return found


def _turned(question: Any, token: str, client: Any) -> Any:
    return question(client, token)
