"""What is said while a training runs."""

import logging

from frcnn.console.status_file import StatusWriter
from frcnn.training.callbacks.progress import Reporter


def test_the_log_says_why_the_first_step_takes_longer(tmp_path, caplog):
    reporter = Reporter(StatusWriter(tmp_path), epochs=2, steps=3, batch_size=4, done_epochs=0)
    with caplog.at_level(logging.INFO, "frcnn"), reporter:
        reporter.on_train_begin()
    assert "Compiling the training step" in caplog.text
