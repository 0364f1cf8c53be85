"""Keras as this program needs it, whatever a user of other programs has set up."""

import logging
import os

log = logging.getLogger(__name__)

BACKEND = "tensorflow"
# No folder can be there, so Keras neither reads settings nor leaves any.
_NO_FOLDER = "/dev/null/keras"


def settle_keras() -> None:
    """Makes a later import of Keras take its defaults and TensorFlow; does nothing to one that is imported.

    Otherwise `keras.json` in the user's home decides about number types and the order of axes. Without a
    home Keras reads one from /tmp, which anybody may write, or makes a folder called `~`.
    """
    wanted = os.environ.get("KERAS_BACKEND")
    if wanted not in (None, "", BACKEND):
        log.warning("KERAS_BACKEND is %s; this program runs on %s, and uses that", wanted, BACKEND)
    os.environ["KERAS_BACKEND"] = BACKEND
    os.environ["KERAS_HOME"] = _NO_FOLDER
