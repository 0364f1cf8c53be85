"""Converts labels and images to record files (`dataset_convert`)."""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import BinaryIO

from frcnn.class_names import stored_class_name
from frcnn.console.progress import Progress
from frcnn.cpu import usable_cores
from frcnn.data.conversion.fault_log import IssueLog, warning_path
from frcnn.data.conversion.faults import Remark
from frcnn.data.conversion.kitti.plan import plan_kitti
from frcnn.data.conversion.parallel import ordered_map
from frcnn.data.conversion.partition import shard_slices
from frcnn.data.conversion.plan import Plan
from frcnn.data.conversion.report import ConvertReport, FoldCounts
from frcnn.data.conversion.sample_modifier import SampleModifier
from frcnn.data.conversion.settings import ConversionSettings, KittiSettings
from frcnn.data.conversion.shard_files import ShardFiles, staged
from frcnn.data.conversion.task import EncodedImage, Task, TaskResult, run_task
from frcnn.data.records.tfrecord import file_name
from frcnn.errors import DataError, UsageError

log = logging.getLogger(__name__)

# Images per task; fewer if they carry the content of their files.
CHUNK = 64
CHUNK_EMBEDDED = 16
# For fewer images, starting processes takes longer than reading.
ENOUGH_FOR_PROCESSES = 2000


def convert(
    settings: ConversionSettings,
    output: Path,
    *,
    validation_fold: int | None = None,
    strict: bool = False,
    embed_images: bool = False,
    apply_exif: bool = False,
    workers: int | None = None,
) -> ConvertReport:
    """Converts a dataset to record files.

    Memory use is constant apart from image names and counts. A script that calls this with several workers
    needs an `if __name__ == "__main__"` guard.

    Args:
        settings: Dataset and how to split it.
        output: Prefix of the files, as in `<output>-fold-000-of-002-shard-00000-of-00010`.
        validation_fold: Fold that `sample_modifier_config` leaves unchanged.
        strict: Whether any issue is an error: all issues are listed, but no record file is written.
        embed_images: Whether records contain the image files, so that no image folder is needed.
        apply_exif: Whether labels refer to images with the EXIF orientation applied, as viewers show them.
            The loader then applies the orientation.
        workers: Number of processes; by default one per core.

    Returns:
        Counts, files and notes of the conversion.

    Raises:
        UsageError: An argument is invalid.
        DataError: There is no usable image, a folder is missing, or an issue was found with `strict`.
        PlaceBusyError: Another conversion writes to the same prefix.
        RunError: The disk is full or a worker process died.
    """
    started = time.monotonic()
    plan = make_plan(settings, embed_images=embed_images, apply_exif=apply_exif)
    modifier = _modifier(settings, plan, validation_fold)
    if workers is not None and workers < 1:
        raise UsageError(f"workers {workers}: expected 1 or more")
    count = (workers or usable_cores()) if plan.size >= ENOUGH_FOR_PROCESSES else 1
    with staged(output) as files:
        with files.warnings.open("x", encoding="utf-8") as stream:
            faults = IssueLog(stream)
            faults.add(plan.faults)
            run = _Run(plan, files, output.name, modifier, faults)
            run.write_all(_tasks(plan, CHUNK_EMBEDDED if embed_images else CHUNK), count)
            faults.close()
        _check_outcome(run, files, output, strict=strict)
        if not faults.counts:
            files.warnings.unlink()
        files.write_lists()
        written, replaced = files.commit()
    return ConvertReport(
        files=written,
        folds=tuple(run.folds),
        class_map={name: stored_class_name(name) for name in sorted(run.source_names)},
        skipped=dict(faults.counts),
        notes=(*plan.notes, *_notes_on(run.remarks, apply_exif=apply_exif)),
        warning_file=warning_path(output) if faults.counts else None,
        left_out=run.left_out,
        replaced=replaced,
        seconds=time.monotonic() - started,
    )


def make_plan(settings: ConversionSettings, *, embed_images: bool = False, apply_exif: bool = False) -> Plan:
    """Lists and checks the images of a dataset.

    Args:
        settings: Dataset and how to split it.
        embed_images: Whether records contain the image files.
        apply_exif: Whether labels refer to images with the EXIF orientation applied.

    Raises:
        DataError: A folder or file is missing or unusable, or there is no image.
    """
    if isinstance(settings.data_set, KittiSettings):
        return plan_kitti(settings.data_set, embed_images=embed_images, apply_exif=apply_exif)
    from frcnn.data.conversion.coco.plan import plan_coco

    return plan_coco(settings.data_set, embed_images=embed_images, apply_exif=apply_exif)


class _Run:
    """Writes the results of the workers in order and counts them."""

    def __init__(
        self, plan: Plan, files: ShardFiles, prefix: str, modifier: SampleModifier | None, faults: IssueLog
    ) -> None:
        self.folds = [FoldCounts() for _ in plan.folds]
        self.source_names = set(plan.source_names)
        self.left_out = 0
        self.remarks: Counter[Remark] = Counter()
        self._plan = plan
        self._files = files
        self._prefix = prefix
        self._modifier = modifier
        self.faults = faults

    def write_all(self, tasks: Iterator[Task], workers: int) -> None:
        """Runs the tasks and writes one file per shard."""
        current = None
        done = 0
        with (
            Progress("converting", self._plan.size) as progress,
            closing(ordered_map(run_task, tasks, workers)) as results,
            ExitStack() as open_file,
        ):
            for result in results:
                if (result.fold, result.shard) != current:
                    current = result.fold, result.shard
                    open_file.close()
                    stream = open_file.enter_context(self._files.open(self._name(*current)))
                self._take(result, stream)
                done += result.read
                progress.update(done)

    def _name(self, fold: int, shard: int) -> str:
        return file_name(self._prefix, fold, self._plan.fold_count, shard, self._plan.shards[fold])

    def _take(self, result: TaskResult, stream: BinaryIO) -> None:
        self.faults.add(result.faults)
        self.source_names |= result.source_names
        self.remarks.update(result.remarks)
        for image in result.images:
            copies = self._copies(result.fold, image)
            self.left_out += copies == 0
            self.folds[result.fold].add(image.class_counts, copies)
            for _ in range(copies):
                stream.write(image.data)

    def _copies(self, fold: int, image: EncodedImage) -> int:
        return 1 if self._modifier is None else self._modifier.copies(fold, image.class_counts)


def _notes_on(remarks: Mapping[Remark, int], *, apply_exif: bool) -> tuple[str, ...]:
    """Returns notes about image properties that are not issues, without the final period."""
    turned, dim = remarks.get(Remark.TURNED, 0), remarks.get(Remark.UNUSED_BITS, 0)
    notes = []
    if turned and apply_exif:
        notes.append(f"{_have(turned)} an EXIF orientation, which the loader will apply")
    elif turned:
        notes.append(
            f"{_have(turned)} an EXIF orientation, which is not applied: labels must refer to the "
            "stored pixels. If they were drawn on rotated images, as viewers show them, convert again with "
            "apply_exif"
        )
    if dim:
        notes.append(
            f"{'1 PNG image uses' if dim == 1 else f'{dim} PNG images use'} fewer than the 16 bits per "
            "channel. The loader takes the upper 8 of the bits in use"
        )
    if outside := remarks.get(Remark.BOXES_OUTSIDE, 0):
        notes.append(
            f"{_have(outside)} boxes with more than a quarter outside of the image, which the loader "
            "clips. If these objects are not cut off, the labels belong to images of another size, or mix up "
            "width and height with the second corner"
        )
    return tuple(notes)


def _have(images: int) -> str:
    return "1 image has" if images == 1 else f"{images} images have"


def _tasks(plan: Plan, chunk: int) -> Iterator[Task]:
    for fold, jobs in enumerate(plan.folds):
        for shard, part in enumerate(shard_slices(len(jobs), plan.shards[fold])):
            # An empty shard gets one task without jobs, so that its file is created.
            for start in range(part.start, max(part.stop, part.start + 1), chunk):
                yield Task(plan.reader, fold, shard, jobs[start : min(start + chunk, part.stop)])


def _modifier(settings: ConversionSettings, plan: Plan, validation_fold: int | None) -> SampleModifier | None:
    folds = len(plan.folds)
    if validation_fold is not None and not 0 <= validation_fold < folds:
        raise UsageError(f"validation fold {validation_fold}: expected 0 to {folds - 1}")
    if settings.samples is None:
        return None
    if validation_fold is None and folds > 1:
        log.warning("sample_modifier_config applies to all folds. Name the validation fold to exclude it.")
    return SampleModifier(settings.samples, folds, validation_fold)


def _check_outcome(run: _Run, files: ShardFiles, output: Path, *, strict: bool) -> None:
    """Raises an error for an empty result, or for issues with `strict`; keeps the issue list."""
    faults = run.faults
    nothing = not any(fold.images for fold in run.folds)
    if not nothing and not (strict and faults.counts):
        return
    lead = "no usable image to convert" if nothing else "strict mode: no record files written"
    if faults.counts:
        files.keep_warnings()
        lead = f"{lead}; {faults.message()}\n  complete list: {warning_path(output)}"
    raise DataError(lead)
