import pytest

from frcnn.settings.conversion import conversion_settings
from frcnn.spec import COCOConfig, DatasetExportConfig, KITTIConfig


def kitti(**fields):
    return conversion_settings(DatasetExportConfig(kitti_config=KITTIConfig(**fields))).data_set


def coco(**fields):
    lists = {"img_dir_names": ("a", "b"), "annotation_files": ("a.json", "b.json"), "num_partitions": 2}
    return conversion_settings(DatasetExportConfig(coco_config=COCOConfig(**lists, **fields))).data_set


def test_a_sequence_file_counts_in_sequence_mode_only():
    assert kitti(kitti_sequence_to_frames_file="s.json").sequence_file == ""
    assert kitti(kitti_sequence_to_frames_file="s.json", partition_mode="sequence").sequence_file == "s.json"


def test_an_empty_extension_is_the_default():
    assert kitti(image_extension="").extension == ".png"


@pytest.mark.parametrize(("given", "shards"), [((), (0, 0)), ((4,), (4, 4)), ((3, 5), (3, 5))])
def test_each_partition_has_its_number_of_shards(given, shards):
    assert coco(num_shards=given).shards == shards
