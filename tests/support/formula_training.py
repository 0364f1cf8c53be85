"""A trainer for tests of searches: its mAP is a formula of the spec, and after a kill it goes on.

`python -m tests.support.formula_training FOLDER TRIALS JOBS PAUSE` runs a search, to be killed.
"""

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from frcnn.files import write_text
from frcnn.spec import Experiment, load_experiment
from frcnn.tuning.results import write_table
from frcnn.tuning.search import search
from frcnn.tuning.settings import Objective, TuneSettings
from frcnn.tuning.space import Searched, Space
from frcnn.tuning.trial_runner import Judged, Trained, Training
from frcnn.tuning.tuned_spec import TunedSpec
from tests.support.task_spec import write_spec

RATE = "training_config.learning_rate.step.base_lr"
ANCHORS = "model_config.anchor_box_config.scale"
ROIS = "model_config.roi_mini_batch"
EPOCHS = 6


def quality(spec: Experiment) -> float:
    """mAP after endless training: best at rate 0.05, scale 50 and 32 RoIs."""
    rate = math.log(spec.training_config.learning_rate.step.base_lr / 0.05)
    scale = math.log(spec.model_config.anchor_box_config.scale[0] / 50.0)
    rois = {8: 0.1, 16: 0.05, 32: 0.0}[spec.model_config.roi_mini_batch]
    return 0.9 * math.exp(-0.2 * rate**2 - 2.0 * scale**2) - rois


class FormulaTrainer:
    """Writes the number of done epochs as its checkpoint, after the epoch is reported, as trainings do."""

    def __init__(self, pause: float = 0.0) -> None:
        """`pause` is the time of an epoch, s."""
        self.pause = pause
        self.begun: list[tuple[Path, int]] = []

    def train(self, training: Training) -> Trained:
        checkpoint = training.folder / "epoch.txt"
        done = int(checkpoint.read_text()) if checkpoint.is_file() else 0
        self.begun.append((training.folder, done))
        spec = training.spec.experiment
        best = mean_ap(spec, max(1, done))
        for epoch in range(done + 1, training.spec.epochs + 1):
            training.on_progress()
            time.sleep(self.pause)
            value = mean_ap(spec, epoch)
            training.on_log(20, f"epoch {epoch}")
            go_on = training.on_epoch(Judged(epoch, value))
            write_text(checkpoint, str(epoch))  # whole or not at all: the program is killed at any moment
            best = max(best, value)
            if not go_on:
                break
        model = training.folder / "best.keras"
        model.write_text(f"{best}")
        return Trained(model, best)

    def measure(
        self, model: Path, spec: TunedSpec, objectives: tuple[Objective, ...]
    ) -> Mapping[Objective, float]:
        return dict.fromkeys(objectives, float(spec.value(ROIS)))


def mean_ap(spec: Experiment, epoch: int) -> float:
    return quality(spec) * (1 - math.exp(-epoch / 2))


def space_of(spec: Experiment) -> Space:
    rates = (spec.training_config.learning_rate.step.base_lr,)
    return Space(
        (
            Searched(RATE, low=0.1, high=10.0, log=True, base=rates),
            Searched(ANCHORS, low=0.5, high=2.0, base=spec.model_config.anchor_box_config.scale, listed=True),
            Searched(ROIS, values=("8", "16", "32")),
        )
    )


def settings_in(folder: Path, **changes: object) -> TuneSettings:
    """A search in `folder/out` from a small spec."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = load_experiment(write_spec(folder / "spec.txt"))
    spec = spec.updated({"training_config.num_epochs": EPOCHS})
    values: dict[str, object] = {
        "spec": TunedSpec(spec),
        "space": space_of(spec),
        "folder": folder / "out",
        "trials": 8,
        "hours": None,
        "jobs": 1,
        "objectives": ("mAP",),
        "pruner": "asha",
        "seed": 3,
    }
    return TuneSettings(**{**values, **changes})  # type: ignore[arg-type]


def main(folder: str, trials: str, jobs: str, pause: str) -> None:
    settings = settings_in(Path(folder), trials=int(trials), jobs=int(jobs))
    settings.folder.mkdir(exist_ok=True)
    search(settings, FormulaTrainer(float(pause)), lambda study, found: None)
    write_table(search(settings, FormulaTrainer(), lambda study, found: None), settings)


if __name__ == "__main__":
    main(*sys.argv[1:])
