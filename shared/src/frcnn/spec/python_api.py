"""Implementation of `frcnn.Spec` and `frcnn.ConvertSpec` for both kinds of specs."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar, cast

from frcnn.errors import Problem, SpecError
from frcnn.spec.checked import BUILT, checked_experiment, checked_export
from frcnn.spec.derive import without_derived
from frcnn.spec.load import parse_dataset_export, parse_experiment, read_text
from frcnn.spec.schema.experiment import Experiment
from frcnn.spec.schema.export import DatasetExportConfig
from frcnn.spec.schema.spec_base import SpecBase
from frcnn.spec.updates import with_values

AnySpec = TypeVar("AnySpec", bound=SpecBase)


def load(cls: type[AnySpec], path: str | os.PathLike[str]) -> AnySpec:
    """Reads a spec of a class from a file or an `s3://` URI; see `SpecBase.load`."""
    from frcnn.storage.address import is_remote

    if not isinstance(path, str | os.PathLike):
        raise SpecError(
            BUILT, [Problem("", f"found an object of type {type(path).__name__}; expected a file name")]
        )
    name = os.fspath(path)
    return parse(cls, _remote_text(name) if is_remote(name) else read_text(Path(name)), name)


def parse(cls: type[AnySpec], text: str, source: str) -> AnySpec:
    """Parses a spec of a class; see `SpecBase.parse`."""
    if not isinstance(text, str):
        raise SpecError(BUILT, [Problem("", f"found an object of type {type(text).__name__}; expected text")])
    if issubclass(cls, Experiment):
        return cast(AnySpec, parse_experiment(text, source).spec)
    return cast(AnySpec, parse_dataset_export(text, source).spec)


def _checked(spec: AnySpec, known: Sequence[Problem] = ()) -> AnySpec:
    """Checks a spec that may have been built in Python; `known` problems are reported with the others."""
    if isinstance(spec, Experiment):
        return cast(AnySpec, checked_experiment(spec, known))
    return cast(AnySpec, checked_export(cast(DatasetExportConfig, spec), known))


def updated(spec: AnySpec, values: Mapping[str, object]) -> AnySpec:
    """Returns a checked copy with some values replaced and without text; see `SpecBase.updated`."""
    known = cast(Experiment | DatasetExportConfig, spec)
    start = without_derived(known) if isinstance(known, Experiment) else known
    if not isinstance(values, Mapping) or not all(isinstance(path, str) for path in values):
        text = f"found {values!r}; expected a mapping from the paths of fields to their values"
        raise SpecError(known.source or BUILT, [Problem("", text)])
    unknown: list[Problem] = []
    changed = with_values(start, values, unknown)
    return cast(AnySpec, _checked(dataclasses.replace(changed, text=""), unknown))


def given(cls: type[AnySpec], spec: AnySpec | str | os.PathLike[str]) -> AnySpec:
    """Returns the checked spec for an argument that is a spec object or a file name.

    Args:
        cls: Class of the spec.
        spec: Spec object, file name or `s3://` URI.

    Returns:
        The checked spec.

    Raises:
        SpecError: The file cannot be read, or the spec has errors; the message lists all of them.
        StoreError: The object on S3 cannot be read.
    """
    if isinstance(spec, str | os.PathLike):
        return load(cls, spec)
    if not isinstance(spec, cls):
        name = "Spec" if issubclass(cls, Experiment) else "ConvertSpec"
        message = f"found an object of type {type(spec).__name__}; expected a {name} or a file name"
        raise SpecError(BUILT, [Problem("", message)])
    return _checked(spec)


def _remote_text(uri: str) -> str:
    from frcnn.storage import Store

    try:
        return Store.from_environment().read(uri).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(uri, [Problem("", "not text in UTF-8")]) from error
