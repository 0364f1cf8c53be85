"""A file that is no such spec at all is told so in one sentence."""

import pytest

from frcnn.errors import SpecError
from frcnn.spec.load import parse_dataset_export, parse_experiment
from tests.unit.spec.samples import GUIDE

FOLDS = 'partition_mode: "random" num_partitions: 2'
CONVERT = f'kitti_config {{ root_directory_path: "d" {FOLDS} }}\nsample_modifier_config {{ }}'


def only_problem(parse, text):
    with pytest.raises(SpecError) as caught:
        parse(text, "spec.txt")
    (problem,) = caught.value.problems
    return problem.message


def test_a_spec_of_the_other_kind_is_named():
    message = only_problem(parse_experiment, CONVERT)
    assert message.startswith("this is a dataset_convert spec (kitti_config, coco_config, ...)")
    assert "expected an experiment spec" in message
    message = only_problem(parse_dataset_export, GUIDE)
    assert message.startswith("this is an experiment spec")
    assert "expected a dataset_convert spec" in message


@pytest.mark.parametrize(
    "text",
    [
        '{\n  "images": [{"id": 1}],\n  "annotations": []\n}\n',
        "epochs: 3\nbackbone: resnet\ndata:\n  - a\n  - b\n",
        "Car 0.00 0 -1.5 10 10 20 20 1 1 1 1 1 1 1\nVan 0 0 0 1 2 3 4 5 6 7 8 9 10 11\n",
        "import os\nprint(os.environ)\n",
    ],
    ids=["json", "yaml", "labels", "python"],
)
def test_a_file_that_is_no_spec_is_one_sentence(text):
    assert only_problem(parse_experiment, text).startswith("this is not a spec; expected an experiment spec")


@pytest.mark.parametrize(
    "text", ["", "training_config {", "modelconfig { arch: 'resnet:18' }\ntrainingconfig { }"]
)
def test_a_spec_with_faults_still_has_them_named_one_by_one(text):
    with pytest.raises(SpecError) as caught:
        parse_experiment(text)
    assert len(caught.value.problems) > 1
