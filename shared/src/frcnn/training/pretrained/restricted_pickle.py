"""Reads the data in a pickle with an interpreter that cannot call, import or set anything.

Python's own unpickler runs the code that a file names. This interpreter knows the few opcodes that data
need. Classes and functions become a `Name`, calls go to a table of our own functions, and everything else
is an error.
"""

import mmap
import pickletools
import warnings
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple, cast


class PickleDataError(ValueError):
    """Pickle that is broken or contains something other than data."""


class Name(NamedTuple):
    """Class or function that the pickle refers to; never imported."""

    module: str
    name: str


Calls = Mapping[Name, Callable[[tuple[Any, ...]], Any]]

# Opcodes that push their argument.
_VALUES = frozenset(
    [
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
        *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES"),
    ]
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = frozenset(["PROTO", "FRAME"])
# A state dict of 5000 tensors has about 150,000 opcodes. The limit bounds the memory for a hostile file.
_MAX_OPCODES = 2_000_000
_PUTS = frozenset(["BINPUT", "LONG_BINPUT", "PUT"])
_GETS = frozenset(["BINGET", "LONG_BINGET", "GET"])


def read_pickle(stream: IO[bytes] | mmap.mmap, calls: Calls, persistent: Callable[[Any], Any]) -> Any:
    """Reads the value that a pickle describes and leaves the stream after it.

    Args:
        stream: Stream in memory or memory-mapped, because a file's `read` would allocate any size that a
            pickle claims.
        calls: Functions that replace those the pickle may call; they get the arguments as a tuple.
        persistent: Function that returns the value of a persistent id.

    Returns:
        Value of the pickle.

    Raises:
        PickleDataError: The pickle is broken or contains something other than data.
    """
    machine = _Machine(calls, persistent)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # from odd escapes in untrusted strings
            for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], stream))):
                if count > _MAX_OPCODES:
                    raise PickleDataError("it has more opcodes than any state dict")
                machine.step(opcode.name, argument)
        (value,) = machine.stack
    except PickleDataError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise PickleDataError(f"broken pickle: {error}") from error
    return value


class _Machine:
    """Stack and memo of the interpreter."""

    def __init__(self, calls: Calls, persistent: Callable[[Any], Any]) -> None:
        self.stack: list[Any] = []
        self._outer: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._calls = calls
        self._persistent = persistent

    def step(self, opcode: str, argument: Any) -> None:
        if opcode in _VALUES:
            self.stack.append(argument)
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode])
        elif opcode in _EMPTY:
            self.stack.append(_EMPTY[opcode]())
        elif opcode in _TUPLES:
            self._collect(_TUPLES[opcode])
        elif opcode in _PUTS:
            self._memo[argument] = self.stack[-1]
        elif opcode in _GETS:
            self.stack.append(self._memo[argument])
        elif opcode not in _IGNORED and opcode != "STOP":
            self._other(opcode, argument)

    def _other(self, opcode: str, argument: Any) -> None:
        method = getattr(self, f"_op_{opcode.lower()}", None)
        if method is None:
            raise PickleDataError(f"it uses the opcode {opcode}, which data does not need")
        method(argument)

    def _collect(self, count: int) -> None:
        if len(self.stack) < count:
            raise PickleDataError("broken pickle: stack too short")
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.stack.append(items)

    def _since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self._outer.pop()
        return items

    def _op_mark(self, _: Any) -> None:
        self._outer.append(self.stack)
        self.stack = []

    def _op_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self.stack[-1]

    def _op_pop(self, _: Any) -> None:
        self.stack.pop()

    def _op_tuple(self, _: Any) -> None:
        items = self._since_mark()
        self.stack.append(tuple(items))

    def _op_append(self, _: Any) -> None:
        item = self.stack.pop()
        self._list().append(item)

    def _op_appends(self, _: Any) -> None:
        items = self._since_mark()
        self._list().extend(items)

    def _op_setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _op_setitems(self, _: Any) -> None:
        self._set(self._since_mark())

    def _op_global(self, argument: str) -> None:
        self.stack.append(Name(*argument.split(" ", 1)))

    def _op_stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise PickleDataError("broken pickle: a name is not text")
        self.stack.append(Name(module, name))

    def _op_reduce(self, _: Any) -> None:
        arguments, name = self.stack.pop(), self.stack.pop()
        if not isinstance(name, Name) or name not in self._calls:
            called = f"{name.module}.{name.name}" if isinstance(name, Name) else "a value"
            raise PickleDataError(f"it calls {called}, which is not allowed")
        if not isinstance(arguments, tuple):
            raise PickleDataError("broken pickle: arguments are not a tuple")
        self.stack.append(self._calls[name](arguments))

    def _op_build(self, _: Any) -> None:
        # Attributes of an ordered dictionary (PyTorch's `_metadata`) are discarded.
        self.stack.pop()
        if not isinstance(self.stack[-1], dict):
            raise PickleDataError("it sets attributes, which is not allowed")

    def _op_binpersid(self, _: Any) -> None:
        self.stack.append(self._persistent(self.stack.pop()))

    def _list(self) -> list[Any]:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise PickleDataError("broken pickle: append to something other than a list")
        return target

    def _set(self, items: list[Any]) -> None:
        target = self.stack[-1]
        keys, values = items[::2], items[1::2]
        # Keys must be text or numbers: hashing a deeply nested tuple would overflow the C stack.
        if not isinstance(target, dict) or len(keys) != len(values):
            raise PickleDataError("broken pickle: items for something other than a dictionary")
        if not all(isinstance(key, str | int) for key in keys):
            raise PickleDataError("a key of a dictionary is neither text nor a number")
        target.update(zip(keys, values, strict=True))
