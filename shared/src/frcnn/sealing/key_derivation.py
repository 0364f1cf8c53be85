"""Keys derived from the passphrase of a sealed model file."""

import dataclasses
from typing import TYPE_CHECKING

from frcnn.errors import ModelError
from frcnn.sealing.keys import key_bytes

if TYPE_CHECKING:
    from frcnn.sealing.header import Header

MAX_KEY_MEMORY = 256 * 2**20
_LOG2_N, _R, _P = range(10, 21), range(1, 33), range(1, 5)


@dataclasses.dataclass(frozen=True)
class KeyCost:
    """Cost parameters of the key derivation (scrypt, RFC 7914).

    The defaults follow OWASP's recommendation for passwords: 128 MiB and a fraction of a second.

    Attributes:
        log2_n: Binary logarithm of scrypt's N.
        r: Block size; the derivation needs 128 * r * 2**log2_n bytes.
        p: Number of repetitions.
    """

    log2_n: int = 17
    r: int = 8
    p: int = 1

    @property
    def memory(self) -> int:
        """Memory needed to derive the key, bytes."""
        return 128 * self.r << self.log2_n

    def acceptable(self) -> bool:
        """Checks whether an untrusted file may request this cost: at most 256 MiB and some seconds."""
        in_range = self.log2_n in _LOG2_N and self.r in _R and self.p in _P
        # RFC 7914: N < 2^(128 r / 8).
        return in_range and self.log2_n < 16 * self.r and self.memory <= MAX_KEY_MEMORY


def derive_keys(key: str, header: "Header", name: str) -> tuple[bytes, bytes]:
    """Derives the cipher key and the key-check key from a passphrase, by scrypt.

    Args:
        key: Passphrase.
        header: Header with salt and cost.
        name: Name of the file, for messages.

    Returns:
        Cipher key and key-check key, 32 bytes each.

    Raises:
        ModelError: Not enough memory.
    """
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    cost = header.cost
    scrypt = Scrypt(salt=header.salt, length=64, n=1 << cost.log2_n, r=cost.r, p=cost.p)
    try:
        both = scrypt.derive(key_bytes(key))
    except MemoryError:
        need = f"{cost.memory // 2**20} MiB"
        raise ModelError(
            f"{name}: deriving the key takes {need} of memory. Raise the memory limit of this process."
        ) from None
    return both[:32], both[32:]
