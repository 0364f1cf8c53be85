"""Writes conversion and experiment specs for a data set into a folder."""

import dataclasses
import glob
import logging
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from frcnn.errors import DataError, SpecError, UsageError
from frcnn.files import atomic_path, write_text
from frcnn.memory import gpu_memory, main_memory
from frcnn.single_writer import only_writer_of
from frcnn.spec.load import checked_conversion_text, checked_text
from frcnn.spec_writing.choices import Choices, Goal, choose
from frcnn.spec_writing.conversion_specs import Conversion
from frcnn.spec_writing.facts import facts_of
from frcnn.spec_writing.splits import HELD_OUT, TEST, Split, split_of
from frcnn.spec_writing.text import Places, experiment_text
from frcnn.survey.collect import surveyed
from frcnn.survey.sources import open_sources

log = logging.getLogger(__name__)

EXPERIMENT = "experiment.txt"
_EXIF_NOTE = "# Convert with --apply_exif: labels refer to the images as viewers show them.\n"


@dataclasses.dataclass(frozen=True)
class NewSpec:
    """Specs that were written.

    Attributes:
        experiment: Experiment spec.
        conversions: Tuples of conversion spec and prefix of its record files; none for records.
        commands: Commands that convert, train and evaluate with them.
        choices: Settings, and the properties of the data set that determine them.
        validation: Description of the validation images.
    """

    experiment: Path
    conversions: tuple[tuple[Path, Path], ...]
    commands: tuple[str, ...]
    choices: Choices = dataclasses.field(repr=False)
    validation: str = ""

    def summary(self) -> str:
        """Returns a summary of the data set and the choices, in a few lines."""
        return f"{self.choices.summary()}\nvalidation: {self.validation}"


def write_specs(
    data: str,
    out: Path,
    *,
    images: Path | None = None,
    arch: str | None = None,
    pretrained: Path | None = None,
    goal: Goal = "accuracy",
    size: tuple[int, int] | None = None,
    epochs: int | None = None,
    force: bool = False,
    apply_exif: bool = False,
    workers: int | None = 1,
) -> NewSpec:
    """Surveys a data set and writes specs for a training on it.

    Args:
        data: Location of the data set.
        out: Folder of the specs. Records and results go below it too.
        images: Image folder of a COCO file or of records; by default it is searched for.
        arch: Backbone; by default chosen by goal and weights.
        pretrained: File of pretrained weights.
        goal: Property to favor: `accuracy`, `speed`, or `edge` for small devices.
        size: Height and width of the network input, px; by default chosen by the size of small objects.
        epochs: Number of epochs; by default chosen by the number of images.
        force: Whether to replace specs that exist.
        apply_exif: Whether labels refer to images with the EXIF orientation applied.
        workers: Number of processes that read the data set; `None` for one per core.

    Returns:
        Paths and content of the specs.

    Raises:
        UsageError: An argument is invalid, or a spec exists and `force` is not set.
        DataError: The data set has no usable image or object.
        PlaceBusyError: Another run writes to the folder.
    """
    out = out.absolute()
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; expected a folder for the specs")
    if not force:
        _check_new(out, [EXPERIMENT])
    if pretrained is not None and not pretrained.is_file():
        raise UsageError(
            f"--pretrained {pretrained}: no such file; docs/pretrained.md lists where weights "
            "come from; without the flag, training starts from random weights"
        )
    sources = open_sources([data], images, apply_exif=apply_exif)
    if any(source.planned for source in sources):
        raise UsageError(f"{data}: is a conversion spec; give the data set that it converts")
    for note in (note for source in sources for note in source.notes):
        log.warning("%s", note)
    with surveyed(sources, workers=workers) as tables:
        split = split_of(sources, tables.folds, out)
        facts = facts_of(tables, split.training)
    choices = choose(
        facts,
        goal,
        arch=arch,
        pretrained=None if pretrained is None else pretrained.absolute(),
        size=size,
        gpu_bytes=gpu_memory(),
        main_bytes=main_memory(),
        held_out=facts.images * HELD_OUT // 100 if split.drawn else 0,
    )
    if epochs is not None:
        choices = dataclasses.replace(choices, epochs=epochs)
    note = _EXIF_NOTE if apply_exif else ""
    texts = {each.spec: note + each.text for each in split.conversions}
    experiment = experiment_text(choices, _places(data, split, out))
    _check(data, texts, experiment)
    files = {**split.files, **texts, EXPERIMENT: experiment}
    with only_writer_of(out):
        if not force:
            _check_new(out, files)
        _write(out, files)
    conversions = tuple((out / each.spec, out / "records" / each.prefix) for each in split.conversions)
    commands = _commands(out, conversions, evaluate=bool(split.validation), apply_exif=apply_exif)
    commands += _test_commands(out, split.conversions)
    return NewSpec(out / EXPERIMENT, conversions, tuple(commands), choices, split.why)


def _places(data: str, split: Split, out: Path) -> Places:
    pattern = split.records
    if split.conversions:
        pattern = f"{glob.escape(str(out / 'records'))}/{split.records}"
    return Places(
        command="frcnn spec new",
        data=data,
        records=pattern,
        image_root=split.images.absolute(),
        extension=split.extension,
        validation=split.validation,
        validation_why=split.why,
        model=out / "results" / "best",
        inference_images=split.images.absolute(),
        annotated=out / "annotated",
        labels=out / "labels",
    )


def _check_new(out: Path, names: Iterable[str]) -> None:
    for name in names:
        if (out / name).exists():
            raise UsageError(f"{out / name} exists; choose another folder, or use --force to replace it")


def _check(data: str, conversions: Mapping[str, str], experiment: str) -> None:
    """Loads the texts, so that no spec is written that other commands would reject."""
    try:
        for name, text in conversions.items():
            checked_conversion_text(text, name)
        checked_text(experiment, EXPERIMENT)
    except SpecError as error:
        reasons = "\n  ".join(f"{each.path}: {each.message}" for each in error.problems)
        raise DataError(
            f"{data}: the specs for this data set would not be valid. If a name is the reason, rename the "
            f"class or the file.\n  {reasons}"
        ) from error


def _write(out: Path, texts: Mapping[str, str]) -> None:
    """Writes the files: a new folder atomically, or files into an existing one, the experiment spec last."""
    if out.exists():
        for name, text in texts.items():
            write_text(out / name, text)
        return
    with atomic_path(out) as temporary:
        temporary.mkdir()
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8")


def _commands(
    out: Path, conversions: tuple[tuple[Path, Path], ...], *, evaluate: bool, apply_exif: bool
) -> list[str]:
    flag = " --apply_exif" if apply_exif else ""
    convert = [
        f"frcnn dataset_convert -d {shlex.quote(str(spec))} -o {shlex.quote(str(prefix))}{flag}"
        for spec, prefix in conversions
    ]
    spec, results = shlex.quote(str(out / EXPERIMENT)), shlex.quote(str(out / "results"))
    commands = [*convert, f"frcnn train -e {spec} -r {results}"]
    if evaluate:
        commands.append(f"frcnn evaluate -e {spec} -m {results} -r {shlex.quote(str(out / 'evaluation'))}")
    return commands


def _test_commands(out: Path, conversions: Iterable[Conversion]) -> list[str]:
    """Returns the command that evaluates on the test set, if there is one."""
    commands = []
    for each in (each for each in conversions if each.prefix == TEST):
        records = f"{glob.escape(str(out / 'records' / each.prefix))}*"
        words = ["-e", out / EXPERIMENT, "-m", out / "results", "--tfrecords", records]
        words += ["--images", each.images.absolute(), "-r", out / f"evaluation_{each.prefix}"]
        commands.append(shlex.join(["frcnn", "evaluate", *map(str, words)]))
    return commands
