"""Sends messages from tf.data functions to Python without a Python op.

With op determinism, a single `py_function` in a pipeline makes TensorFlow disable the pipeline's threads and
prefetching, even if the function is never called. Printing does not. So the graph prints a line into
a pipe of this process, and a thread reads it. Messages arrive with a short delay.
"""

import functools
import itertools
import logging
import os
import threading
from collections.abc import Callable

import tensorflow as tf

logger = logging.getLogger(__name__)

Handler = Callable[[str, int], None]

FLUSH = 0
FLUSH_SECONDS = 10.0


class _Pipe:
    """The pipe, its reader thread and the subscribed handlers; lives as long as the process."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        self._handlers: dict[int, Handler] = {}
        self._flushes: dict[int, threading.Event] = {}
        self._numbers = itertools.count(FLUSH + 1)
        threading.Thread(target=self._read, name="graph messages", daemon=True).start()

    def add(self, handler: Handler) -> int:
        number = next(self._numbers)
        self._handlers[number] = handler
        return number

    def flush(self) -> None:
        number, done = next(self._numbers), threading.Event()
        self._flushes[number] = done
        os.write(self.writing, f"{FLUSH} flush {number}\n".encode())
        done.wait(FLUSH_SECONDS)
        del self._flushes[number]

    def _read(self) -> None:
        with os.fdopen(self._reading, encoding="utf-8") as lines:
            for line in lines:
                try:
                    receiver, kind, value = line.split()
                    self._deliver(int(receiver), kind, int(value))
                except Exception:
                    logger.exception("Could not process a message from the input pipeline: %r", line)

    def _deliver(self, receiver: int, kind: str, value: int) -> None:
        if receiver == FLUSH:
            self._flushes[value].set()
            return
        self._handlers[receiver](kind, value)


@functools.cache
def _pipe() -> _Pipe:
    return _Pipe()


def subscribe(handler: Handler) -> int:
    """Registers a handler for messages.

    Args:
        handler: Callable that receives kind and value, in a separate thread. It is kept for the life of the
            process, since a message may arrive after its graph is gone: keep the data it refers to small.

    Returns:
        Receiver number for `send`.
    """
    return _pipe().add(handler)


def send(receiver: int, kind: str, value: tf.Tensor, when: tf.Tensor) -> None:
    """Sends a message to a handler if a condition holds. Call it while building a graph.

    Args:
        receiver: Number from `subscribe`.
        kind: Kind of message, one word.
        value: Value, int scalar.
        when: Condition, bool scalar.
    """
    place = f"file:///dev/fd/{_pipe().writing}"

    def write() -> tf.Tensor:
        with tf.control_dependencies([tf.print(receiver, kind, value, output_stream=place)]):
            return tf.constant(True)

    tf.cond(when, write, lambda: tf.constant(False))


def flush() -> None:
    """Waits until all messages sent so far are handled, at most `FLUSH_SECONDS`."""
    _pipe().flush()
