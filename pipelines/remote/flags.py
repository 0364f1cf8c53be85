"""Flags of the subcommands of `frcnn pipeline` for runs on a cluster."""

import argparse
from pathlib import Path

from pipelines import pods
from pipelines.remote import package, server


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommands and their flags."""
    submit = commands.add_parser("submit", help="start a run on a cluster")
    package.add_flags(submit)
    _add_run_flags(submit)
    _add_wait_flags(submit)
    schedule = commands.add_parser("schedule", help="start runs on a cluster on a schedule")
    package.add_flags(schedule)
    _add_run_flags(schedule)
    _add_schedule_flags(schedule)
    listed = commands.add_parser("list", help="list runs and schedules of a cluster")
    listed.add_argument(
        "--limit",
        type=int,
        default=20,
        metavar="N",
        help="largest number of runs, newest first (default: 20)",
    )
    status = commands.add_parser("status", help="show or follow a run on a cluster")
    status.add_argument("run_id", metavar="RUN", help="id of the run")
    _add_wait_flags(status)
    cancel = commands.add_parser("cancel", help="cancel a run on a cluster, or remove a schedule")
    cancel.add_argument("run_id", metavar="RUN", nargs="?", help="id of the run")
    cancel.add_argument("--schedule", metavar="NAME", help="name of a schedule to remove, instead of RUN")
    publish = commands.add_parser("publish", help="upload the pipeline, so that it can be started in the UI")
    package.add_image_flags(publish)
    pods.add_flags(publish)
    publish.add_argument(
        "--version", default="", metavar="NAME", help="name of the version (default: hash of the content)"
    )
    publish.add_argument(
        "--pipeline",
        choices=("faster-rcnn", "faster-rcnn-tune"),
        default="faster-rcnn",
        help="pipeline to upload; faster-rcnn-tune searches with Katib first (default: faster-rcnn)",
    )
    publish.add_argument(
        "--package", type=Path, metavar="FILE", help="YAML to upload (default: compile the pipeline)"
    )
    for each in (submit, schedule, listed, status, cancel, publish):
        server.add_flags(each)


def _add_run_flags(flags: argparse.ArgumentParser) -> None:
    flags.add_argument("--name", default="", metavar="TEXT", help="name of the run or schedule in the UI")
    flags.add_argument(
        "--experiment",
        default="faster-rcnn",
        metavar="NAME",
        help="experiment that groups the runs (default: faster-rcnn)",
    )


def _add_wait_flags(flags: argparse.ArgumentParser) -> None:
    flags.add_argument(
        "--wait", action="store_true", help="follow the run; exit code 1 if it fails or exports no model"
    )
    flags.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="longest time to wait (default: no limit)"
    )
    flags.add_argument(
        "--stalled",
        type=float,
        default=1800.0,
        metavar="SECONDS",
        help="longest time to wait for a pod that does not start; 0: no limit (default: 1800)",
    )
    flags.add_argument(
        "--poll",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="seconds between status requests (default: 10)",
    )


def _add_schedule_flags(flags: argparse.ArgumentParser) -> None:
    add = flags.add_argument
    add("--cron", required=True, metavar="'M H D M W'", help="cron expression, for example '0 2 * * 1-5'")
    add(
        "--timezone",
        default="",
        metavar="ZONE",
        help="time zone of --cron, for example Europe/Berlin (default: that of the server)",
    )
    add(
        "--server_timezone",
        default="UTC",
        metavar="ZONE",
        help="time zone of the server's scheduler (default: UTC)",
    )
    add(
        "--max_concurrency",
        type=int,
        default=1,
        metavar="N",
        help="largest number of runs of the schedule at a time (default: 1)",
    )
