"""The child process of a training, and the end of its parent."""

import json
import os
import signal
import subprocess
import sys

from frcnn.api.isolated_training import child_environment
from tests.support.toy_training import toy_spec
from tests.support.unmeasured import unmeasured


def test_a_child_whose_parent_was_killed_while_it_started_does_not_train(tmp_path):
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    spec = toy_spec(tmp_path, images=1, validation=0)
    request = {
        "spec": spec.to_text(secrets=True), "source": "", "results_dir": str(tmp_path / "results"), "key": "",
        "log_level": 0, "resume": False, "use_amp": False, "strict": False,
    }  # fmt: skip
    reading, writing = os.pipe()
    child = subprocess.run(
        [sys.executable, "-m", "frcnn.api.train_child", str(writing), str(killed.pid)],
        input=json.dumps(request) + "\n",
        text=True,
        pass_fds=(writing,),
        env=unmeasured(child_environment()),
        check=False,
    )
    os.close(writing)
    with os.fdopen(reading) as messages:
        assert messages.read() == ""
    assert child.returncode == -signal.SIGTERM
    assert not (tmp_path / "results").exists()
