"""The script of `frcnn completion bash`, asked as bash asks it."""

import subprocess

import pytest

from frcnn.cli.main import main
from frcnn.cli.tasks import all_tasks

ASK = """
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_shtab_frcnn frcnn
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    import contextlib
    import io

    path = tmp_path_factory.mktemp("completion") / "frcnn.bash"
    with contextlib.redirect_stdout(io.StringIO()) as written:
        assert main(["completion", "bash"]) == 0
    path.write_text(written.getvalue())
    return path


@pytest.fixture
def offered(script, tmp_path):
    """Returns what Tab offers after words, the last of which is the beginning of the next word."""

    def ask(*words):
        command = ["bash", "-c", ASK, "bash", script, "frcnn", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.split()

    return ask


def test_every_first_word_is_offered(offered):
    firsts = {name.partition(" ")[0] for name in all_tasks()}
    assert sorted(offered("")) == sorted({*firsts, "help", "version"})
    assert sorted(offered("help", "")) == sorted(firsts)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["spec"], {"check", "show", "new"}),
        (["data"], {"report", "labels"}),
        (["model"], {"summary"}),
        (["store"], {"push", "pull", "ls", "verify", "collect"}),
        (["onnx"], {"verify"}),
        (["engine"], {"build"}),
        (["pipeline"], {"run", "compile", "push-spec", "paste-spec", "submit", "schedule"}),
        (["completion"], {"bash", "zsh", "tcsh"}),
    ],
)
def test_second_words_are_offered(offered, words, expected):
    assert expected <= set(offered(*words, ""))


@pytest.mark.parametrize(
    ("words", "flag", "other"),
    [
        (["spec", "new"], "--goal", "--show_keys"),
        (["spec", "show"], "--show_keys", "--goal"),
        (["spec", "check"], "--set", "--goal"),
        (["data", "report"], "--compare", "--to"),
        (["data", "labels"], "--to", "--compare"),
        (["model", "summary"], "--parts", "--goal"),
        (["pipeline", "run"], "--convert_spec", "--server_release"),
        (["pipeline", "compile"], "--server_release", "--convert_spec"),
        (["train"], "--resume", "--goal"),
    ],
)
def test_flags_are_those_of_the_command(offered, words, flag, other):
    flags = offered(*words, "--")
    assert flag in flags and other not in flags


@pytest.mark.parametrize(
    "words", [["train", "-e"], ["spec", "check"], ["pipeline", "run", "--spec"], ["model", "summary"]]
)
def test_file_names_are_offered_for_paths(offered, tmp_path, words):
    (tmp_path / "my_spec.txt").touch()
    assert offered(*words, "my_") == ["my_spec.txt"]


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_know_the_second_words_and_their_flags(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("dataset_convert", "new", "goal", "show_keys", "version"))
