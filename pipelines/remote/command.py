"""`frcnn pipeline submit|schedule|list|status|cancel|publish`."""

import argparse
import contextlib
import datetime
import logging
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from frcnn.errors import RunError, UsageError
from pipelines import pods
from pipelines.remote import cron, package
from pipelines.remote.connection import Connection
from pipelines.remote.server import selected

log = logging.getLogger("frcnn.pipeline")


def run(args: argparse.Namespace) -> None:
    """Runs the subcommand.

    Args:
        args: Parsed flags.
    """
    {
        "submit": _submit,
        "schedule": _schedule,
        "list": _list,
        "status": _status,
        "cancel": _cancel,
        "publish": _publish,
    }[args.command](args)


def _check_wait_flags(args: argparse.Namespace) -> None:
    """Checks the seconds of `_add_wait_flags` before a run is started.

    Raises:
        UsageError: A number is out of range.
    """
    for flag, value, fits, expected in (
        ("poll", args.poll, args.poll > 0, "a number above 0"),
        ("timeout", args.timeout or 0.0, args.timeout is None or args.timeout > 0, "a number above 0"),
        ("stalled", args.stalled, args.stalled >= 0, "0 or more"),
    ):
        if not fits or not math.isfinite(value):
            raise UsageError(f"--{flag} {value:g}: expected {expected}, in seconds")


def _submit(args: argparse.Namespace) -> None:
    from pipelines.remote import actions

    _check_wait_flags(args)
    with _package(args) as (server, path, arguments):
        run_id = actions.start(
            server,
            path,
            arguments,
            name=args.name,
            experiment=args.experiment,
            cached=not args.no_cache,
            service_account=args.service_account,
        )
    sys.stdout.write(f"run: {run_id}\n{actions.link(server, run_id)}\n")
    sys.stdout.flush()
    if args.wait:
        _follow(server, run_id, args)


@contextlib.contextmanager
def _package(args: argparse.Namespace) -> Iterator[tuple[Connection, Path, dict[str, Any]]]:
    """Yields a server that can run the pipeline, the compiled pipeline, and its parameters."""
    package.choose_images(args)
    arguments = package.arguments(args)
    server = Connection(selected(args))
    server.require_release()
    pods.choose_release(server.release)
    with package.compiled(args) as path:
        yield server, path, arguments


def _follow(server: Connection, run_id: str, args: argparse.Namespace) -> None:
    from pipelines.remote.follow import follow

    with _run_continues_on_interrupt(run_id):
        follow(server, run_id, _known(), poll=args.poll, timeout=args.timeout, stalled=args.stalled)


@contextlib.contextmanager
def _run_continues_on_interrupt(run_id: str) -> Iterator[None]:
    """Reports on Ctrl-C that the run continues."""
    try:
        yield
    except KeyboardInterrupt:
        log.warning("Run %s continues. Cancel it with: frcnn pipeline cancel %s", run_id, run_id)
        raise


def _schedule(args: argparse.Namespace) -> None:
    from pipelines.remote import actions

    if not args.name:
        raise UsageError("--name is required: it identifies the schedule to create or replace")
    if args.max_concurrency < 1:
        raise UsageError(f"--max_concurrency {args.max_concurrency}: expected 1 or more")
    times = _times(args)
    with _package(args) as (server, path, arguments):
        made = actions.schedule(
            server,
            path,
            arguments,
            name=args.name,
            cron=times,
            max_concurrency=args.max_concurrency,
            experiment=args.experiment,
            cached=not args.no_cache,
            service_account=args.service_account,
        )
    sys.stdout.write(f"schedule: {args.name} ({made})\ntimes: {times} ({args.server_timezone})\n")


def _times(args: argparse.Namespace) -> str:
    """Returns the cron expression in the server's time zone."""
    server_zone = cron.zone(args.server_timezone)
    here = cron.zone(args.timezone) if args.timezone else server_zone
    now = datetime.datetime.now(datetime.UTC)
    times, change = cron.translated(args.cron, here, server_zone, now)
    if change is not None:
        log.warning(
            "Clocks change in %s or %s by %s, but the schedule is not adjusted: run this command again then",
            here.key,
            server_zone.key,
            f"{change:%Y-%m-%d}",
        )
    return times


def _list(args: argparse.Namespace) -> None:
    from pipelines.remote import actions

    if args.limit < 1:
        raise UsageError(f"--limit {args.limit}: expected 1 or more")
    server = Connection(selected(args))
    lines = [f"{'run':<38}{'state':<12}{'created':<18}name"]
    for each in actions.runs(server, args.limit):
        created = f"{each.created_at:%Y-%m-%d %H:%M}" if each.created_at else ""
        lines.append(f"{each.run_id:<38}{(each.state or '').lower():<12}{created:<18}{each.display_name}")
    lines += ["", f"{'schedule':<38}{'state':<12}{'times':<18}name"]
    for each in actions.schedules(server):
        trigger = each.trigger.cron_schedule.cron if each.trigger and each.trigger.cron_schedule else "-"
        state = (each.status or each.mode or "").lower()
        lines.append(f"{each.recurring_run_id:<38}{state:<12}{trigger:<18}{each.display_name}")
    sys.stdout.write("\n".join(lines) + "\n")


def _status(args: argparse.Namespace) -> None:
    from pipelines.remote.steps import RUNNING, steps, table

    _check_wait_flags(args)
    server = Connection(selected(args))
    if args.wait:
        _follow(server, args.run_id, args)
        return
    found = server.ask(lambda client: client.get_run(args.run_id), f"run {args.run_id}")
    sys.stdout.write(f"{found.display_name}: {(found.state or '').lower()}\n")
    sys.stdout.write(table(steps(found, _known())))
    if (found.state or RUNNING[0]) in ("FAILED", "CANCELED"):
        message = found.error.message if found.error else ""
        raise RunError(f"run {args.run_id}: {found.state.lower()}{f': {message}' if message else ''}")


def _cancel(args: argparse.Namespace) -> None:
    from pipelines.remote import actions

    if bool(args.run_id) == bool(args.schedule):
        raise UsageError("specify either the id of a run (see frcnn pipeline list) or --schedule NAME")
    server = Connection(selected(args))
    if args.schedule:
        actions.cancel_schedule(server, args.schedule)
        sys.stdout.write(f"schedule {args.schedule} removed; the runs that it started continue\n")
        return
    actions.cancel(server, args.run_id)
    sys.stdout.write(f"run {args.run_id} is being canceled; results of finished steps are kept\n")


def _publish(args: argparse.Namespace) -> None:
    from pipelines.remote import actions

    if args.package is not None and not args.package.is_file():
        raise UsageError(f"--package {args.package}: no such file. Create one with frcnn pipeline compile.")
    package.choose_images(args)
    server = Connection(selected(args))
    server.require_release()
    pods.choose_release(server.release)
    with contextlib.nullcontext(args.package) if args.package else package.compiled(args) as path:
        version, new = actions.publish(server, path, args.version, args.pipeline)
    sys.stdout.write(f"pipeline version: {version}{'' if new else ' (already exists)'}\n")


def _known() -> Mapping[str, list[str]]:
    from google.protobuf import json_format

    from pipelines.faster_rcnn import faster_rcnn
    from pipelines.remote.steps import names

    return names(json_format.MessageToDict(faster_rcnn.pipeline_spec))
