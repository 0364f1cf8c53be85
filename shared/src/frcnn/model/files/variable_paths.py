"""Determines the paths of a model's variables in a Keras weight file."""

import dataclasses
from typing import Any

import keras
from keras.src.saving import saving_lib  # no public API gives the path of a variable


@dataclasses.dataclass(frozen=True, eq=False)
class Owner:
    """Owner of variables: a layer, a metric or the optimizer.

    Attributes:
        path: Path of its group in the file, such as `features/layers/conv2d/vars`.
        name: Name of the layer.
        variables: Variables in the order of their numbers.
    """

    path: str
    name: str
    variables: list[keras.Variable]


def owners_in(model: keras.Model) -> list[Owner]:
    """Lists the owners of a model's variables, including the optimizer, in Keras's order.

    Args:
        model: Built model.

    Returns:
        The owners.
    """
    store = _Listing()
    saving_lib._save_state(
        model, weights_store=store, assets_store=None, inner_path="", visited_saveables=set()
    )
    optimizer, path = getattr(model, "optimizer", None), "optimizer"
    while optimizer is not None:
        # Optimizers store values instead of variables, so list the variables here.
        store.groups[path].update({str(n): each for n, each in enumerate(optimizer.variables)})
        optimizer, path = getattr(optimizer, "inner_optimizer", None), f"{path}/inner_optimizer"
    return [
        Owner(f"{path}/vars" if path else "vars", group.name, list(group.values()))
        for path, group in store.groups.items()
        if group
    ]


class _Group(dict[str, Any]):
    """Variables that an owner writes."""

    name = ""


class _Listing(saving_lib.H5IOStore):
    """Weight store that records the writes of Keras, instead of a file."""

    def __init__(self) -> None:
        self.groups: dict[str, _Group] = {}

    def __bool__(self) -> bool:
        return True

    def make(self, path: str, metadata: dict[str, str] | None = None) -> _Group:
        group = self.groups[path] = _Group()
        group.name = (metadata or {}).get("name", "")
        return group
