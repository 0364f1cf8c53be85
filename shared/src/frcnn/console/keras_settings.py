"""Settings of Keras for this program, independent of the user's own settings."""

import logging
import os

log = logging.getLogger(__name__)

BACKEND = "tensorflow"
# No folder can exist there, so Keras neither reads nor writes settings.
_NO_FOLDER = "/dev/null/keras"


def settle_keras() -> None:
    """Makes a later import of Keras use its defaults and TensorFlow.

    Otherwise `keras.json` in the user's home sets dtypes and the order of axes. Without a home, Keras reads
    the file from /tmp, where anybody may create it, or creates a folder called `~`.
    """
    wanted = os.environ.get("KERAS_BACKEND")
    if wanted not in (None, "", BACKEND):
        log.warning("Ignoring KERAS_BACKEND %s: this program requires %s", wanted, BACKEND)
    os.environ["KERAS_BACKEND"] = BACKEND
    os.environ["KERAS_HOME"] = _NO_FOLDER
