"""The report page: what it says, and that it needs nothing but itself."""

import re
import tracemalloc
from html.parser import HTMLParser

import numpy as np
import pytest

from frcnn.drawing.charts import PLANE_HEIGHT, PLANE_WIDTH
from frcnn.errors import UsageError
from frcnn.evaluation.average_precision import Curve
from frcnn.evaluation.error_analysis import ErrorAnalysis
from frcnn.evaluation.evaluator import Evaluator
from frcnn.evaluation.html_report import (
    MAX_PANELS,
    Subject,
    curve_path,
    read_metrics,
    save_html,
)
from frcnn.evaluation.settings import EvaluationSettings
from tests.support.report_page import write_page

DASH = "\N{EN DASH}"


class Page(HTMLParser):
    """Texts of cells by row, addresses, and headings."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.addresses, self.headings, self._into = [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._into = self.rows[-1]
        if tag in ("h1", "h2", "h3"):
            self.headings.append("")
            self._into = self.headings

    def handle_endtag(self, tag):
        if tag in ("td", "th", "h1", "h2", "h3"):
            self._into = None

    def handle_data(self, data):
        if self._into is not None:
            self._into[-1] += data


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    report, inspection = write_page(path, compared=True)
    return path.read_text("utf-8"), report, inspection


def test_the_class_table_has_the_numbers_of_the_report(compared):
    text, report, inspection = compared
    rows = {row[0]: row for row in Page(text).rows if len(row) > 8}
    bus = report.results[0].classes[0]
    sizes = [
        f"{DASH if each.ap is None else f'{each.ap:.3f}'} ({each.objects})"
        for each in inspection.by_size.results(0).values()
    ]
    counts = [str(bus.objects), str(bus.difficult)]
    shown, best = bus.shown, bus.best_f1
    ratios = [f"{shown.precision:.3f}", f"{shown.recall:.3f}", f"{best.f1:.3f} ({best.score:.2f})"]
    expected = ["bus", f"{bus.ap:.3f}", f"{bus.ap - 0.1:.3f}", "+0.100"]
    expected += [*ratios, *sizes, *counts, f"{bus.rpn_recall:.3f}"]
    assert [cell.strip() for cell in rows["bus"]] == expected


def test_the_confusion_table_has_every_count(compared):
    text, _, inspection = compared
    rows = [row for row in Page(text).rows if len(row) == 5 and row[0] != "labeled"][-4:]
    counts = [[cell.strip() for cell in row[1:]] for row in rows]
    expected = inspection.confusion.astype(str).tolist()
    expected[-1][-1] = DASH
    assert counts == expected


def test_names_are_escaped(compared):
    text, *_ = compared
    assert "<dog>" not in text
    assert "<dog> & co" in Page(text).headings


def test_the_page_needs_no_network_and_no_script(compared):
    text, *_ = compared
    addresses = [address for address in Page(text).addresses if address != "#main"]
    assert addresses
    assert all(address.startswith("data:") for address in addresses)
    assert "<script" not in text
    assert "url(" not in text


def test_without_a_former_model_nothing_is_compared(tmp_path):
    write_page(tmp_path / "report.html", thresholds=(0.5,))
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "compared with" not in text
    assert not re.search(r'<span class="delta', text)


def test_an_evaluation_of_nothing_has_a_page_too(tmp_path):
    write_page(tmp_path / "report.html", images=0)
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "None: every object was found." in text
    assert "None: every shown detection was correct." in text


def test_the_curve_goes_from_the_left_edge_to_its_last_recall_and_down():
    scores = np.array([0.9, 0.8, 0.7])
    curve = Curve(scores, found=np.array([1, 1, 2]), shown=np.array([1, 2, 3]), objects=4)
    height = (1 - 2 / 3) * PLANE_HEIGHT
    expected = (
        f"M0.0,0.0 L{PLANE_WIDTH / 4:.1f},0.0 L{PLANE_WIDTH / 4:.1f},{height:.1f} "
        f"L{PLANE_WIDTH / 2:.1f},{height:.1f} L{PLANE_WIDTH / 2:.1f},{PLANE_HEIGHT:.1f}"
    )
    assert curve_path(curve, "VOC12") == expected


@pytest.mark.parametrize("content", [None, "{", "[1]", '{"mAP": 1}'])
def test_other_files_cannot_be_compared_with(tmp_path, content):
    path = tmp_path / "metrics.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=r"metrics\.json"):
        read_metrics(path)


def test_control_characters_in_names_are_shown_escaped(tmp_path):
    settings = EvaluationSettings(("car\x1b[2J", "a\nb", "\x00"), (0.5,), shown_score=0.5)
    report, inspection = Evaluator(settings).report(), _inspection(settings)
    save_html(tmp_path / "a.html", report, inspection, Subject("model\x07", "data\x9b"))
    text = (tmp_path / "a.html").read_text("utf-8")
    assert {"car\\x1b[2J", "a\\nb", "\\x00"} <= {cell for row in Page(text).rows for cell in row}
    assert "Evaluation of model\\x07" in Page(text).headings
    assert not [character for character in text if not character.isprintable() and character != "\n"]


def test_the_page_of_thousands_of_classes_grows_with_their_number_not_its_square(tmp_path):
    sizes = {}
    for count in (300, 3000):
        settings = EvaluationSettings(tuple(f"class {n}" for n in range(count)), (0.5,), shown_score=0.5)
        tracemalloc.start()
        report, inspection = Evaluator(settings).report(), _inspection(settings)
        save_html(tmp_path / "a.html", report, inspection, Subject("model", "data"))
        sizes[count] = (tmp_path / "a.html").stat().st_size, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert f"{MAX_PANELS} classes with the most objects" in (tmp_path / "a.html").read_text("utf-8")
    for small, large in zip(sizes[300], sizes[3000], strict=True):
        assert large < 11 * small
    assert sizes[3000][1] < 200 << 20


def _inspection(settings):
    return ErrorAnalysis(settings, mean=np.zeros(1), scale=1.0, bgr=False)


def test_the_numbers_agree_with_the_galleries(compared):
    text, report, inspection = compared
    shown = report.results[0].shown
    headings = Page(text).headings
    assert f"Worst misses ({len(inspection.misses)} of {shown.missed})" in headings
    assert f"Worst false alarms ({len(inspection.false_alarms)} of {shown.wrong})" in headings
    assert f"<dd>{shown.missed} <small>of {shown.objects}</small></dd>" in text


def test_the_page_names_the_model_the_best_threshold_and_the_training(compared):
    text, report, _ = compared
    best = report.results[0].best_f1
    assert "Model: results/model.keras" in text
    assert (
        f"mAP uses detections down to a score of {report.score_threshold:g} (<code>object_confidence" in text
    )
    assert f"The best F1 is {best.f1:.3f}, at a score of {best.score:.2f}" in text
    assert "0.570 after epoch 4; best 0.570 after epoch 4" in text
    assert "Examples" in Page(text).headings
