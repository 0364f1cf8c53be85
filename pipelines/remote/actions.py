"""Operations on a server: start, list and cancel runs, manage schedules, publish the pipeline."""

import contextlib
import datetime
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frcnn.errors import RunError, UsageError
from pipelines.faster_rcnn import NAME
from pipelines.remote.connection import Connection
from pipelines.remote.package import without_reuse

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
    """Starts a run of the pipeline.

    Args:
        connection: Connection to the server.
        package: YAML file of the pipeline.
        arguments: Parameters of the run.
        name: Name of the run. Empty: pipeline name and time.
        experiment: Experiment of the run.
        cached: Whether outputs of earlier steps are reused.
        service_account: Service account of the steps. `None` uses the server's default.

    Returns:
        Id of the run.

    Raises:
        RunError: The server refused the request or is unreachable.
    """
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
    """Creates a schedule, or replaces the one with the same name. Missed runs are not caught up on.

    Args:
        connection: Connection to the server.
        package: YAML file of the pipeline.
        arguments: Parameters of each run.
        name: Name of the schedule.
        cron: Cron expression with six fields, in the server's time zone.
        max_concurrency: Largest number of runs of the schedule at a time.
        experiment: Experiment of the runs.
        cached: Whether outputs of earlier steps are reused.
        service_account: Service account of the steps. `None` uses the server's default.

    Returns:
        Id of the schedule.

    Raises:
        RunError: The server refused the request or is unreachable.
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
    # Remove the previous schedule last, so that it is kept if the new one is rejected.
    for each in former:
        _remove_schedule(connection, each)
    return str(made.recurring_run_id)


def schedules(connection: Connection) -> list[Any]:
    """Lists all schedules.

    Args:
        connection: Connection to the server.

    Returns:
        Schedules as kfp returns them.
    """
    found: list[Any] = []
    token = ""
    while True:
        ask = functools.partial(_page_of_schedules, namespace=connection.namespace, token=token)
        page = connection.ask(ask)
        found += page.recurring_runs or []
        token = page.next_page_token or ""
        if not token:
            return found


def runs(connection: Connection, most: int) -> list[Any]:
    """Lists the newest runs.

    Args:
        connection: Connection to the server.
        most: Largest number of runs.

    Returns:
        Runs as kfp returns them, newest first.
    """
    answer = connection.ask(
        lambda client: client.list_runs(
            page_size=most, sort_by="created_at desc", namespace=connection.namespace
        )
    )
    return list(answer.runs or [])


def cancel(connection: Connection, run_id: str) -> None:
    """Cancels a run.

    Args:
        connection: Connection to the server.
        run_id: Id of the run.
    """
    connection.ask(lambda client: client.terminate_run(run_id), f"run {run_id}")


def cancel_schedule(connection: Connection, name: str) -> None:
    """Removes schedules by name or id. Runs that they have started continue.

    Args:
        connection: Connection to the server.
        name: Name or id.

    Raises:
        UsageError: No schedule matches.
    """
    found = schedules(connection)
    chosen = [each for each in found if name in (each.display_name, each.recurring_run_id)]
    if not chosen:
        there = ", ".join(sorted(str(each.display_name) for each in found)) or "none"
        raise UsageError(f"--schedule {name}: no such schedule. Existing schedules: {there}")
    for each in chosen:
        _remove_schedule(connection, each)


def publish(connection: Connection, package: Path, version: str = "", name: str = NAME) -> tuple[str, bool]:
    """Uploads the pipeline as a version that users can start in the UI.

    Args:
        connection: Connection to the server.
        package: YAML file of the pipeline.
        version: Name of the version. Empty: a hash of the content, so that an unchanged pipeline is uploaded
            only once.
        name: Name of the pipeline.

    Returns:
        Tuple of the version's name and whether it is new.

    Raises:
        RunError: A version with the given name exists.
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
        lambda client: client.list_pipeline_versions(pipeline_id, page_size=1, filter=_named(wanted))
    )
    if present.pipeline_versions:
        if version:
            raise RunError(
                f"--version {version} already exists, and versions cannot be changed. Choose another name."
            )
        return wanted, False
    connection.ask(
        lambda client: client.upload_pipeline_version(str(package), wanted, pipeline_id=pipeline_id)
    )
    return wanted, True


def link(connection: Connection, run_id: str) -> str:
    """Returns the URL of a run in the UI.

    Args:
        connection: Connection to the server.
        run_id: Id of the run.
    """
    return f"{connection.where.host}/#/runs/details/{run_id}"


def _sent(package: Path, cached: bool) -> contextlib.AbstractContextManager[Path]:
    """Returns a context with the YAML to send: unchanged, or with caching disabled."""
    return contextlib.nullcontext(package) if cached else without_reuse(package)


def _experiment(client: Any, name: str, namespace: str | None) -> str:
    return str(client.create_experiment(name, namespace=namespace).experiment_id)


def _pipeline_id(client: Any, name: str, namespace: str | None) -> str | None:
    answer = client.list_pipelines(page_size=2, filter=_named(name), namespace=namespace)
    found = [each.pipeline_id for each in answer.pipelines or []]
    return found[0] if found else None


def _named(name: str) -> str:
    return json.dumps({"predicates": [{"operation": _EQUALS, "key": "display_name", "stringValue": name}]})


def _remove_schedule(connection: Connection, each: Any) -> None:
    number = each.recurring_run_id
    connection.ask(lambda client: client.delete_recurring_run(number), f"schedule {each.display_name}")


def _page_of_schedules(client: Any, *, namespace: str | None, token: str) -> Any:
    return client.list_recurring_runs(page_token=token, page_size=PAGE_SIZE, namespace=namespace)
