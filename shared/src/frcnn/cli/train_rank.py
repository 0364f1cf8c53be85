"""`python -m frcnn.cli.train_rank <flags of train>`: one rank of a training launched by `frcnn train`.

Works like `frcnn train`, but the launching process writes status records, exit messages and results.
"""

import contextlib
import logging
import sys
from collections.abc import Sequence

from frcnn.cli import task_runner, train
from frcnn.cli.tasks import all_tasks
from frcnn.console import exit_codes
from frcnn.console.logs import setup_logging
from frcnn.console.progress import bars_shown
from frcnn.console.quiet_import import quiet_tensorflow_import
from frcnn.console.signals import end_with_parent, terminate_as_interrupt
from frcnn.console.streams import settle_streams
from frcnn.distributed.rank_outcome import Outcome
from frcnn.distributed.world import PeerLostError, rank_info
from frcnn.errors import FrcnnError


def main(words: Sequence[str]) -> int:
    """Trains and writes the outcome.

    Args:
        words: Flags of `frcnn train`.

    Returns:
        Exit code.
    """
    settle_streams()
    args = task_runner.parse(all_tasks()["train"], train, words, "frcnn")
    rank = rank_info().rank
    with contextlib.ExitStack() as stack:
        stack.enter_context(terminate_as_interrupt())
        stack.enter_context(bars_shown())
        if not args.verbose:
            stack.enter_context(quiet_tensorflow_import())
        try:
            end_with_parent()
            setup_logging(args.verbose, args.log_file)
            outcome = Outcome(rank, 0, result=train.train_here(args))
        except BaseException as error:
            outcome = _failed(rank, error, verbose=args.verbose)
        outcome.leave()
    return outcome.code


def _failed(rank: int, error: BaseException, *, verbose: bool) -> Outcome:
    """Returns the outcome of a failure. The launcher prints known errors; others are printed here."""
    secondary = isinstance(error, PeerLostError | KeyboardInterrupt)
    if verbose or not isinstance(error, FrcnnError | KeyboardInterrupt):
        exit_codes.report(error, verbose=verbose)
    return Outcome(rank, exit_codes.exit_code(error), exit_codes.message(error), secondary)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    logging.shutdown()
    sys.exit(code)
