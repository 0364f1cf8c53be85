"""`frcnn.train`: trains a model from a spec."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from frcnn.api.backend import use_tensorflow
from frcnn.api.booleans import checked_booleans
from frcnn.api.keys import resolved_key
from frcnn.api.locations import Location, local_output, name_of
from frcnn.api.specs import SpecLike, given_spec, with_epochs
from frcnn.console.quiet_import import quiet_tensorflow_import
from frcnn.errors import RunError
from frcnn.packages import needed_for
from frcnn.progress import Progress, reported_to
from frcnn.settings.training import training_run
from frcnn.spec.schema.experiment import Experiment

if TYPE_CHECKING:
    import keras

    from frcnn.distributed.world import World
    from frcnn.training import result as training_result


@dataclasses.dataclass(frozen=True)
class Epoch:
    """Completed epoch of a training.

    Attributes:
        epoch: Number of the epoch, from 1.
        epochs: Total number of epochs.
        losses: Mean losses by name; `loss` is their sum.
        learning_rate: Learning rate at the end of the epoch.
        seconds: Duration including validation, s.
        mean_ap: mAP on the validation set, 0 to 1; None if the epoch had no validation.
    """

    epoch: int
    epochs: int
    losses: Mapping[str, float]
    learning_rate: float
    seconds: float
    mean_ap: float | None


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """Result of a training.

    Attributes:
        model: Best checkpoint; the last one without validation.
        last: Last checkpoint.
        best: Checkpoint with the highest mAP; None without validation.
        epochs: Number of completed epochs, including those before a resume.
        loss: Mean loss of the last epoch.
        mean_ap: mAP of `model`, 0 to 1; None if it was not validated.
        history: All epochs, including those before a resume.
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
    """Training with all arguments resolved.

    Attributes:
        spec: Checked spec.
        results_dir: Folder for checkpoints and logs.
        key: Key that seals the checkpoints; empty for plain files.
        resume: Whether to resume from the newest usable checkpoint in `results_dir`, if there is one.
        use_amp: Whether to compute the layers in 16 bits.
        strict: Whether an unreadable image raises an error.
        fp16_allreduce: Whether ranks exchange gradients in 16 bits.
        backup_uri: With `resume`, `s3://` URI to copy the results folder to during the training, and to
            resume from on a new machine; empty for none.
    """

    spec: Experiment
    results_dir: Path
    key: str = dataclasses.field(repr=False)
    resume: bool = False
    use_amp: bool = False
    strict: bool = False
    fp16_allreduce: bool = False
    backup_uri: str = ""


class _Options(TypedDict):
    """Arguments that all kinds of training take."""

    key: str
    amp: bool
    strict: bool
    world: "World"
    callbacks: "Sequence[keras.callbacks.Callback]"


# Called with each epoch; returning False ends the training after it.
OnEpoch = Callable[[Epoch], bool | None]


@checked_booleans
@quiet_tensorflow_import()
def train(
    spec: SpecLike,
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

    The training runs in a child process, so it does not change TensorFlow's settings or keep GPU memory in
    this process. Callbacks run in this process.

    Args:
        spec: `Spec` or the name of its file.
        results_dir: Folder for checkpoints and logs; created if missing.
        resume: Whether to resume from the newest checkpoint in `results_dir`, if there is one.
        resume_from_model: Checkpoint, or results folder for its latest one; replaces the spec's.
        retrain_pruned_model: Pruned model to train; replaces the spec's.
        num_epochs: Number of epochs; replaces the spec's. A shorter training still writes its last
            checkpoint.
        use_amp: Whether to compute the layers in 16 bits.
        strict: Whether an unreadable image raises an error; otherwise it is skipped with a warning.
        isolated: Whether to train in a child process. Otherwise TensorFlow stays deterministic in this
            process and keeps the GPU memory. Ranks of a launcher always train in their own process.
        key: Key that seals the checkpoints, as text or a `pathlib.Path` of its file; by default FRCNN_KEY,
            then the file that FRCNN_KEY_FILE names, then the spec's key. Without a key, checkpoints are plain
            `.keras` files.
        on_epoch: Called after each epoch's validation, before its checkpoint is written. Returning False ends
            the training after this epoch, with a checkpoint; an exception cancels it.
        on_progress: Called with the progress at most four times per second, in this thread.

    Returns:
        The model, and the history of the training.

    Raises:
        SpecError: The spec is invalid.
        UsageError: An argument is invalid.
        DataError: There is nothing to train on.
        ModelError: The model that the training starts from cannot be used.
        RunError: The loss is no longer finite, the disk is full, or the training process was killed.
            Checkpoints that were already written remain.
    """
    folder = local_output(results_dir, "results_dir")
    known = with_epochs(given_spec(spec), num_epochs)
    known = _started_from(known, resume_from_model, retrain_pruned_model)
    secret = resolved_key(key, known.enc_key)
    request = TrainingRequest(known, folder, secret, resume, use_amp, strict)
    from frcnn.distributed.world import rank_info

    use_tensorflow()
    if isolated and rank_info().size == 1:
        from frcnn.api.isolated_training import train_in_child

        return train_in_child(request, on_epoch, on_progress)
    with reported_to(on_progress), needed_for("training", "train"):
        return train_here(request, on_epoch)


def train_here(request: TrainingRequest, on_epoch: OnEpoch | None = None) -> TrainResult:
    """Trains in this process and reads the result from the checkpoints.

    Args:
        request: Training with all arguments resolved.
        on_epoch: Called after each epoch, as in `train`.

    Returns:
        Result of the training.

    Raises:
        FrcnnError: The training failed, as in `train`.
    """
    from frcnn.api.epoch_callback import EpochCallback
    from frcnn.training.run_folder import checkpoint_in

    epochs = request.spec.training_config.num_epochs
    result = run_training(request, [] if on_epoch is None else [EpochCallback(on_epoch, epochs)])
    # Only rank 0 writes checkpoints; other ranks on its machine find them in the folder.
    last = result.checkpoint or checkpoint_in(request.results_dir, "latest")
    if last is None:
        raise RunError(
            f"{request.results_dir}: no checkpoint of the complete training; only its first process writes "
            "there. Use a folder that all processes share."
        )
    return _result(result.best or last, last, result.best, request.key, epochs)


def run_training(
    request: TrainingRequest, callbacks: "Sequence[keras.callbacks.Callback]" = ()
) -> "training_result.TrainResult":
    """Trains in this process, as one of several ranks if a launcher started it.

    Args:
        request: Training with all arguments resolved.
        callbacks: Keras callbacks that run after validation.

    Returns:
        Result on this rank; only rank 0 has checkpoints.

    Raises:
        FrcnnError: The training failed, as in `train`.
    """
    from frcnn.distributed.world import join
    from frcnn.training.s3_backup import train_with_s3_backup
    from frcnn.training.trainer import train as train_model

    run, folder, world = training_run(request.spec), request.results_dir, join(half=request.fp16_allreduce)
    options: _Options = {
        "key": request.key,
        "amp": request.use_amp,
        "strict": request.strict,
        "world": world,
        "callbacks": callbacks,
    }
    if request.resume:
        return train_with_s3_backup(run, folder, request.backup_uri, **options)
    return train_model(run, folder, **options)


def _started_from(spec: Experiment, resume: Location | None, retrain: Location | None) -> Experiment:
    values: dict[str, object] = {}
    if resume is not None:
        values["training_config.resume_from_model"] = name_of(resume, "resume_from_model")
    if retrain is not None:
        values["training_config.retrain_pruned_model"] = name_of(retrain, "retrain_pruned_model")
    return spec.updated(values) if values else spec


def _result(model: Path, last: Path, best: Path | None, key: str, epochs: int) -> TrainResult:
    from frcnn.model.files.training_record import read_record

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
    """Converts a row of the training log to an `Epoch`.

    Args:
        row: Values by column name.
        epochs: Total number of epochs.

    Returns:
        The epoch.
    """
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
