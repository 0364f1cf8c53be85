"""`frcnn.train`: from a spec to a trained model."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from frcnn.api.backend import use_tensorflow
from frcnn.api.keys import resolved_key
from frcnn.api.locations import Location, local_output, name_of
from frcnn.errors import RunError, UsageError
from frcnn.packages import needed_for
from frcnn.progress import Progress, reported_to
from frcnn.spec.python_api import given
from frcnn.spec.schema.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One epoch of a training that is done.

    Attributes:
        epoch: Its number, from 1.
        epochs: Number of epochs in all.
        losses: Mean losses by name; `loss` is their sum.
        learning_rate: At its end.
        seconds: It took, validation included.
        mean_ap: On the validation set, 0 to 1; None if this epoch had no validation.
    """

    epoch: int
    epochs: int
    losses: Mapping[str, float]
    learning_rate: float
    seconds: float
    mean_ap: float | None


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What a training left.

    Attributes:
        model: The best checkpoint, or the last where there was no validation.
        last: The last checkpoint.
        best: The checkpoint of highest mAP; None without validation.
        epochs: Number of epochs that are done, those before a resume included.
        loss: Mean loss of the last epoch.
        mean_ap: Of `model`, 0 to 1; None if it was not validated.
        history: Every epoch, those before a resume included.
    """

    model: Path
    last: Path | None
    best: Path | None
    epochs: int
    loss: float
    mean_ap: float | None
    history: tuple[Epoch, ...] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class TrainingRequest:
    """A training with all arguments resolved."""

    spec: Experiment
    results_dir: Path
    key: str = dataclasses.field(repr=False)
    resume: bool = False
    use_amp: bool = False
    strict: bool = False


# Gets each epoch; False ends the training after it.
OnEpoch = Callable[[Epoch], bool | None]


def train(
    spec: Experiment | str | os.PathLike[str],
    results_dir: Location,
    *,
    resume: bool = False,
    resume_from_model: Location | None = None,
    retrain_pruned_model: Location | None = None,
    num_epochs: int | None = None,
    use_amp: bool = False,
    strict: bool = False,
    isolated: bool = True,
    key: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> TrainResult:
    """Trains a detector.

    The training runs in a child process, so that TensorFlow's settings and the memory of the GPU are as they
    were when it ends. Callbacks run in this process.

    Args:
        spec: A `Spec` or the name of its file.
        results_dir: Folder for checkpoints and logs; made if missing.
        resume: Go on from the newest checkpoint in `results_dir`, if there is one.
        resume_from_model: Instead of the spec's: a checkpoint, or a results folder for its latest one.
        retrain_pruned_model: Instead of the spec's: a pruned model to train.
        num_epochs: Instead of the spec's; a shorter training still writes its last checkpoint.
        use_amp: Compute the layers in 16 bits.
        strict: An image that cannot be read is an error, instead of being left out with a warning.
        isolated: Train in a child process. Without it, TensorFlow stays deterministic in this process, and
            keeps the memory of the GPU. A launcher's ranks train in their own process anyway.
        key: Seals the checkpoints, as text or a `pathlib.Path` of its file; by default FRCNN_KEY, then the
            file that FRCNN_KEY_FILE names, then the spec's. Without one they are plain `.keras` files.
        on_epoch: Called after each epoch's validation, before its checkpoint is written. Returning False ends
            the training after this epoch, with a checkpoint; an exception cancels it.
        on_progress: Called now and then, at most four times a second, in this thread.

    Returns:
        The model, and how the training went.

    Raises:
        SpecError: The spec has faults.
        UsageError: An argument cannot be right.
        DataError: Nothing to train on.
        ModelError: A model that the training starts from cannot be used.
        RunError: The loss is no longer finite, the disk is full, or the training process was killed.
            Checkpoints written before stay.
    """
    folder = local_output(results_dir, "results_dir")
    known = _overridden(given(Experiment, spec), num_epochs, resume_from_model, retrain_pruned_model)
    secret = resolved_key(key, known.enc_key)
    request = TrainingRequest(known, folder, secret, resume, use_amp, strict)
    from frcnn.distributed.world import place

    use_tensorflow()
    if isolated and place().size == 1:
        from frcnn.api.isolated_training import train_in_child

        return train_in_child(request, on_epoch, on_progress)
    with reported_to(on_progress), needed_for("training"):
        return train_here(request, on_epoch)


def train_here(request: TrainingRequest, on_epoch: OnEpoch | None = None) -> TrainResult:
    """Trains in this process; arguments and errors as `train`."""
    from frcnn.api.epoch_callback import EpochCallback
    from frcnn.training.continued import finished
    from frcnn.training.run_folder import checkpoint_in, epoch_of
    from frcnn.training.trainer import train as run

    spec, folder = request.spec, request.results_dir
    newest = checkpoint_in(folder, "latest") if request.resume and folder.is_dir() else None
    epochs = spec.training_config.num_epochs
    if newest is not None and epoch_of(newest.name) >= epochs:
        result = finished(folder, request.key)
    else:
        if newest is not None:
            spec = spec.updated({"training_config.resume_from_model": str(newest)})
        callbacks = [] if on_epoch is None else [EpochCallback(on_epoch, epochs)]
        result = run(
            spec, folder, key=request.key, amp=request.use_amp, strict=request.strict, callbacks=callbacks
        )
    if result is None or result.checkpoint is None:
        raise RunError("the training left no model: checkpoint_interval is longer than its epochs")
    return _result(result.best or result.checkpoint, result.checkpoint, result.best, request.key, epochs)


def _overridden(
    spec: Experiment, num_epochs: int | None, resume: Location | None, retrain: Location | None
) -> Experiment:
    values: dict[str, object] = {}
    if num_epochs is not None:
        if isinstance(num_epochs, bool) or not isinstance(num_epochs, int) or num_epochs < 1:
            raise UsageError(f"num_epochs {num_epochs!r}: expected 1 or more", argument="num_epochs")
        values["training_config.num_epochs"] = num_epochs
        # A training that is made shorter than the interval would leave no model.
        interval = min(spec.training_config.checkpoint_interval, num_epochs)
        values["training_config.checkpoint_interval"] = interval
    if resume is not None:
        values["training_config.resume_from_model"] = name_of(resume, "resume_from_model")
    if retrain is not None:
        values["training_config.retrain_pruned_model"] = name_of(retrain, "retrain_pruned_model")
    return spec.updated(values) if values else spec


def _result(model: Path, last: Path, best: Path | None, key: str, epochs: int) -> TrainResult:
    from frcnn.model.files.checkpoint import read_record

    newest, chosen = read_record(last, key), read_record(model, key)
    return TrainResult(
        model=model,
        last=last,
        best=best,
        epochs=newest.epoch,
        loss=newest.metrics.get("loss", float("nan")),
        mean_ap=_defined(chosen.metrics.get("mAP")),
        history=tuple(epoch_of_row(row, epochs) for row in newest.history),
    )


def epoch_of_row(row: Mapping[str, float], epochs: int) -> Epoch:
    """Returns a row of the training log as an `Epoch`."""
    return Epoch(
        epoch=int(row["epoch"]),
        epochs=epochs,
        losses={name: value for name, value in row.items() if name.endswith("loss")},
        learning_rate=row["learning_rate"],
        seconds=row["seconds"],
        mean_ap=_defined(row.get("mAP")),
    )


def _defined(value: float | None) -> float | None:
    return None if value is None or value != value else value
