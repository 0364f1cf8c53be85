"""Names in the chart's values: they stay text, whatever YAML would make of them."""

import pytest

from tests.charts.conftest import find


@pytest.mark.parametrize(
    "name",
    [
        "123",
        "true",
        "null",
        "1e3",
        "a: b",
        "*",
        "x # y",
        "it's",
        'a "b" \\',
        "system:masters",
        "m\u00fcller",
        "a\n  - b",
    ],
)
def test_names_of_subjects_stay_text_whatever_is_in_them(render, name):
    values = {
        "rbac": {"subjects": [{"kind": "User", "name": name}]},
        "s3": {"endpoint": "http://m:9000", "existingSecret": "frcnn-s3"},
    }
    binding = find(render(values), "RoleBinding", "vision-frcnn-launcher")
    assert [each["name"] for each in binding["subjects"]] == ["frcnn-launcher", name]


def test_names_that_look_like_numbers_stay_text(render):
    accounts = {"launcher": "123", "training": "1e3", "publish": "0"}
    subjects = [{"kind": "ServiceAccount", "name": "7", "namespace": "8"}]
    publish = {"enabled": True, "token": True, "pipeline": "pipelineInfo: {name: a}", "namespace": "5"}
    values = {"serviceAccounts": accounts, "rbac": {"subjects": subjects}, "publish": publish}
    values["s3Server"] = {"enabled": True, "storageClass": "1"}
    values["tensorboard"] = {"enabled": True}
    for each in render(values):
        for text in _texts(each):
            assert isinstance(text, str), each


def _texts(node):
    """Values of all fields that hold names."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("name", "namespace", "serviceAccountName", "storageClassName", "claimName"):
                yield value
            yield from _texts(value)
    elif isinstance(node, list):
        for each in node:
            yield from _texts(each)
