"""Entry point of `frcnn`, `faster_rcnn` and `tao model faster_rcnn`.

Imports nothing before Ctrl-C can be caught: an interrupted start is as silent as an interrupted run.
"""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `frcnn <task> ...`; returns the exit code.

    `model faster_rcnn` before the task is skipped: `tao model faster_rcnn train` is `frcnn train`.
    """
    return _run(argv, "frcnn")


def tao_main(argv: Sequence[str] | None = None) -> int:
    """Runs `tao model faster_rcnn <task> ...` (or `tao faster_rcnn <task>`); returns the exit code."""
    return _run(argv, "tao model faster_rcnn")


def _run(argv: Sequence[str] | None, program: str) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        from frcnn.cli.dispatch import dispatch, dispatch_tao
        from frcnn.console.streams import finish_streams, settle_streams

        settle_streams()
        code = (dispatch if program == "frcnn" else dispatch_tao)(words, program)
        code = finish_streams(code)
        if argv is None:
            _end_at_once_from_now_on()
    except KeyboardInterrupt:
        return 130  # as faults.INTERRUPTED, which may not be imported yet
    return code


def _end_at_once_from_now_on() -> None:
    """The work is done: Ctrl-C while Python cleans up has nothing to tell."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
