"""Description of a search on a cluster."""

import dataclasses
from typing import TYPE_CHECKING

from components.mpijob.job import TrainingJob

if TYPE_CHECKING:
    from frcnn.tuning.space import Space


@dataclasses.dataclass(frozen=True)
class KatibSearch:
    """A search whose trials are trainings on the cluster.

    Attributes:
        job: A training: its name is that of the Experiment, its `training` is ignored. With several workers,
            each trial is an MPIJob, otherwise a Job.
        space: Fields to vary.
        spec_place: Text of the spec, or its s3:// URI, as the trials get it.
        records: s3:// URI of the records.
        checkpoints: s3:// URI below which each trial keeps its checkpoints.
        trials: Number of trials.
        parallel: Maximum number of concurrent trials.
        epochs: Number of epochs of a trial.
        early_stopping: Whether trials below the median of the others are stopped early.
        mixed: Whether layers compute in 16 bits.
        seed: Seed of the search.
    """

    job: TrainingJob
    space: "Space"
    spec_place: str
    records: str
    checkpoints: str
    trials: int
    parallel: int
    epochs: int
    early_stopping: bool = True
    mixed: bool = False
    seed: int = 42

    @property
    def distributed(self) -> bool:
        """Returns whether each trial trains on several pods."""
        return self.job.workers > 1
