"""Finds and runs the task given on the command line.

Only the chosen task is imported, so that help and mistyped commands respond quickly.
"""

import difflib
import importlib
import sys

import frcnn
from frcnn.cli import task_runner
from frcnn.cli.tasks import ELSEWHERE, Task, all_tasks, own_tasks
from frcnn.console.foreign_text import printable

# Similarity from which a word counts as a mistyped task: `trian` has 0.8, `nonsense` and `spec new` 0.5.
NEAR = 0.65
# Names of tasks in other programs.
_ALSO_KNOWN_AS = {
    "predict": "inference",
    "detect": "inference",
    "val": "evaluate",
    "test": "evaluate",
    "data convert": "data labels",
}
HELP, VERSION = ("-h", "--help", "help"), ("--version", "version")

USAGE = """\
usage: {program} <task> [flags]
       {program} help [task]
       {program} version

Trains and deploys Faster R-CNN detectors, configured by an experiment spec.

tasks:
{tasks}

examples:
  {program} demo-data -o demo/data                       draw a small synthetic data set
  {program} dataset_convert -d kitti.txt -o records/kitti
  {program} train -e spec.txt -r results
  {program} evaluate -e spec.txt -m results/frcnn_resnet_18.epoch_12.keras

Exit codes: 0 done, 1 the run failed, 2 wrong usage or spec, 130 interrupted.
"""

GROUP_USAGE = """\
usage: {program} {word} <action> [flags]

actions:
{tasks}

'{program} {first} --help' lists the flags of an action.
"""


def dispatch(words: list[str], program: str) -> int:
    """Runs `<program> <words>`.

    Args:
        words: Arguments; the first one is the task.
        program: Name of the program in messages.

    Returns:
        Exit code.
    """
    if words[:2] == ["model", "faster_rcnn"]:
        words = words[2:]
    tasks = own_tasks()
    if _split(words, tasks)[0] not in tasks:  # a task of another distribution, help, or a mistake
        tasks = all_tasks()
    if not words or words[0] in HELP:
        return _help(words, program, tasks)
    if words[0] in VERSION:
        sys.stdout.write(f"{program} {frcnn.__version__}\n")
        return 0
    name, rest = _split(words, tasks)
    task = tasks.get(name)
    if task is None and words[1:2] and words[1] in HELP:
        return _help(["help", words[0]], program, tasks)
    if task is None:
        return _usage_error(_unknown(name, program, tasks))
    return task_runner.run(task, importlib.import_module(task.module), rest, program)


def _split(words: list[str], tasks: dict[str, Task]) -> tuple[str, list[str]]:
    """Splits words into the name of a task, of two words if there is such a task, and its arguments."""
    first, pair = " ".join(words[:1]), " ".join(words[:2])
    if pair in tasks or (first not in tasks and _actions(first, tasks)):
        return pair, words[2:]
    return first, words[1:]


def _help(words: list[str], program: str, tasks: dict[str, Task]) -> int:
    """Prints the help on what follows `help`: all tasks, one task, or those that begin with a word."""
    if not words[1:]:
        sys.stdout.write(USAGE.format(program=program, tasks=_list(tasks)))
        return 0 if words else 2
    if _split(words[1:], tasks)[0] in tasks:
        return dispatch([*words[1:], "--help"], program)
    word = words[1]
    actions = _actions(word, tasks)
    if not actions:
        return _usage_error(_unknown(word, program, tasks))
    usage = {"program": program, "word": word, "first": next(iter(actions)), "tasks": _list(actions)}
    sys.stdout.write(GROUP_USAGE.format(**usage))
    return 0


def _list(tasks: dict[str, Task]) -> str:
    width = max(map(len, tasks), default=0)
    return "\n".join(f"  {task.name:<{width}}  {task.help}" for task in tasks.values())


def _actions(word: str, tasks: dict[str, Task]) -> dict[str, Task]:
    """Returns the tasks of two words that begin with a word."""
    return {name: task for name, task in tasks.items() if name.startswith(f"{word} ")}


def _unknown(word: str, program: str, tasks: dict[str, Task]) -> str:
    if word in ELSEWHERE:
        return f"{program} {word} is not installed; it comes with: pip install {ELSEWHERE[word]}"
    if actions := _actions(word, tasks):
        return f"'{word}' alone is not a task; expected {' or '.join(actions)}"
    near = _near(word.replace("-", "_"), tasks)
    kind = "flag before the task" if word.startswith("-") else "task"
    known = _actions(word.partition(" ")[0], tasks) or tasks
    hint = f"did you mean '{near}'?" if near else f"tasks: {', '.join(known)}"
    if kind != "task" and not near:
        hint = f"flags go after the task: {program} <task> {printable(word, None)}"
    return f"unknown {kind} '{printable(word, None)}'; {hint} ('{program} --help' lists the tasks)"


def _near(word: str, tasks: dict[str, Task]) -> str:
    """Returns the task that was most likely meant; empty if none is similar."""
    if (same := _ALSO_KNOWN_AS.get(word)) in tasks:
        return str(same)
    similar = difflib.get_close_matches(word, tasks, n=1, cutoff=NEAR)
    part = word.strip("_")
    longer = [name for name in tasks if len(part) > 3 and part in name]  # such as `convert`
    return next(iter((*similar, *longer)), "")


def _usage_error(message: str) -> int:
    sys.stderr.write(f"error: {message}\n")
    return 2


def dispatch_tao(words: list[str], program: str) -> int:
    """Runs `tao <words>`, where the first words name the network.

    Args:
        words: Arguments: `model faster_rcnn` or `faster_rcnn`, then the task.
        program: Name of the program in messages.

    Returns:
        Exit code.
    """
    prefix = ["model", "faster_rcnn"] if words[:1] == ["model"] else ["faster_rcnn"]
    if words and words[0] not in (*HELP, *VERSION):
        if words[: len(prefix)] != prefix:
            network = words[len(prefix) - 1] if len(words) >= len(prefix) else "nothing"
            return _usage_error(f"unknown network {network!r}; expected faster_rcnn")
        words = words[len(prefix) :]
    return dispatch(words, program)
