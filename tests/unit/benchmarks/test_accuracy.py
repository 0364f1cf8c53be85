"""The accuracy benchmark asks both sides for the same training, and judges them alike."""

import numpy as np
import pytest

from benchmarks.accuracy_job import Answer, Job, Picture
from benchmarks.accuracy_ours import spec_text
from frcnn.spec import load_experiment
from frcnn.training.optimizers import optimizer

pytest.importorskip("pycocotools", reason="the peer library is not installed")
from benchmarks.accuracy import coco_map, judged, make_job, mean_ap, scenes_of
from benchmarks.accuracy_results import Run
from frcnn.settings.optimizer import optimizer_settings


def picture(name: str, seed: int) -> Picture:
    low = np.random.default_rng(seed).integers(0, 300, (3, 2))
    boxes = np.concatenate([low, low + 100], axis=1).astype(float).tolist()
    return Picture(f"{name}.jpg", 640, 480, boxes, [0, 1, 0])


def job(folder) -> Job:
    splits = {
        split: [picture(f"{split}{number}", number) for number in range(4)] for split in ("val", "test")
    }
    return Job(
        name="toy",
        arch="resnet:18",
        height=240,
        width=320,
        mean=[100.0, 110.0, 120.0],
        factor=50.0,
        scales=[16, 32],
        classes=["Bus", "car"],
        epochs=3,
        batch=4,
        rate=1e-3,
        rois=16,
        proposals=20,
        weights="",
        data=str(folder),
        splits={"train": splits["val"], **splits},
    )


def answers(wanted: Job, shift: float) -> list[list[list[float]]]:
    """Every object of the test split, moved, and a false one."""
    half = wanted.width / 640
    return [
        [
            *([*(np.asarray(box) * half + shift), 0.9 - 0.1 * n, kind]
              for n, (box, kind) in enumerate(zip(each.boxes, each.classes, strict=True))),
            [5.0, 5.0, 40.0, 40.0, 0.65, 1.0],
        ]
        for each in wanted.splits["test"]
    ]  # fmt: skip


def test_a_job_and_an_answer_survive_their_files(tmp_path):
    wanted = job(tmp_path)
    wanted.save(tmp_path / "job.json")
    assert Job.load(tmp_path / "job.json") == wanted
    answer = Answer([1.0], [answers(wanted, 0.0)], answers(wanted, 1.0))
    answer.save(tmp_path / "answer.json")
    assert Answer.load(tmp_path / "answer.json") == answer


@pytest.mark.parametrize(("wanted", "epochs", "rois"), [((None, None), 8, 32), ((4, 16), 4, 16)])
def test_epochs_and_rois_on_the_command_line_replace_those_of_the_data_set(tmp_path, wanted, epochs, rois):
    (tmp_path / "classes.txt").write_text("raccoon\n")
    for split in ("train", "val", "test"):
        (tmp_path / f"{split}.txt").write_text("")
    made = make_job("raccoon", tmp_path, tmp_path / "weights.pt", *wanted)
    assert (made.epochs, made.rois) == (epochs, rois)


def test_our_spec_is_the_jobs_and_what_is_tried_wins(tmp_path):
    wanted = job(tmp_path)
    path = tmp_path / "spec.txt"
    path.write_text(spec_text(wanted, 7, tmp_path, "training_config { regularizer { type: NO_REG } }"))
    spec = load_experiment(path)
    assert (spec.random_seed, spec.model_config.arch, spec.training_config.num_epochs) == (7, "resnet:18", 3)
    assert spec.model_config.anchor_box_config.scale == (16.0, 32.0)
    assert spec.class_names == ("bus", "car")
    assert spec.training_config.regularizer.type.name == "NO_REG"


def test_both_sides_have_one_learning_rate(tmp_path):
    wanted = job(tmp_path)
    path = tmp_path / "spec.txt"
    path.write_text(spec_text(wanted, 7, tmp_path, ""))
    ours = optimizer(optimizer_settings(load_experiment(path).training_config), 100)
    for step in (0, 2, 5, 50, 71, 95):
        assert float(ours._learning_rate(step)) == pytest.approx(wanted.learning_rate(step, 100), rel=1e-5)


@pytest.mark.parametrize("shift", [0.0, 4.0, 20.0])
def test_pycocotools_and_our_evaluator_agree_on_an_answer(tmp_path, shift):
    wanted = job(tmp_path)
    scenes = scenes_of(wanted, "test", answers(wanted, shift))
    assert mean_ap(wanted, scenes) == pytest.approx(coco_map(wanted, scenes), abs=1e-6)
    result = judged(wanted, Run("ours", 1), Answer([60.0], [answers(wanted, shift)], answers(wanted, shift)))
    assert result.test == mean_ap(wanted, scenes) and result.minutes == [1.0]
    assert (result.test[0] > 0.5) == (shift < 20.0)
