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
    hook = sys.unraisablehook
    try:
        sys.unraisablehook = _repeat_lost_interrupt
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
    except KeyboardInterrupt:
        return 130  # equals exit_codes.INTERRUPTED, which may not be imported yet
    finally:
        sys.unraisablehook = hook
    return code


def _repeat_lost_interrupt(lost: "sys.UnraisableHookArgs") -> None:
    """Repeats a Ctrl-C that arrived inside a finalizer or a callback of the import system.

    Python discards exceptions raised there, so the command would continue as if Ctrl-C had not been pressed.
    """
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    import signal
    import threading

    number = getattr(lost.exc_value, "number", signal.SIGINT)
    # Later and from another thread: the discarded exception would otherwise be raised again right here.
    again = threading.Timer(0.02, signal.pthread_kill, (threading.main_thread().ident, number))
    again.daemon = True
    again.start()


def _let_interrupts_end_the_process() -> None:
    """Lets Ctrl-C end the process silently while Python cleans up, because the work is done."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
