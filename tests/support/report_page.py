"""A report page of random scenes, as `frcnn evaluate` writes it."""

from pathlib import Path

import numpy as np

from frcnn.evaluation.error_analysis import ErrorAnalysis
from frcnn.evaluation.evaluator import Evaluator
from frcnn.evaluation.html_report import Subject, save_html
from frcnn.evaluation.report import Report
from frcnn.evaluation.settings import EvaluationSettings
from tests.support.detection_scenes import as_batch, random_scenes


def write_page(
    path: Path, *, compared: bool = False, thresholds: tuple[float, ...] = (0.5, 0.75), images: int = 30
) -> tuple[Report, ErrorAnalysis]:
    """Writes the page; `compared` adds a former model, which was worse on one class and better on others."""
    settings = EvaluationSettings(("bus", "car", "<dog> & co"), thresholds, shown_score=0.5)
    evaluator = Evaluator(settings)
    inspection = ErrorAnalysis(settings, mean=np.full(1, 60.0), scale=1.0, bgr=False)
    found, batch = as_batch(random_scenes(seed=2, images=images, skilled=True))
    batch["images"] = np.random.default_rng(0).integers(0, 120, batch["images"].shape).astype(np.float32)
    evaluator.update(found, batch)
    inspection.update(found, batch)
    report = evaluator.report()
    former = report.to_dict() if compared else None
    if former is not None:
        former["mAP"] -= 0.05
        for name, change in (("bus", -0.1), ("car", 0.02)):
            former["iou"]["0.50"]["classes"][name]["ap"] += change
    log = path.with_name("training_log.csv")
    log.write_text("epoch,loss,mAP\n1,2.5,\n2,1.4,0.31\n3,0.9,0.48\n4,0.8,0.57\n")
    before = "before/metrics.json" if compared else ""
    subject = Subject("resnet:10", "the validation set", before, "results/model.keras", log)
    save_html(path, report, inspection, subject, former)
    return report, inspection
