"""Reads stored objects in pieces, and verifies them by the checksums of a manifest or by their ETag."""

import dataclasses
import hashlib
from collections.abc import Callable

from frcnn.storage.checksums import combined_etag, is_md5, md5
from frcnn.storage.faults import DamagedError
from frcnn.storage.manifest import StoredObject
from frcnn.storage.transfer import Transfer
from frcnn.storage.transfer_progress import TransferProgress

# Number of times a damaged piece is fetched; more do not help if the stored object is damaged.
ATTEMPTS = 3


@dataclasses.dataclass(frozen=True)
class Reading:
    """Object that is read in pieces, each verified if its checksum is known.

    Attributes:
        object: Description of the object.
        where: Address of the object, for messages.
        get: Function from offset and length (above 0) to bytes.
    """

    object: StoredObject
    where: str
    get: Callable[[int, int], bytes]

    @classmethod
    def of(cls, transfer: Transfer, stored: StoredObject) -> "Reading":
        """Creates a reading that uses the requests of a transfer.

        Args:
            transfer: Backend and limits of the requests.
            stored: Description of the object.
        """
        backend = transfer.backend

        def get(offset: int, length: int) -> bytes:
            return transfer.retries(lambda: backend.read(stored.name, offset, length, stored.etag))

        return cls(stored, backend.where(stored.name), get)

    def pieces(self) -> int:
        """Returns the number of pieces."""
        return -(-self.object.size // self.object.piece_bytes) if self.object.size else 1

    def read(self, number: int) -> bytes:
        """Reads and verifies one piece.

        Args:
            number: Index of the piece, from 0.

        Returns:
            The bytes.

        Raises:
            StoreError: The piece is unreachable, or the stored object is damaged.
        """
        offset, length = self.object.piece(number)
        expected = self.object.md5s[number] if self.object.md5s else None
        for _ in range(ATTEMPTS):
            data = self.get(offset, length) if length else b""
            if expected is None or md5(data) == expected:
                return data
        raise self.damaged()

    def check(self, md5s: list[str], whole: Callable[[], str]) -> None:
        """Verifies the object by its ETag if the pieces have no checksums and the ETag is one.

        Args:
            md5s: MD5 of each piece (hex).
            whole: Function that returns the MD5 of the whole object (hex).

        Raises:
            DamagedError: The checksums differ.
        """
        etag = self.object.etag
        if self.object.md5s is not None or not is_md5(etag):
            return
        if "-" not in etag:
            found = md5s[0] if len(md5s) == 1 else whole()
        elif int(etag.partition("-")[2]) == len(md5s):
            found = combined_etag(md5s)
        else:
            return  # uploaded in parts whose size is unknown
        if found != etag:
            raise self.damaged()

    def damaged(self) -> DamagedError:
        """Returns the error for an object that differs from the published one."""
        return DamagedError(
            f"{self.where}: damaged (its checksum is not the published one); publish it again."
        )


def read_all(reading: Reading) -> bytes:
    """Reads and verifies a small object.

    Args:
        reading: The object.

    Returns:
        All of its bytes.

    Raises:
        StoreError: The object is missing or damaged.
    """
    pieces = [reading.read(number) for number in range(reading.pieces())]
    whole = b"".join(pieces)
    reading.check([md5(piece) for piece in pieces], lambda: md5(whole))
    return whole


def verify(reading: Reading, progress: TransferProgress) -> None:
    """Reads an object completely and compares it with its checksums.

    Args:
        reading: The object.
        progress: Progress display.

    Raises:
        StoreError: The object is missing or damaged.
    """
    whole = hashlib.md5(usedforsecurity=False)
    md5s = []
    for number in range(reading.pieces()):
        data = reading.read(number)
        if reading.object.md5s is None:
            md5s.append(md5(data))
            whole.update(data)
        progress.add(len(data))
    reading.check(md5s, whole.hexdigest)
