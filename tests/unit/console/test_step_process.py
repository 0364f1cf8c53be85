"""Commands of steps as a process of their own runs them: nothing on the command line, no limit, no orphan."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from frcnn.console import step_process
from frcnn.console.step_process import encode, name_of


def run(command, *files, **others):
    words = [sys.executable, "-P", "-m", step_process.MODULE, name_of(command), *files]
    given = None if files else encode(command, os.getpid())
    return subprocess.run(words, input=given, capture_output=True, check=False, **others)


def test_a_command_gets_arguments_as_they_are_longer_ones_than_linux_takes_too():
    text = "{{$}} 'quoted' \"twice\" größer\n" + "x" * 300_000
    done = run(
        ["python", "-c", "import sys; print(len(sys.argv[1]), sys.argv[1][:22], sys.argv[2])", text, ""]
    )
    assert done.stdout.decode().split() == [str(len(text)), *text[:22].split()]
    assert done.returncode == 0


def test_a_module_runs_as_the_main_program_and_its_exit_code_counts(tmp_path):
    (tmp_path / "step_of_test.py").write_text(
        "import sys\nassert __name__ == '__main__' and sys.argv[1:] == ['a', 'b']\nsys.exit(3)\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
    }
    assert run(["python", "-m", "step_of_test", "a", "b"], env=environment).returncode == 3


def test_other_programs_run_too():
    assert run(["sh", "-c", "echo $0; exit 4", "word"]).stdout == b"word\n"


def test_a_command_in_a_file(tmp_path):
    file = tmp_path / "command"
    file.write_bytes(encode(["python", "-c", "print('from a file')"], 0))
    assert run(["any"], str(file)).stdout == b"from a file\n"


def test_no_argument_is_on_the_command_line():
    code = "import pathlib; print(pathlib.Path('/proc/self/cmdline').read_bytes())"
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("needs /proc")
    shown = run(["python", "-c", code, "--spec", "enc_key: 'secret'"]).stdout
    assert b"step_process" in shown and b"secret" not in shown


@pytest.mark.skipif(sys.platform != "linux", reason="the system tells of a parent's end on Linux only")
def test_a_step_ends_with_the_process_that_started_it_even_if_that_is_killed(tmp_path):
    step = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(600)"
    parent = f"""if True:
        import os, subprocess, sys
        from frcnn.console.step_process import MODULE, encode
        words = [sys.executable, "-P", "-m", MODULE, "step"]
        process = subprocess.Popen(words, stdin=subprocess.PIPE)
        process.stdin.write(encode(["python", "-c", {step!r}], os.getpid()))
        process.stdin.close()
        process.wait()
    """
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        # The step holds the pipe's other end: the pipe is at its end when the step is gone.
        ended, _, _ = select.select([process.stdout], [], [], 600)
        if not ended:
            os.kill(pid, signal.SIGKILL)
    assert ended
