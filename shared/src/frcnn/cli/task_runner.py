"""Common parts of all tasks: flags, logging, status records, signals and exit codes.

A task module has HELP, EXAMPLES, `add_arguments(parser)` and `run(args)`. In addition to its own flags,
`args` contains `gpus`, `gpu_index`, `num_processes` (all resolved), `num_processes_given`, `use_amp`,
`log_file` and `verbose`. If the task has the flag `--results_dir`, this module writes STARTED and SUCCESS or
FAILURE to its status.json; the task itself writes only RUNNING records. `run` returns a mapping such as
`{"kpi": {...}}`, which is added to the SUCCESS record, or `None`. If the extras that it needs depend on its
flags, `extras(args)` returns them. With ONE_WRITER = True, only one run of the
task at a time may use a results folder. If a launcher started several processes, only rank 0 writes.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from frcnn.cli.command_parser import CommandParser
from frcnn.cli.overwrite_checks import refuse_overwriting
from frcnn.cli.tasks import Task
from frcnn.console import exit_codes
from frcnn.console.keras_settings import settle_keras
from frcnn.console.logs import setup_logging
from frcnn.console.progress import bars_shown
from frcnn.console.quiet_import import LOG_LEVEL, LOUD, QUIET, quiet_tensorflow_import
from frcnn.console.signals import terminate_as_interrupt
from frcnn.console.status_file import StatusWriter
from frcnn.console.tee import escaped_stdout, tee_stdout
from frcnn.distributed.world import rank_info
from frcnn.errors import MissingPackageError, ModelError, UsageError
from frcnn.packages import EXTRAS, missing_package, require
from frcnn.single_writer import only_writer_in

# Tasks of other distributions check their packages themselves.
_OWN = "frcnn."


def run(task: Task, module: ModuleType, words: Sequence[str], program: str = "frcnn") -> int:
    """Runs a task.

    Args:
        task: Task to run.
        module: Module of the task.
        words: Arguments after the name of the task.
        program: Name of the program in messages.

    Returns:
        Exit code.

    Raises:
        SystemExit: argparse rejects the flags (code 2), or `--help` is given (code 0).
    """
    args = parse(task, module, words, program)
    with contextlib.ExitStack() as stack:
        stack.enter_context(terminate_as_interrupt())
        stack.enter_context(bars_shown())
        try:
            setup_logging(args.verbose, None)  # to report errors in the flags
            resolve_common_flags(task, args)
            if args.log_file is not None:
                setup_logging(args.verbose, args.log_file)
                stack.enter_context(tee_stdout(args.log_file))
            stack.enter_context(escaped_stdout())
            stack.enter_context(quiet_tensorflow_import())
            if module.__name__.startswith(_OWN):
                require(_extras(task, module, args), f"frcnn {task.name}")  # instead of after an epoch
            _run_and_record(module, args)
            code = 0
        except BaseException as error:
            code = exit_codes.report(_with_extras(error, task, module, args), verbose=args.verbose)
        if task.prints_status and rank_info().rank == 0:
            _say(f"Execution status: {'FAIL' if code else 'PASS'}")
    return code


def _extras(task: Task, module: ModuleType, args: argparse.Namespace) -> str:
    return str(module.extras(args)) if hasattr(module, "extras") else task.extras


def _with_extras(
    error: BaseException, task: Task, module: ModuleType, args: argparse.Namespace
) -> BaseException:
    """Returns the error; for a missing package one that names all extras of the task."""
    package = error.package if isinstance(error, MissingPackageError) else None
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return error
    wanted = _extras(task, module, args)
    if not wanted:
        return error
    return missing_package(package, wanted, f"frcnn {task.name}")


def run_inside(task: Task, module: ModuleType, words: Sequence[str]) -> None:
    """Runs a task as part of another one, which has set up logging and signals. Passes errors on.

    Args:
        task: Task to run.
        module: Module of the task.
        words: Arguments after the name of the task.
    """
    args = parse(task, module, words, "frcnn")
    resolve_common_flags(task, args)
    _run_and_record(module, args)


def parse(task: Task, module: ModuleType, words: Sequence[str], program: str) -> argparse.Namespace:
    """Parses the common flags and those of a task.

    Args:
        task: Task.
        module: Module of the task.
        words: Arguments after the name of the task.
        program: Name of the program in messages.

    Returns:
        Parsed flags.

    Raises:
        SystemExit: argparse rejects the flags (code 2), or `--help` is given (code 0).
    """
    return new_parser(task, module, program).parse_args(words)


def new_parser(task: Task, module: ModuleType, program: str) -> argparse.ArgumentParser:
    """Creates the parser of the common flags and those of a task.

    Args:
        task: Task.
        module: Module of the task.
        program: Name of the program in messages.

    Returns:
        The parser.
    """
    parser = CommandParser(
        prog=f"{program} {task.name}",
        description=module.HELP,
        epilog=f"examples:\n{module.EXAMPLES}" if module.EXAMPLES else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    _add_common_flags(parser, task)
    return parser


def _add_common_flags(parser: argparse.ArgumentParser, task: Task) -> None:
    """Adds the common flags. Flags that only apply to training are hidden in the help of other tasks."""
    own = parser.add_argument_group("processes and GPUs" if _starts_processes(task) else "training")
    add, hidden = own.add_argument, argparse.SUPPRESS
    add("--gpus", type=int, metavar="N", help="number of GPUs (default: 1)" if task.trains else hidden)
    add(
        "-np",
        "--num_processes",
        type=int,
        default=-1,
        metavar="N",
        help="processes (default: one per GPU, or per group of GPUs that share a model)"
        if _starts_processes(task)
        else hidden,
    )
    add("--use_amp", action="store_true", help="train in mixed precision" if task.trains else hidden)
    common = parser.add_argument_group("flags of every task")
    which = "GPU indices, as many as --gpus (default: 0..N-1)" if task.trains else "GPU index (default: 0)"
    common.add_argument("--gpu_index", type=int, nargs="+", metavar="I", help=which)
    common.add_argument("--log_file", type=Path, metavar="PATH", help="file to append all output to")
    common.add_argument(
        "-v", "--verbose", action="store_true", help="show debug messages, and stack traces of errors"
    )


def resolve_common_flags(task: Task, args: argparse.Namespace) -> None:
    """Checks the common flags, fills in defaults and sets the corresponding environment variables.

    Args:
        task: Task.
        args: Parsed flags; changed in place.

    Raises:
        UsageError: Flags contradict each other or do not fit the task.
    """
    refuse_overwriting(task.name, args)
    args.gpus, args.gpu_index = _gpus(args.gpus, args.gpu_index)
    args.num_processes_given = args.num_processes != -1
    if not args.num_processes_given:
        args.num_processes = args.gpus
    if args.num_processes < 1:
        raise UsageError(f"--num_processes {args.num_processes}: expected 1 or more, or -1 for one per GPU")
    if args.num_processes_given and args.num_processes > 1 and not _starts_processes(task):
        raise UsageError(
            f"--num_processes {args.num_processes}: only train runs in several processes; "
            f"{task.name} uses one"
        )
    if args.num_processes > 1 and args.gpus == 1:
        raise UsageError(f"--num_processes {args.num_processes} needs --gpus {args.num_processes}")
    if not task.trains and args.gpus > 1:
        raise UsageError(
            f"--gpus {args.gpus}: only train and tune support several GPUs; {task.name} uses one"
        )
    if not task.trains and args.use_amp:
        raise UsageError(f"--use_amp: only train and tune support mixed precision, {task.name} does not")
    settle_keras()
    # TensorFlow reads this variable on import, which happens later, inside the task.
    os.environ.setdefault(LOG_LEVEL, LOUD if args.verbose else QUIET)


def _starts_processes(task: Task) -> bool:
    """Returns whether the task can run in several processes, one per GPU."""
    return task.name == "train"


def _gpus(count: int | None, indices: list[int] | None) -> tuple[int, list[int]]:
    """Returns number and indices of the GPUs; hides all other GPUs if either flag is given."""
    if count is not None and count < 1:
        raise UsageError(f"--gpus {count}: expected 1 or more; without a GPU, the task runs on the CPU")
    if indices is not None:
        if min(indices) < 0 or len(set(indices)) < len(indices):
            raise UsageError(f"--gpu_index {' '.join(map(str, indices))}: expected distinct numbers >= 0")
        if count is not None and count != len(indices):
            raise UsageError(f"--gpu_index names {len(indices)} GPUs but --gpus asks for {count}")
    chosen = indices if indices is not None else list(range(count or 1))
    if count is not None or indices is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, chosen))
    elif rank_info().size == 1:  # each rank selects its own GPU from all visible ones
        # Keep the GPU if a scheduler has already selected one.
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    return len(chosen), chosen


def _run_and_record(module: ModuleType, args: argparse.Namespace) -> None:
    folder = getattr(args, "results_dir", None)
    if folder is None or rank_info().rank:
        _run_module(module, args)
        return
    from frcnn.api.locations import local_output

    folder = local_output(folder, "results_dir")  # before the status is written there
    name = module.__name__.rpartition(".")[2]
    held = only_writer_in(folder, name) if getattr(module, "ONE_WRITER", False) else contextlib.nullcontext()
    with held:
        _record(module, args, StatusWriter(folder), name)


def _run_module(module: ModuleType, args: argparse.Namespace) -> Mapping[str, Any] | None:
    """Runs the module of a task; the message about a missing key names the task's flag."""
    try:
        extra: Mapping[str, Any] | None = module.run(args)
    except ModelError as error:
        from frcnn.sealing.header import NoKeyError

        if isinstance(error, NoKeyError) and (hasattr(args, "key") or hasattr(args, "enc_key")):
            raise NoKeyError(f"{str(error).removesuffix('.')}, such as -k @FILE.") from error
        raise
    return extra


def _record(module: ModuleType, args: argparse.Namespace, status: StatusWriter, name: str) -> None:
    status.write("STARTED", f"{name} started")
    try:
        extra = _run_module(module, args)
    except BaseException as error:
        with contextlib.suppress(OSError):  # a full disk must not hide the original error
            status.write("FAILURE", exit_codes.message(error))
        raise
    status.write("SUCCESS", f"{name} finished", **(extra or {}))


def _say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
