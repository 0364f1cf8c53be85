"""Entry point of `frcnn`, `faster_rcnn` and `tao model faster_rcnn`.

Nothing is imported before Ctrl-C can be caught, so that an interrupted start ends without a traceback.
"""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `frcnn <task> ...`.

    A leading `model faster_rcnn` is skipped, so that `tao model faster_rcnn train` equals `frcnn train`.

    Args:
        argv: Arguments; `None` for those of the process.

    Returns:
        Exit code.
    """
    return _run(argv, "frcnn")


def tao_main(argv: Sequence[str] | None = None) -> int:
    """Runs `tao model faster_rcnn <task> ...` or `tao faster_rcnn <task> ...`.

    Args:
        argv: Arguments; `None` for those of the process.

    Returns:
        Exit code.
    """
    return _run(argv, "tao model faster_rcnn")


def _run(argv: Sequence[str] | None, program: str) -> int:
    try:
        from frcnn.console.lost_interrupts import RepeatedInterrupts

        with RepeatedInterrupts():
            return _dispatch(argv, program)
    except KeyboardInterrupt:
        return 130  # equals exit_codes.INTERRUPTED, which may not be imported yet


def _dispatch(argv: Sequence[str] | None, program: str) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    from frcnn.cli.dispatch import dispatch, dispatch_tao
    from frcnn.console.exit_codes import report
    from frcnn.console.streams import finish_streams, settle_streams

    settle_streams()
    try:
        code = (dispatch if program == "frcnn" else dispatch_tao)(words, program)
    except SystemExit as end:  # --help, or wrong flags
        sys.exit(finish_streams(report(end, verbose=False)))
    except BrokenPipeError as error:  # outside of a task, such as of `frcnn help`
        code = report(error, verbose=False)
    code = finish_streams(code)
    if argv is None:
        _let_interrupts_end_the_process()
    return code


def _let_interrupts_end_the_process() -> None:
    """Lets Ctrl-C end the process silently while Python cleans up, because the work is done."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
