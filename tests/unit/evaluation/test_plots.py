import numpy as np
import pytest
from PIL import Image

from frcnn.evaluation.average_precision import trace_curve
from frcnn.evaluation.evaluator import Evaluator
from frcnn.evaluation.plots import plot_curves, save_curves
from frcnn.evaluation.report import AtScore, ClassResult, IoUResult, Report
from frcnn.evaluation.settings import EvaluationSettings
from tests.support.detection_scenes import as_batch, random_scenes

SHOWN = AtScore(0.6, 1, 1, 2)
NAMES = ("bus", "car", "dog")


def report_of(*thresholds, voc07=False, classes=2):
    evaluator = Evaluator(EvaluationSettings(NAMES, thresholds, voc07=voc07))
    evaluator.update(*as_batch(random_scenes(seed=2, images=20, classes=classes)))
    return evaluator.report()


def test_each_threshold_gets_its_own_picture(tmp_path):
    paths = save_curves(report_of(0.5, 0.75), tmp_path / "new")
    assert [path.name for path in paths] == ["PR_curve_iou0.50.png", "PR_curve_iou0.75.png"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [path.name for path in paths]
    with Image.open(paths[0]) as picture:
        assert picture.format == "PNG"
        assert len(picture.convert("L").getcolors()) > 10  # something is drawn


def test_a_single_threshold_also_gets_the_name_users_know(tmp_path):
    names = [path.name for path in save_curves(report_of(0.5), tmp_path)]
    assert names == ["PR_curve_iou0.50.png", "PR_curve.png"]


def test_the_legend_names_the_classes_that_have_objects_with_their_ap():
    report = report_of(0.5)
    axes = plot_curves(report.results[0], report.metric).axes[0]
    car = report.results[0].classes[1]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [f"{each.name} ({each.ap:.4f})" for each in report.results[0].classes[:2]]
    assert labels[1].startswith("car (0.")
    assert f"IoU 0.50: mAP {report.mean_ap:.4f} (VOC12)" in axes.get_title()
    np.testing.assert_allclose(axes.lines[1].get_xdata()[1:-1], car.curve.recall)


@pytest.mark.parametrize("voc07", [False, True])
def test_voc12_draws_the_envelope_and_voc07_the_curve_itself(voc07):
    report = report_of(0.5, voc07=voc07)
    curve = report.results[0].classes[0].curve
    drawn = plot_curves(report.results[0], report.metric).axes[0].lines[0].get_ydata()[1:-1]
    np.testing.assert_allclose(drawn, curve.precision if voc07 else curve.envelope)
    assert (np.diff(drawn) <= 0).all() != voc07


def test_a_report_without_objects_still_gives_a_picture(tmp_path):
    report = Evaluator(EvaluationSettings(NAMES, (0.5,))).report()
    assert save_curves(report, tmp_path)[0].is_file()


@pytest.mark.parametrize("name", ["us$5_$10", "$", "_private", r"a\b^{2}", "car $x$ </b>"])
def test_class_names_stand_in_the_legend_as_they_are(tmp_path, name):
    curve = trace_curve(np.array([0.9, 0.8]), np.array([True, False]), 2)
    result = IoUResult(0.5, (ClassResult(name, 0.5, 0.5, 0.5, 0.5, 2, 0, 1, 1, curve, SHOWN),))
    legend = plot_curves(result, "VOC12").axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [f"{name} (0.5000)"]
    assert save_curves(Report((result,), "VOC12", 0.5, 2), tmp_path)[0].is_file()


def test_of_very_many_classes_those_with_the_most_objects_are_drawn(tmp_path):
    curve = trace_curve(np.array([0.9, 0.8]), np.array([True, False]), 2)
    classes = tuple(
        ClassResult(f"c{n}", 0.5, 0.5, 0.5, 0.5, n, 0, 1, 1, curve, SHOWN) for n in range(1, 1201)
    )
    figure = plot_curves(IoUResult(0.5, classes), "VOC12")
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert (names[0], names[-1], len(names)) == ("c1105 (0.5000)", "c1200 (0.5000)", 96)
    assert "the 96 of 1200 classes with the most objects" in figure.axes[0].get_title()


def test_settings_of_the_caller_are_as_before(tmp_path):
    import matplotlib

    with matplotlib.rc_context({"font.size": 33.0}):
        save_curves(report_of(0.5), tmp_path)
        assert matplotlib.rcParams["font.size"] == 33.0
