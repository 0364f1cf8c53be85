"""Tables printed at the end of `frcnn dataset_convert`."""

from typing import TYPE_CHECKING

from frcnn.console.foreign_text import printable
from frcnn.data.conversion.report import ConvertReport, FoldCounts
from frcnn.survey.wording import counted

if TYPE_CHECKING:
    from rich.table import Table


def show(report: ConvertReport) -> None:
    """Prints images and boxes by class and fold, skipped items with reasons, and class names.

    Args:
        report: Result of the conversion.
    """
    from rich.console import Console

    # No markup: paths and class names may contain brackets, which rich would read as styles. No colors:
    # color codes are control characters, which standard output escapes.
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False, color_system=None)
    console.print(_class_table(report))
    if report.skipped:
        console.print(_fault_table(report))
        console.print(f"Full list with file and line: {printable(report.warning_file, None)}")
    for note in report.notes:
        console.print(f"Note: {printable(note, None)}.")
    if report.left_out:
        console.print(f"The sample modifier dropped {counted(report.left_out, 'image')}.")
    if report.replaced:
        console.print(
            f"Replaced {counted(report.replaced, 'record file')} of a previous run with this prefix."
        )
    renamed = {name: stored for name, stored in report.class_map.items() if name != stored}
    if renamed:
        console.print("Class names in the records. Use them as keys of target_class_mapping:")
        for name, stored in renamed.items():
            console.print(f"  {printable(name)} -> {printable(stored)}")
    speed = report.images / report.seconds if report.seconds else 0.0
    console.print(
        f"{counted(report.images, 'image')} in {counted(len(report.files), 'file')}, "
        f"{report.seconds:.1f} s ({speed:.0f} images/s): {printable(report.files[0].parent, None)}"
    )


def _class_table(report: ConvertReport) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Converted: boxes (images with the class)", title_justify="left")
    table.add_column("class")
    names = [f"fold {fold}" for fold in range(len(report.folds))]
    for name in names if len(names) > 1 else ["the set"]:
        table.add_column(name, justify="right")
    for name in sorted(report.boxes):
        table.add_row(Text(printable(name)), *(_cell(fold, name) for fold in report.folds))
    table.add_section()
    table.add_row("all boxes", *(str(fold.boxes.total()) for fold in report.folds))
    table.add_row("images", *(str(fold.images) for fold in report.folds))
    return table


def _cell(fold: FoldCounts, name: str) -> str:
    return f"{fold.boxes[name]} ({fold.images_with[name]})"


def _fault_table(report: ConvertReport) -> "Table":
    from rich.table import Table

    table = Table(title="Problems in labels and images", title_justify="left")
    table.add_column("problem")
    table.add_column("count", justify="right")
    table.add_column("skipped")
    for kind, count in sorted(report.skipped.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(str(kind), str(count), kind.cost)
    return table
