import json

import pytest

from frcnn.errors import UsageError
from frcnn.steps.kfp_output import write_executor_output


def executor_input(folder):
    artifact = {"name": "run/7", "type": {"schemaTitle": "system.Metrics"}, "uri": "minio://b/metrics"}
    model = {"name": "m", "uri": "minio://b/model", "metadata": {"kept": "yes"}}
    return {
        "inputs": {"parameterValues": {"epochs": 3}},
        "outputs": {
            "artifacts": {"metrics": {"artifacts": [artifact]}, "model": {"artifacts": [model]}},
            "outputFile": str(folder / "deep" / "executor_output.json"),
        },
    }


def test_every_output_artifact_is_answered_for_with_its_own_name_and_uri(tmp_path):
    path = write_executor_output(json.dumps(executor_input(tmp_path)), {"metrics": {"mAP": 0.5}})
    assert path == tmp_path / "deep" / "executor_output.json"
    assert json.loads(path.read_text()) == {
        "artifacts": {
            "metrics": {
                "artifacts": [{"name": "run/7", "uri": "minio://b/metrics", "metadata": {"mAP": 0.5}}]
            },
            "model": {"artifacts": [{"name": "m", "uri": "minio://b/model", "metadata": {"kept": "yes"}}]},
        }
    }


def test_numbers_that_json_has_not_are_left_out(tmp_path):
    metrics = {"mAP": float("nan"), "loss": float("inf"), "epochs": 2}
    path = write_executor_output(json.dumps(executor_input(tmp_path)), {"metrics": metrics})
    answer = json.loads(path.read_text())["artifacts"]["metrics"]["artifacts"][0]
    assert answer["metadata"] == {"epochs": 2}


def test_metadata_of_an_artifact_that_is_not_declared_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(UsageError, match="no output artifact curve; it names metrics, model"):
        write_executor_output(json.dumps(executor_input(tmp_path)), {"curve": {}})
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize("text", ["", "{{$}}", "[]", "{}", '{"outputs": {}}', '{"outputs": 3}'])
def test_what_kfp_does_not_write_is_refused(text):
    with pytest.raises(UsageError, match=r"outputs\.outputFile"):
        write_executor_output(text, {})


@pytest.mark.parametrize("gone", [("name",), ("name", "metadata"), ("name", "uri")])
def test_an_artifact_that_the_server_tells_less_of_gets_our_numbers_all_the_same(gone, tmp_path):
    """KFP 2.14 gives output artifacts a URI and a type, and no name."""
    artifact = {"name": "m", "uri": "minio://b/m", "type": {"schemaTitle": "system.Metrics"}, "metadata": {}}
    for key in gone:
        del artifact[key]
    given = {
        "inputs": {},
        "outputs": {
            "outputFile": str(tmp_path / "out.json"),
            "artifacts": {"metrics": {"artifacts": [artifact]}, "empty": {}},
        },
    }
    write_executor_output(json.dumps(given), {"metrics": {"mAP": 0.5}})
    answer = json.loads((tmp_path / "out.json").read_text())["artifacts"]
    kept = {key: artifact[key] for key in ("name", "uri") if key in artifact}
    assert answer == {
        "metrics": {"artifacts": [{**kept, "metadata": {"mAP": 0.5}}]},
        "empty": {"artifacts": []},
    }
