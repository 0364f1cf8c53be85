"""A network that is slow, loses connections or changes bytes: a TCP proxy in front of a server."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

CHUNK = 1 << 14


class BadLink:
    """Proxy that counts what it forwards; its attributes may be set at any time.

    Attributes:
        sent, received: Bytes towards the server and back so far.
        rate: Bytes a second, each way; None: no limit.
        cuts: So many more times, a connection is cut after `cut_after` bytes have been sent over it.
        spoil_sent, spoil_received: Change bytes on their way.
        watch: Called with `sent` and `received` after every chunk.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.sent = self.received = 0
        self.rate: float | None = None
        self.cuts, self.cut_after = 0, 0
        self.spoil_sent: Callable[[bytes], bytes] = bytes
        self.spoil_received: Callable[[bytes], bytes] = bytes
        self.watch: Callable[[int, int], None] = lambda sent, received: None
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Ends all connections."""
        self._listener.close()
        with self._lock:
            for each in self._sockets:
                _end(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets |= {client, server}
            for source, sink, up in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass_on, args=(source, sink, up), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if self.rate:
                    time.sleep(len(data) / self.rate)
                if up and self._cut(passed + len(data)):
                    break
                sink.sendall(self.spoil_sent(data) if up else self.spoil_received(data))
                passed += len(data)
                with self._lock:
                    self.sent += len(data) if up else 0
                    self.received += 0 if up else len(data)
                self.watch(self.sent, self.received)
        for each in (source, sink):
            _end(each)
            with self._lock:
                self._sockets.discard(each)

    def _cut(self, passed: int) -> bool:
        with self._lock:
            if self.cuts and passed > self.cut_after:
                self.cuts -= 1
                return True
            return False


@contextlib.contextmanager
def bad_link(port: int) -> Iterator[BadLink]:
    """A link to a port of this machine."""
    link = BadLink(port)
    try:
        yield link
    finally:
        link.close()


def _end(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
