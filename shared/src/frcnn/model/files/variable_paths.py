"""Where Keras puts a model's variables in a weight file."""

import dataclasses
from typing import Any

import keras
from keras.src.saving import saving_lib  # no public way says where a variable goes


@dataclasses.dataclass(frozen=True, eq=False)
class Owner:
    """What holds variables: a layer, a metric, the optimizer.

    Attributes:
        path: Of its group in the file, such as `features/layers/conv2d/vars`.
        name: The layer's name.
        variables: In the order of their numbers.
    """

    path: str
    name: str
    variables: list[keras.Variable]


def owners_in(model: keras.Model) -> list[Owner]:
    """All that hold variables, the optimizer too, in the order in which Keras writes them."""
    store = _Listing()
    saving_lib._save_state(
        model, weights_store=store, assets_store=None, inner_path="", visited_saveables=set()
    )
    optimizer, path = getattr(model, "optimizer", None), "optimizer"
    while optimizer is not None:
        # An optimizer gives away values, not variables.
        store.groups[path].update({str(n): each for n, each in enumerate(optimizer.variables)})
        optimizer, path = getattr(optimizer, "inner_optimizer", None), f"{path}/inner_optimizer"
    return [
        Owner(f"{path}/vars" if path else "vars", group.name, list(group.values()))
        for path, group in store.groups.items()
        if group
    ]


class _Group(dict[str, Any]):
    """What an owner would write."""

    name = ""


class _Listing(saving_lib.H5IOStore):
    """Passes for a file, and notes what would be written to it."""

    def __init__(self) -> None:
        self.groups: dict[str, _Group] = {}

    def __bool__(self) -> bool:
        return True

    def make(self, path: str, metadata: dict[str, str] | None = None) -> _Group:
        group = self.groups[path] = _Group()
        group.name = (metadata or {}).get("name", "")
        return group
