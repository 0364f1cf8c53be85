"""Runs, schedules and published pipelines on a server: status, lists, cancelling."""

from tests.pipeline.remote.commands import frcnn, submit


def test_status_of_a_failed_run_is_exit_code_1(kubeflow, spec, capsys):
    assert submit(kubeflow, spec) == 0
    kubeflow.script = [("FAILED", [("convert", "FAILED", "no such bucket")])]
    assert frcnn("status", "run-0", "--host", kubeflow.url) == 1
    shown = capsys.readouterr()
    assert "  no such bucket\n" in shown.out
    assert "run run-0: failed" in shown.err


def test_a_run_is_cancelled(kubeflow, spec):
    assert submit(kubeflow, spec) == 0
    assert frcnn("cancel", "run-0", "--host", kubeflow.url) == 0
    assert kubeflow.runs[0]["state"] == "CANCELED"


def test_an_unknown_run_is_an_error_that_says_where_to_look(kubeflow, capsys):
    assert frcnn("cancel", "nothing", "--host", kubeflow.url) == 1
    assert (
        "run nothing does not exist in this server. List runs and schedules with frcnn pipeline list"
        in capsys.readouterr().err
    )


def test_a_schedule_replaces_the_one_of_its_name_and_does_not_catch_up(kubeflow, spec, capsys):
    for hour in ("2", "3"):
        words = ("--name", "weekly", "--cron", f"0 {hour} * * 0", "--max_concurrency", "2")
        where = ("--spec", spec, "--data", "/data", "--host", kubeflow.url)
        assert frcnn("schedule", *words, *where) == 0
    (schedule,) = kubeflow.schedules
    assert schedule["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 0"}}
    assert (schedule["no_catchup"], str(schedule["max_concurrency"])) == (True, "2")
    assert schedule["mode"] == "ENABLE"
    assert frcnn("list", "--host", kubeflow.url) == 0
    assert "0 0 3 * * 0" in capsys.readouterr().out
    assert frcnn("cancel", "--schedule", "weekly", "--host", kubeflow.url) == 0
    assert kubeflow.schedules == []
    assert frcnn("cancel", "--schedule", "weekly", "--host", kubeflow.url) == 2
    assert "no such schedule. Existing schedules: none" in capsys.readouterr().err


def test_a_list_shows_the_newest_runs_first(kubeflow, spec, capsys):
    for name in ("first", "second"):
        assert submit(kubeflow, spec, "--name", name) == 0
    capsys.readouterr()
    assert frcnn("list", "--host", kubeflow.url, "--limit", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["run-1", "pending"]
    assert "first" not in "".join(lines)


def test_the_same_pipeline_is_published_once(kubeflow, capsys):
    for _ in range(2):
        assert frcnn("publish", "--host", kubeflow.url) == 0
    assert [each["display_name"] for each in kubeflow.pipelines] == ["faster-rcnn"]
    assert len(kubeflow.versions) == 1
    assert capsys.readouterr().out.endswith(" (already exists)\n")
    assert frcnn("publish", "--host", kubeflow.url, "--version", "1.0") == 0
    assert frcnn("publish", "--host", kubeflow.url, "--version", "1.0") == 1
    assert [each["display_name"] for each in kubeflow.versions][1:] == ["1.0"]
