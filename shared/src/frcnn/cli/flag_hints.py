"""Suggestions for flags that a command does not have: similar flags, and fields of the spec for `--set`."""

import argparse
import difflib
from collections.abc import Sequence

# Names of blocks that are a value in other programs.
_ALSO_KNOWN_AS = {"learning_rate": "base_lr"}
# Names of flags in other programs whose flags have other names here.
_USUAL_FLAGS = {"--source": "--images", "--conf": "--threshold", "--weights": "--model"}
_MAX_FIELDS = 3
# Similarity from which a name counts as mistyped.
_NEAR = 0.75
# Letters that the name of a task and its section have in common: `evaluate`, evaluation_config.
_SECTION = 4


def flag_hints(parser: argparse.ArgumentParser, words: Sequence[str]) -> str:
    """Suggests flags and fields for unknown flags.

    Args:
        parser: Parser of the command, or of the command of two words that was chosen.
        words: Words that the parser did not recognize.

    Returns:
        Text for the end of the message, beginning with `; `; empty without a suggestion.
    """
    hints = []
    for index, word in enumerate(words):
        name, _, value = word.partition("=")
        if name.startswith("-") and name.strip("-"):
            following = words[index + 1] if index + 1 < len(words) else "-"
            hints.append(_hint(parser, name, value or ("VALUE" if following[:1] == "-" else following)))
    return "".join(f"; {hint}" for hint in hints if hint)


def _hint(parser: argparse.ArgumentParser, name: str, value: str) -> str:
    actions = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    known = {flag.replace("-", "_"): flag for action in actions for flag in action.option_strings}
    usual = _USUAL_FLAGS.get(name, name)
    near = difflib.get_close_matches(usual.replace("-", "_"), known, n=1, cutoff=_NEAR)
    if near and len(name) > 2:
        return f"did you mean {known[near[0]]}?"
    if "__set" not in known:
        return ""
    own = parser.prog.rpartition(" ")[2][:_SECTION]
    fields = _fields(name.strip("-").replace("-", "_"), own, convert="__dataset_export_spec" in known)
    if fields:
        return f"{name} is no flag; set the field of the spec: " + " or ".join(
            f"--set {field}={value}" for field in fields
        )
    return f"{name} is no flag; fields of the spec are set with --set FIELD=VALUE"


def _fields(name: str, own: str, *, convert: bool) -> list[str]:
    """Returns the paths of the fields that a flag was most likely meant to set, at most a few.

    Fields of sections that begin with `own`, such as inference_config, come first.
    """
    from frcnn.spec import dataset_export_pb2, experiment_pb2
    from frcnn.spec.textproto.suggestions import similar_paths

    top = dataset_export_pb2.DatasetExportConfig if convert else experiment_pb2.Experiment
    paths = similar_paths(_ALSO_KNOWN_AS.get(name, name), top.DESCRIPTOR)
    return sorted(paths, key=lambda path: not path.startswith(own))[:_MAX_FIELDS]
