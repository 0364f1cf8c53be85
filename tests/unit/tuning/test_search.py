"""The search itself, with real Optuna and trainings that are a formula."""

import csv
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest

from frcnn.errors import DataError, ModelError, RunError, UsageError
from frcnn.tuning.results import best_of, front_of, trials_of, write_table
from frcnn.tuning.search import search
from frcnn.tuning.study import open_study
from frcnn.tuning.trial_runner import Trained
from tests.support.formula_training import ANCHORS, EPOCHS, RATE, ROIS, FormulaTrainer, quality, settings_in

ROOT = Path(__file__).parents[3]
WIDTH = 6


def run(settings, trainer=None):
    settings.folder.mkdir(exist_ok=True)
    return search(settings, trainer or FormulaTrainer(), lambda study, trials: None)


def facts(trials):
    """What must not depend on kills: numbers, states, choices, values, curves."""
    return [(each.number, each.state, each.chosen, each.values, each.curve) for each in trials]


def test_the_first_trial_is_the_spec_itself_and_the_best_is_no_worse(tmp_path):
    settings = settings_in(tmp_path, trials=12)
    trials = run(settings)
    assert [each.number for each in trials] == list(range(12))
    assert trials[0].chosen == {RATE: 1.0, ANCHORS: 1.0, ROIS: "16"}
    best = best_of(trials)
    assert best.values["mAP"] == max(each.values["mAP"] for each in trials if each.state == "complete")
    assert best.values["mAP"] > trials[0].values["mAP"] + 0.05


def test_a_trial_trains_the_spec_with_the_chosen_values_and_saves_each_epoch(tmp_path):
    settings = settings_in(tmp_path, trials=3)
    seen = []

    class Recording(FormulaTrainer):
        def train(self, training):
            seen.append(training.spec.experiment)
            return super().train(training)

    trials = run(settings, Recording())
    for trial, spec in zip(trials, seen, strict=True):
        rate = 0.01 * trial.chosen[RATE]
        assert spec.training_config.learning_rate.step.base_lr == pytest.approx(rate, rel=1e-4)
        scale = 32.0 * trial.chosen[ANCHORS]
        assert spec.model_config.anchor_box_config.scale == (pytest.approx(scale, rel=1e-4),)
        assert spec.model_config.roi_mini_batch == int(trial.chosen[ROIS])
        assert spec.training_config.checkpoint_interval == 1
        assert spec.evaluation_config.validation_period_during_training == 1
        assert (trial.folder / "log.txt").read_text().count("INFO epoch") == len(trial.curve)
        assert f"roi_mini_batch: {trial.chosen[ROIS]}" in (trial.folder / "spec.txt").read_text()


def test_the_same_seed_gives_the_same_trials_and_another_seed_others(tmp_path):
    first, again, other = (
        run(settings_in(tmp_path / name, seed=seed, trials=5))
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert facts(first) == facts(again)
    assert [each.chosen for each in first[1:]] != [each.chosen for each in other[1:]]


def test_bad_trials_end_early_and_the_best_never_do(tmp_path):
    trials = run(settings_in(tmp_path, trials=12))
    pruned = [each for each in trials if each.state == "pruned"]
    assert pruned and all(len(each.curve) < EPOCHS for each in pruned)
    assert all(len(each.curve) == EPOCHS for each in trials if each.state == "complete")
    assert max(each.mean_ap for each in pruned) < best_of(trials).values["mAP"]


@pytest.mark.parametrize("pruner", ["hyperband", "none"])
def test_other_pruners_end_trials_early_or_none(tmp_path, pruner):
    trials = run(settings_in(tmp_path, trials=7, pruner=pruner))
    states = {each.state for each in trials}
    assert states == {"complete"} if pruner == "none" else "complete" in states


def test_a_search_that_is_done_runs_nothing_again_and_goes_on_when_more_trials_are_wanted(tmp_path):
    before = run(settings_in(tmp_path, trials=4))
    idle = FormulaTrainer()
    assert facts(run(settings_in(tmp_path, trials=4), idle)) == facts(before)
    assert idle.begun == []
    more = run(settings_in(tmp_path, trials=6), idle)
    assert facts(more)[:4] == facts(before) and len(more) == 6
    assert facts(more) == facts(run(settings_in(tmp_path / "at once", trials=6)))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"seed": 4}, "seed"),
        ({"pruner": "none"}, "pruner"),
        ({"objectives": ("mAP", "flops")}, "objectives"),
        ({"mixed": True}, "precision"),
    ],
)
def test_a_study_is_not_mixed_with_other_settings(tmp_path, change, name):
    before = run(settings_in(tmp_path, trials=2))
    with pytest.raises(UsageError, match=rf"out: its study was started with another .*{name}"):
        run(settings_in(tmp_path, trials=4, **change))
    assert facts(run(settings_in(tmp_path, trials=2))) == facts(before)


def test_a_file_that_is_no_study_is_left_as_it_is(tmp_path):
    settings = settings_in(tmp_path)
    settings.folder.mkdir()
    (settings.folder / "study.db").write_bytes(b"not a database, but somebody's file" * 100)
    with pytest.raises(RunError, match=r"study\.db: not a study of frcnn tune"):
        run(settings)
    assert (settings.folder / "study.db").read_bytes().startswith(b"not a database")


def test_several_jobs_run_at_a_time_each_in_a_place_of_its_own(tmp_path):
    places = []

    class Recording(FormulaTrainer):
        def train(self, training):
            places.append(training.slot)
            return super().train(training)

    trials = run(settings_in(tmp_path, trials=9, jobs=3, pruner="none"), Recording(pause=0.01))
    assert len(trials) == 9 and {each.state for each in trials} == {"complete"}
    assert set(places) == {0, 1, 2}


def test_a_failed_trial_is_kept_with_its_reason_and_the_search_goes_on(tmp_path):
    class Failing(FormulaTrainer):
        def train(self, training):
            if training.folder.name == "0001":
                raise ModelError("the loss is not finite")
            return super().train(training)

    trials = run(settings_in(tmp_path, trials=4), Failing())
    assert [each.state == "failed" for each in trials] == [False, True, False, False]
    assert trials[1].message == "the loss is not finite"


def test_a_search_whose_trials_all_fail_is_given_up(tmp_path):
    class Failing(FormulaTrainer):
        def train(self, training):
            raise ModelError("no memory")

    with pytest.raises(RunError, match="All 3 trials failed, the last one with: no memory"):
        run(settings_in(tmp_path, trials=20), Failing())


def test_missing_data_ends_the_search_and_the_trial_goes_on_later(tmp_path):
    class Missing(FormulaTrainer):
        def train(self, training):
            raise DataError("no records")

    with pytest.raises(DataError, match="no records"):
        run(settings_in(tmp_path, trials=3), Missing())
    assert [each.number for each in run(settings_in(tmp_path, trials=3))] == [0, 1, 2]


@pytest.fixture
def own_clock(monkeypatch):
    """Time that passes in the pauses of `FormulaTrainer` only, however busy the machine."""
    now = [0.0]
    clock = types.SimpleNamespace(
        monotonic=lambda: now[0],
        strftime=time.strftime,
        sleep=lambda seconds: now.append(now.pop() + seconds),
    )
    for module in ("frcnn.tuning.trial_runner", "tests.support.formula_training"):
        monkeypatch.setattr(f"{module}.time", clock)


def test_when_the_time_is_up_trials_pause_after_their_epoch_and_go_on_with_more(tmp_path, own_clock):
    hours = 0.35 / 3600
    settings = settings_in(tmp_path, trials=5, pruner="none", hours=hours)
    paused = run(settings, FormulaTrainer(pause=0.1))
    assert len(paused) < 5 and paused[-1].state == "running"
    reached = len(paused[-1].curve)
    assert 0 < reached < EPOCHS
    idle = FormulaTrainer()
    assert facts(run(settings, idle)) == facts(paused) and idle.begun == []  # the time of both runs counts
    trainer = FormulaTrainer()
    done = run(settings_in(tmp_path, trials=5, pruner="none"), trainer)
    assert trainer.begun[0][1] == reached
    uncut = run(settings_in(tmp_path / "uncut", trials=5, pruner="none"))
    assert facts(done) == facts(uncut)


def test_two_objectives_give_the_front_that_a_second_way_finds(tmp_path):
    settings = settings_in(tmp_path, trials=10, objectives=("mAP", "flops"))
    trials = run(settings)
    assert {each.state for each in trials} == {"complete"}
    pairs = {each.number: (each.values["mAP"], -each.values["flops"]) for each in trials}
    # Sorted by one value, the front is where the other one reaches a new height.
    expected, height = set(), float("-inf")
    for number, pair in sorted(pairs.items(), key=lambda item: (-item[1][0], -item[1][1])):
        if pair[1] > height or any(pairs[each] == pair for each in expected):
            expected.add(number)
            height = max(height, pair[1])
    assert {each.number for each in front_of(trials, settings.objectives)} == expected
    assert all(each.curve for each in trials)


def test_a_trial_without_validation_fails_with_a_reason(tmp_path):
    class Blind(FormulaTrainer):
        def train(self, training):
            return Trained(training.folder / "best.keras", None)

    with pytest.raises(RunError, match="ended without a validation"):
        run(settings_in(tmp_path), Blind())


def test_epochs_that_were_validated_after_a_kill_complete_the_curve(tmp_path):
    class Late(FormulaTrainer):
        def train(self, training):
            trained = super().train(training)
            return Trained(trained.model, trained.mean_ap, ((1, 0.9), (99, 0.125)))

    (trial,) = run(settings_in(tmp_path, trials=1), Late())
    assert trial.curve[-1] == (99, 0.125) and len(trial.curve) == EPOCHS + 1
    assert trial.curve[0][1] != 0.9, "what was reported stays"


def killed_search(folder, trials, jobs, kills):
    """Runs the search as a program, kills it with SIGKILL in the middle, and runs it to its end."""
    words = [sys.executable, "-m", "tests.support.formula_training", folder, str(trials), str(jobs), "0.05"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    begun = 0
    for _ in range(kills):
        program = subprocess.Popen(words, cwd=ROOT, env=environment, start_new_session=True)
        before = epochs_in(folder)
        until = time.monotonic() + 600
        while epochs_in(folder) < before + WIDTH and program.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.01)
        begun += program.poll() is None
        os.killpg(program.pid, signal.SIGKILL)
        assert program.wait() == -signal.SIGKILL, "it ended before it was killed"
    assert begun == kills
    subprocess.run(words, cwd=ROOT, env=environment, check=True)


def epochs_in(folder):
    return sum(path.read_text().count("INFO epoch") for path in Path(folder).glob("out/trials/*/log.txt"))


def test_a_search_killed_twice_finds_what_an_uninterrupted_one_finds(tmp_path):
    killed_search(str(tmp_path / "killed"), 7, 1, kills=2)
    settings = settings_in(tmp_path / "killed", trials=7)
    killed = trials_of(open_study(settings), settings)
    assert facts(killed) == facts(run(settings_in(tmp_path / "whole", trials=7)))
    assert all(each.state in ("complete", "pruned") for each in killed)


def test_a_training_that_ends_with_the_search_has_not_failed_and_goes_on(tmp_path):
    """Ctrl-C in a terminal reaches the trainings, too, and may end them first."""
    settings = settings_in(tmp_path, trials=2)

    class Ended(FormulaTrainer):
        def train(self, training):
            threading.Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()
            raise RunError("the training process ended unexpectedly (signal 2)")

    with pytest.raises(KeyboardInterrupt):
        run(settings, Ended())
    assert [each.state for each in trials_of(open_study(settings), settings)] == ["running"]
    assert facts(run(settings)) == facts(run(settings_in(tmp_path / "whole", trials=2)))


def test_the_model_of_a_trial_is_found_below_a_relative_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class Absolute(FormulaTrainer):
        def train(self, training):
            trained = super().train(training)
            return dataclasses.replace(trained, model=trained.model.absolute())

    (trial,) = run(dataclasses.replace(settings_in(tmp_path, trials=1), folder=Path("out")), Absolute())
    assert trial.model == Path("out/trials/0000/best.keras") and trial.model.is_file()


@pytest.mark.slow
def test_a_killed_search_of_several_jobs_loses_no_trial(tmp_path):
    killed_search(str(tmp_path), 9, 3, kills=2)
    settings = settings_in(tmp_path, trials=9, jobs=3)
    trials = trials_of(open_study(settings), settings)
    assert [each.number for each in trials] == list(range(9))
    assert all(each.state in ("complete", "pruned") for each in trials)
    for each in trials:
        assert [epoch for epoch, _ in each.curve] == list(range(1, len(each.curve) + 1))


def test_the_table_has_a_line_for_each_trial(tmp_path):
    settings = settings_in(tmp_path, trials=5)
    trials = run(settings)
    with write_table(trials, settings).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["trial"]) for row in rows] == [0, 1, 2, 3, 4]
    for row, trial in zip(rows, trials, strict=True):
        assert float(row[RATE]) == trial.chosen[RATE] and row[ROIS] == trial.chosen[ROIS]
        assert row["state"] == trial.state
        assert float(row["highest_mAP"]) == trial.mean_ap
    assert sum(row["on_front"] == "true" for row in rows) == 1


@pytest.mark.parametrize("text", ['=HYPERLINK("http://x","y")', "+1", "-1 + 2", "@SUM(A1)", "\t=1"])
def test_a_text_in_the_table_is_no_formula_of_a_spreadsheet(tmp_path, text):
    settings = settings_in(tmp_path, trials=1)
    (trial,) = run(settings)
    failed = dataclasses.replace(trial, message=text, mean_ap=-0.5)
    with write_table([failed], settings).open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["message"] == f"'{text}"
    assert float(row["highest_mAP"]) == -0.5


def test_a_carriage_return_in_a_reason_does_not_end_the_line_of_the_table(tmp_path):
    settings = settings_in(tmp_path, trials=1)
    (trial,) = run(settings)
    with write_table([dataclasses.replace(trial, message="a\r=1")], settings).open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["message"] == "a\\r=1"


def test_the_importances_name_what_decides(tmp_path):
    settings = settings_in(tmp_path, trials=16, pruner="none")
    run(settings)
    found = open_study(settings).importances()
    assert set(found) == {RATE, ANCHORS, ROIS}
    assert sum(found.values()) == pytest.approx(1.0)
    assert max(found, key=found.get) in (RATE, ANCHORS)


def test_the_formula_is_best_where_it_says(tmp_path):
    spec = settings_in(tmp_path).spec.experiment
    best = spec.updated({RATE: 0.05, ANCHORS: (50.0,), ROIS: 32})
    assert quality(best) == pytest.approx(0.9)
    assert quality(spec) < 0.5
