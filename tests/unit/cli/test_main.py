import importlib.metadata
import json

import pytest

from frcnn.cli import tasks
from frcnn.cli.main import main, tao_main

HEAVY = ("tensorflow", "keras", "numpy", "google.protobuf", "matplotlib", "PIL", "rich", "onnxruntime", "kfp")


def test_help_imports_nothing_heavy_and_no_task(python):
    done = python(
        "-c",
        "import json, sys, frcnn.cli.main\n"
        "code = frcnn.cli.main.main(['--help'])\n"
        "print(json.dumps([code, sorted(sys.modules)]))",
    )
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    assert not [name for name in modules if name.startswith(HEAVY)]
    assert not [name for name in modules if name in {f"frcnn.cli.{task}" for task in tasks.all_tasks()}]


def test_help_lists_every_task_with_a_line(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for task in tasks.all_tasks().values():
        assert f"  {task.name}" in shown
        assert task.help in shown


def test_no_task_at_all_shows_the_help_and_is_a_usage_error(capsys):
    assert main([]) == 2
    assert "usage: frcnn <task>" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [
        ("trainn", "train"),
        ("trian", "train"),
        ("dataset-convert", "dataset_convert"),
        ("evaluat", "evaluate"),
        ("convert", "dataset_convert"),
        ("infer", "inference"),
        ("predict", "inference"),
        ("val", "evaluate"),
    ],
)
def test_a_mistyped_task_gets_the_nearest_one(word, suggestion, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert main([word]) == 2
    assert f"unknown task '{word}'; did you mean '{suggestion}'?" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["-v", "--verbose", "--log_file"])
def test_a_flag_before_the_task_is_answered_with_where_it_goes(flag, capsys):
    assert main([flag, "train"]) == 2
    told = f"unknown flag before the task '{flag}'; flags go after the task: frcnn <task> {flag} "
    assert told in capsys.readouterr().err


def test_a_task_written_as_a_flag_gets_the_task(capsys):
    assert main(["--train"]) == 2
    assert "unknown flag before the task '--train'; did you mean 'train'?" in capsys.readouterr().err


def test_terminal_escapes_in_an_unknown_task_are_shown_and_not_sent(capsys):
    assert main(["\x1b[2Jtrain\n"]) == 2
    text = capsys.readouterr().err
    assert "\x1b" not in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("words", [["xyzzy"], ["nonsense"], ["help", "nonsense"], ["help", "version"]])
def test_a_word_like_no_task_gets_the_list(words, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert main(words) == 2
    assert "tasks: dataset_convert, train, tune, evaluate" in capsys.readouterr().err


def test_version(python):
    done = python("-m", "frcnn", "--version")
    assert (done.returncode, done.stdout) == (0, "frcnn 0.1.0\n")


@pytest.mark.parametrize("words", [["model", "faster_rcnn"], ["faster_rcnn"]])
def test_tao_is_the_same_program(words, capsys):
    assert tao_main([*words, "--help"]) == 0
    assert "usage: tao model faster_rcnn <task>" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "named"), [(["model", "detectnet_v2", "train"], "detectnet_v2"), (["model"], "nothing")]
)
def test_tao_with_another_network_is_a_usage_error(words, named, capsys):
    assert tao_main(words) == 2
    assert f"unknown network '{named}'" in capsys.readouterr().err


def test_tasks_whose_module_does_not_exist_yet_are_not_listed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "frcnn.cli.train" or None)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: ())
    assert list(tasks.all_tasks()) == ["train"]


def test_other_distributions_add_tasks_through_an_entry_point(monkeypatch, capsys, tmp_path):
    (tmp_path / "frcnn_added_task.py").write_text(
        "HELP, EXAMPLES = 'compile and submit', ''\n"
        "def add_arguments(parser): parser.add_argument('what')\n"
        "def run(args): print('did', args.what)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    point = importlib.metadata.EntryPoint("pipeline", "frcnn_added_task", tasks.ENTRY_POINTS)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: (point,))
    assert main(["pipeline", "compile"]) == 0
    assert capsys.readouterr().out == "did compile\n"


def test_an_own_task_is_found_without_the_metadata_of_other_distributions(monkeypatch, capsys):
    def fail(group):
        raise AssertionError("reading the metadata of all distributions takes longer than a small task")

    monkeypatch.setattr("importlib.metadata.entry_points", fail)
    with pytest.raises(SystemExit) as ended:
        main(["spec", "new", "--help"])
    assert ended.value.code == 0
    assert "usage: frcnn spec new" in capsys.readouterr().out


def test_a_conversion_imports_no_numpy(python):
    """Its import takes longer than converting a few hundred images."""
    done = python(
        "-c",
        "import sys, frcnn.cli.main\n"
        "import frcnn.api.converting, frcnn.cli.convert_summary, frcnn.data.conversion.kitti.plan\n"
        "assert 'numpy' not in sys.modules\n"
        "heavy = [name for name in sys.modules if name.startswith(('frcnn.inference', 'frcnn.storage.s3'))]\n"
        "assert not heavy, heavy",
    )
    assert done.returncode == 0, done.stderr


def test_an_added_task_cannot_take_the_place_of_an_own_one(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    point = importlib.metadata.EntryPoint("train", "somewhere.else", tasks.ENTRY_POINTS)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: (point,))
    assert tasks.all_tasks()["train"].module == "frcnn.cli.train"


def test_every_task_answers_help_and_imports_no_tensorflow_for_it(python):
    for name in tasks.all_tasks():
        done = python(
            "-c",
            "import sys, frcnn.cli.main\n"
            "try: frcnn.cli.main.main(sys.argv[1:])\n"
            "except SystemExit as end: assert end.code == 0, end.code\n"
            "assert 'tensorflow' not in sys.modules and 'matplotlib' not in sys.modules",
            name,
            "--help",
        )
        assert done.returncode == 0, done.stderr
        assert f"usage: frcnn {name}" in done.stdout
        assert "--log_file" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["spec", "new", "--data", "x", "-o", ""],
        ["data", "report", "x", "-o", ""],
        ["train", "-e", "s.txt", "-r", ""],
        ["tune", "-e", "s.txt", "--space", ""],
        ["inference", "-e", "", "-m", "x"],
        ["dataset_convert", "-d", "s.txt", "-o", "p", "--log_file", ""],
        ["model", "summary", ""],
        ["pipeline", "compile", "-o", ""],
    ],
)
def test_an_empty_path_is_a_usage_error_instead_of_the_working_folder(words, capsys, tmp_path, monkeypatch):
    """A shell variable that is not set."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "is empty; expected a path" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_every_command_shows_its_help_without_packages_of_extras(python):
    """So that a missing package is reported by the command's own error, not by a traceback of an import."""
    code = """if True:
        import importlib, sys
        from frcnn.cli.tasks import all_tasks
        from frcnn.packages import EXTRAS

        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in EXTRAS:
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        sys.meta_path.insert(0, Missing())
        own = [task.module for task in all_tasks().values() if task.module.startswith("frcnn.cli.")]
        for module in own:
            importlib.import_module(module)
        print(len(own))
    """
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "compile",
        "push-spec",
        "paste-spec",
        "submit",
        "schedule",
        "list",
        "status",
        "cancel",
        "publish",
    ],
)
def test_each_command_of_the_pipeline_has_examples_in_its_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["pipeline", command, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert f"\nexamples:\n  frcnn pipeline {command} " in shown
    assert not [
        line for line in shown.splitlines()[-3:] if line.startswith("  frcnn") and command not in line
    ]


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["help", "pipeline", "run"], "usage: frcnn pipeline run "),
        (["help", "spec", "new"], "usage: frcnn spec new "),
        (["help", "spec"], "usage: frcnn spec "),
        (["help", "train", "what"], "usage: frcnn train "),
    ],
)
def test_help_knows_the_commands_of_a_task(words, usage, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(usage)
