"""The picture in the docs shows the pipeline as it is."""

from pipelines.picture import PICTURE, Row, current, rows


def test_the_picture_is_current():
    assert PICTURE.read_text() == current()


def test_rows_are_the_parts_between_gates():
    def step(name, *after):
        return {
            "componentRef": {"name": "step"},
            "taskInfo": {"name": name},
            "dependentTasks": list(after),
        }

    inner = {"dag": {"tasks": {"c": step("third")}}}
    gate = {
        "componentRef": {"name": "inner"},
        "taskInfo": {"name": "good-enough"},
        "triggerPolicy": {"condition": "x"},
        "dependentTasks": ["a"],
    }
    told = {**step("told"), "triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}}
    tasks = {"g": gate, "b": step("second", "a"), "a": step("first"), "t": told}
    spec = {"components": {"step": {}, "inner": inner}, "root": {"dag": {"tasks": tasks}}}
    assert rows(spec) == [
        Row("", ("first", "second")),
        Row("good-enough", ("third",)),
        Row("however it ends", ("told",)),
    ]
