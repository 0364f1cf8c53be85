"""dataset_convert: labels and images in, record files out."""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from frcnn.console.progress import Progress
from frcnn.data.conversion.fault_log import FaultLog, warning_path
from frcnn.data.conversion.faults import Remark
from frcnn.data.conversion.kitti.plan import plan_kitti
from frcnn.data.conversion.parallel import default_workers, ordered_map
from frcnn.data.conversion.partition import shard_slices
from frcnn.data.conversion.plan import Plan, stored_class_name
from frcnn.data.conversion.report import ConvertReport, FoldCounts
from frcnn.data.conversion.sample_modifier import SampleModifier
from frcnn.data.conversion.shard_files import ShardFiles, staged
from frcnn.data.conversion.task import EncodedImage, Task, TaskResult, run_task
from frcnn.data.records.tfrecord import file_name
from frcnn.errors import DataError, Problem, SpecError, UsageError

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import DatasetExportConfig

log = logging.getLogger(__name__)

# Images that a worker reads at a time: few where each carries its file's bytes.
CHUNK = 64
CHUNK_EMBEDDED = 16
# Starting processes takes longer than reading so few images.
ENOUGH_FOR_PROCESSES = 2000


def convert(
    spec: "DatasetExportConfig",
    output: Path,
    *,
    validation_fold: int | None = None,
    strict: bool = False,
    embed_images: bool = False,
    apply_exif: bool = False,
    workers: int | None = None,
) -> ConvertReport:
    """Writes the data set that `spec` describes as record files.

    Memory stays flat: image names and counts are held, labels and images are passed through. Called
    with several workers from a script, it needs the script's `if __name__ == "__main__"`.

    Args:
        spec: What to convert, and how to split it.
        output: Prefix of the files: `<output>-fold-000-of-002-shard-00000-of-00010` and so on.
        validation_fold: The fold that sample_modifier_config leaves as it is.
        strict: Any fault ends the run, after all have been listed, and no record file is written.
        embed_images: Records carry the image files' bytes, so that they need no image folder.
        apply_exif: Labels go by the pictures as viewers show them: pictures are turned when they are loaded.
        workers: Processes; default one for each core.

    Raises:
        SpecError, UsageError: The spec or an argument cannot be right.
        DataError: Nothing usable was found, a needed folder is missing, or `strict` and a fault.
        RunError: The disk is full, or a worker process died.
    """
    started = time.monotonic()
    plan = make_plan(spec, embed_images=embed_images, apply_exif=apply_exif)
    modifier = _modifier(spec, plan, validation_fold)
    if workers is not None and workers < 1:
        raise UsageError(f"workers {workers}: expected 1 or more")
    count = (workers or default_workers()) if plan.size >= ENOUGH_FOR_PROCESSES else 1
    with staged(output) as files:
        with files.warnings.open("x", encoding="utf-8") as stream:
            faults = FaultLog(stream)
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


def make_plan(spec: "DatasetExportConfig", *, embed_images: bool = False, apply_exif: bool = False) -> Plan:
    """What to convert, found on the disk; errors as in `convert`."""
    if spec.kitti_config is not None:
        return plan_kitti(spec.kitti_config, embed_images=embed_images, apply_exif=apply_exif)
    if spec.coco_config is not None:
        from frcnn.data.conversion.coco.plan import plan_coco

        return plan_coco(spec.coco_config, embed_images=embed_images, apply_exif=apply_exif)
    raise SpecError("dataset export spec", [Problem("", "neither kitti_config nor coco_config is set")])


class _Run:
    """Writes what the workers return, in order, and counts it."""

    def __init__(
        self, plan: Plan, files: ShardFiles, prefix: str, modifier: SampleModifier | None, faults: FaultLog
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
        """Runs the tasks and writes one file for each shard they name."""
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
    """Sentences on what images have in common that is no fault; without the full stop."""
    turned, dim = remarks.get(Remark.TURNED, 0), remarks.get(Remark.UNUSED_BITS, 0)
    notes = []
    if turned and apply_exif:
        notes.append(f"{turned} images have an EXIF orientation; it is applied when they are loaded")
    elif turned:
        notes.append(
            f"{turned} images have an EXIF orientation: viewers show them turned or mirrored, but it is "
            f"not applied "
            "here, and labels are taken to go by the stored pixels; if they were drawn on what viewers show, "
            "convert again with --apply_exif"
        )
    if dim:
        notes.append(
            f"{dim} PNG images have 16 bits a channel and use fewer; they are brightened to the range they "
            f"use"
        )
    return tuple(notes)


def _tasks(plan: Plan, chunk: int) -> Iterator[Task]:
    for fold, jobs in enumerate(plan.folds):
        for shard, part in enumerate(shard_slices(len(jobs), plan.shards[fold])):
            # A shard without images has one task without jobs, so that its file is made.
            for start in range(part.start, max(part.stop, part.start + 1), chunk):
                yield Task(plan.reader, fold, shard, jobs[start : min(start + chunk, part.stop)])


def _modifier(spec: "DatasetExportConfig", plan: Plan, validation_fold: int | None) -> SampleModifier | None:
    folds = len(plan.folds)
    if validation_fold is not None and not 0 <= validation_fold < folds:
        raise UsageError(f"validation fold {validation_fold}: expected 0 to {folds - 1}")
    if spec.sample_modifier_config is None:
        return None
    if validation_fold is None and folds > 1:
        log.warning("sample_modifier_config changes all folds; name the one to spare with -f")
    return SampleModifier(spec.sample_modifier_config, folds, validation_fold)


def _check_outcome(run: _Run, files: ShardFiles, output: Path, *, strict: bool) -> None:
    """Refuses an empty result, and faults with `strict`; the list of faults stays in both cases."""
    faults = run.faults
    nothing = not any(fold.images for fold in run.folds)
    if not nothing and not (strict and faults.counts):
        return
    lead = "no image is left to convert" if nothing else "strict: no record file is written"
    if faults.counts:
        files.keep_warnings()
        lead = f"{lead}; {faults.message()}\n  all of them: {warning_path(output)}"
    raise DataError(lead)
