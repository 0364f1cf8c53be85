"""The report of a search: what it shows, of searches of every kind, and the geometry of its charts."""

import html.parser
import math
import re

import pytest

from frcnn.tuning import charts
from frcnn.tuning.report import write_report
from frcnn.tuning.results import best_of
from frcnn.tuning.search import search
from frcnn.tuning.study import open_study
from frcnn.tuning.tuned_spec import TunedSpec
from tests.support.formula_training import ANCHORS, EPOCHS, RATE, ROIS, FormulaTrainer, settings_in

VOID = {"meta", "link", "br"}


class Balance(html.parser.HTMLParser):
    """Checks that each element is closed, and keeps the elements that were seen."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page_of(settings):
    settings.folder.mkdir(exist_ok=True)
    trials = search(settings, FormulaTrainer(), lambda study, found: None)
    text = write_report(trials, open_study(settings).importances(), settings).read_text("utf-8")
    page = Balance()
    page.feed(text)
    assert page.open == []
    return text, page, trials


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return page_of(settings_in(tmp_path_factory.mktemp("report"), trials=9))


def test_the_page_shows_the_best_spec_and_every_trial(whole):
    text, _, trials = whole
    best = best_of(trials)
    assert f"Best spec: trial {best.number}" in text
    for field in (RATE, ANCHORS, ROIS):
        assert f'<th scope="row">{field}</th>' in text
    chosen = f"{0.01 * best.chosen[RATE]:.5g}"
    assert f'<td class="text">{chosen}</td>' in text
    rows = re.search(r'aria-labelledby="trials".*?</table>', text, re.DOTALL)[0]
    assert rows.count("<tr") == 1 + len(trials)
    assert f"<td>{best.mean_ap:.4f}</td>" in rows


def test_the_page_needs_nothing_from_elsewhere_and_names_its_charts(whole):
    text, page, _ = whole
    assert not [tag for tag, _ in page.seen if tag in ("script", "img", "iframe")]
    assert not re.search(r'(?:src|href)="(?!#|data:)', text)
    labels = [attributes.get("aria-label") for tag, attributes in page.seen if tag == "svg"]
    assert len(labels) == 3 and all(labels)


def test_dots_stand_where_the_values_are(whole):
    _, _, trials = whole
    plot = charts.history(trials)
    values = [(each.trial.mean_ap, each.y) for each in plot.dots]
    assert [y for _, y in sorted(values)] == sorted((y for _, y in values), reverse=True)
    ticks = {float(text): y for y, text in plot.y_ticks}
    (low, at_low), (high, at_high) = sorted(ticks.items())[:2]
    for value, y in values:
        assert y == pytest.approx(at_low + (value - low) / (high - low) * (at_high - at_low), abs=0.11)


def test_the_line_of_the_history_is_the_best_so_far(whole):
    _, _, trials = whole
    ((_, line),) = charts.history(trials).lines
    heights = [float(pair.split(",")[1]) for pair in line[1:].split(" L")]
    assert heights == sorted(heights, reverse=True)
    best = min(each.y for each in charts.history(trials).dots if each.trial.state == "complete")
    assert heights[-1] == pytest.approx(best, abs=0.11)


def test_a_page_of_two_objectives_shows_their_front(tmp_path):
    text, _, trials = page_of(settings_in(tmp_path, trials=6, objectives=("mAP", "flops")))
    assert "operations per image, G" in text and "(the Pareto front)" in text
    assert text.count("(front)") >= 1
    assert all(f"{each.values['flops']:.2f}" in text for each in trials)


def test_a_page_without_a_finished_trial_says_so(tmp_path):
    settings = settings_in(tmp_path)
    settings.folder.mkdir()
    page = write_report([], {}, settings).read_text("utf-8")
    assert "Too few trials were trained to the end" in page and "Best spec" not in page


def test_names_are_escaped(tmp_path):
    import dataclasses

    settings = settings_in(tmp_path)
    settings.folder.mkdir()
    spec = dataclasses.replace(settings.spec.experiment, source="<script>alert(1)</script>\x1b[31m")
    page = write_report([], {}, dataclasses.replace(settings, spec=TunedSpec(spec))).read_text("utf-8")
    assert "<script>" not in page and "\x1b" not in page


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.61, 0.64), (3.0, 4100.0), (1e-9, 2e-9)])
def test_ticks_are_round_and_inside(low, high):
    scale = charts.Scale(low, high)
    ticks = scale.ticks()
    assert 3 <= len(ticks) <= 11
    for place, text in ticks:
        assert -1e-6 <= place <= 1 + 1e-6
        if high > 1e-6:
            assert scale.place(float(text)) == pytest.approx(place, abs=1e-6)


def test_a_logarithmic_scale_puts_equal_ratios_at_equal_distances():
    scale = charts.Scale(0.25, 4.0, log=True)
    assert [scale.place(each) for each in (0.25, 0.5, 1.0, 2.0, 4.0)] == pytest.approx(
        [0, 0.25, 0.5, 0.75, 1]
    )
    assert charts.Scale.around([]) == charts.Scale(0.0, 1.0)
    assert charts.Scale.around([0.3]).place(0.3) == pytest.approx(0.5)
    assert math.isfinite(charts.Scale.around([0.0, 0.0]).place(0.0))


def test_curves_span_the_epochs(whole):
    _, _, trials = whole
    plot = charts.curves(trials, EPOCHS)
    ends = {each.trial.number: each.x for each in plot.dots}
    for each in trials:
        assert ends[each.number] == pytest.approx(
            (len(each.curve) - 1) / (EPOCHS - 1) * charts.WIDTH, abs=0.1
        )
