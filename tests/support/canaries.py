"""Secrets that are found again wherever they turn up: in files, archives, output, and lists of processes."""

import base64
import contextlib
import gzip
import io
import os
import secrets
import threading
import time
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

LOOK_SECONDS = 0.01


class Canaries:
    """Secrets of one test run, by name."""

    def __init__(self, *names: str) -> None:
        """Draws a secret for each name; the slash and the plus are escaped in addresses."""
        self.values: Mapping[str, str] = {name: f"{secrets.token_hex(12)}/+{name}" for name in names}

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    def in_bytes(self, data: bytes) -> set[str]:
        """Returns the names of the secrets in `data`: plain, escaped, in base64, and compressed."""
        found = {name for name, value in self.values.items() if any(form in data for form in _forms(value))}
        for unpacked in _unpacked(data):
            found |= self.in_bytes(unpacked)
        return found

    def in_folder(self, folder: Path) -> dict[str, set[str]]:
        """Returns the files below a folder that hold secrets, or have them in their names."""
        found = {}
        for path in sorted(folder.rglob("*")):
            names = self.in_bytes(os.fsencode(path.name))
            names |= self.in_bytes(path.read_bytes()) if path.is_file() else set()
            if names:
                found[str(path.relative_to(folder))] = names
        return found

    @contextlib.contextmanager
    def watched_processes(self) -> Iterator[set[str]]:
        """Within the block, looks at all command lines of the machine; yields those with secrets."""
        seen: set[str] = set()
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                for line in _command_lines():
                    if self.in_bytes(line):
                        seen.add(line.replace(b"\0", b" ").decode(errors="replace"))
                time.sleep(LOOK_SECONDS)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield seen
        finally:
            done.set()
            thread.join()


def _forms(value: str) -> list[bytes]:
    raw = value.encode()
    # In base64, what stands before decides how the letters fall; the middle is the same in one of three ways.
    encoded = [base64.b64encode(b"\0" * shift + raw)[4 * bool(shift) : -4] for shift in range(3)]
    return [raw, urllib.parse.quote(value, safe="").encode(), raw.replace(b"/", b"\\/"), *encoded]


def _unpacked(data: bytes) -> Iterator[bytes]:
    if data[:2] == b"PK":
        with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from map(archive.read, archive.namelist())
    if data[:2] == b"\x1f\x8b":
        with contextlib.suppress(OSError, EOFError, zlib.error):
            yield gzip.decompress(data)


def _command_lines() -> Iterator[bytes]:
    for folder in os.scandir("/proc"):
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                yield Path(folder.path, "cmdline").read_bytes()
