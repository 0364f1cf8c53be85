"""Settings of matplotlib for this program, independent of the user's own settings."""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from frcnn.errors import RunError

_VARIABLE = "MATPLOTLIBRC"


@contextlib.contextmanager
def default_settings() -> Iterator[None]:
    """Plots within the block have matplotlib's defaults; the user's settings apply again afterwards.

    Otherwise a `matplotlibrc` in the user's home or working folder determines sizes and fonts, and may
    require LaTeX or an unavailable format.

    Raises:
        RunError: The working folder has a `matplotlibrc` that is not text.
    """
    _import_with_defaults()
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def _import_with_defaults() -> None:
    """Imports matplotlib, unless it already is, with the settings file that it ships."""
    spec = importlib.util.find_spec("matplotlib")
    if "matplotlib" in sys.modules or spec is None or spec.origin is None:
        return
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = str(Path(spec.origin).with_name("mpl-data") / "matplotlibrc")
    try:
        import matplotlib  # noqa: F401  # only a file in the working folder is read before this one
    except UnicodeDecodeError as error:
        raise RunError(
            f"{Path.cwd() / 'matplotlibrc'}: not text, but matplotlib reads settings from it; rename the file"
        ) from error
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
