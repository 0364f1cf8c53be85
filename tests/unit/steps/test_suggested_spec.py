import json
import logging

import pytest

from components.convert import main as convert_main
from frcnn.data.records.tfrecord import read_records
from frcnn.errors import UsageError
from frcnn.steps.suggested_spec import NAME, experiment_or_suggested
from tests.pipeline.tiny import CLASSES, SPEC, write_data


@pytest.fixture
def records(tmp_path):
    """Records of ten images, two of them in fold 0, as the convert step writes them."""
    data = write_data(tmp_path / "data", images=10)
    return converted(data, tmp_path / "records")


def converted(data, folder, *words):
    code = convert_main.main(["--data", str(data), "--records", str(folder), *words])
    assert code == 0
    return folder


def test_a_step_without_a_spec_gets_the_one_beside_the_records(records):
    spec = experiment_or_suggested("", None, str(records))
    assert spec.source == f"{records}/{NAME}"
    assert set(spec.dataset_config.target_class_mapping) == set(CLASSES)
    assert spec.dataset_config.validation_fold == 0
    assert experiment_or_suggested(" ", records, "") == spec


def test_the_suggested_numbers_follow_from_the_training_images_only(records):
    """Two of ten images are held out."""
    text = (records / NAME).read_text()
    assert "# 8 training images" in text
    assert "Goal: accuracy" in text


def test_a_spec_that_is_given_wins(records):
    assert experiment_or_suggested(SPEC, None, str(records)).text == SPEC


def test_the_spec_does_not_depend_on_the_memory_of_the_converting_machine(tmp_path, monkeypatch):
    from frcnn import memory

    data = write_data(tmp_path / "data", images=10)
    texts = []
    for megabytes in (1, 512 << 10):  # one image needs more than the first
        monkeypatch.setattr(memory, "_available", lambda meminfo, size=megabytes: size << 20)
        texts.append((converted(data, tmp_path / f"{megabytes} MiB") / NAME).read_text())
    assert texts[0].replace("/1 MiB/", f"/{512 << 10} MiB/") == texts[1]
    assert "batch_size_per_gpu: 2" in texts[0]


def test_records_without_a_suggestion_are_named_with_a_remedy(tmp_path):
    with pytest.raises(UsageError, match=rf"--spec is empty, and there is no suggested spec {tmp_path}/"):
        experiment_or_suggested("", None, str(tmp_path))


def test_one_fold_converts_and_suggests_nothing(tmp_path, caplog):
    data = write_data(tmp_path / "data", images=3)
    given = (
        'kitti_config { root_directory_path: "x" image_dir_name: "images" label_dir_name: "labels" '
        'image_extension: ".jpg" partition_mode: "random" num_partitions: 2 val_split: 0 }'
    )
    with caplog.at_level(logging.WARNING):
        folder = converted(data, tmp_path / "records", "--convert-spec", given)
    assert not (folder / NAME).exists()
    assert "No experiment spec is suggested: the conversion made 1 fold with images" in caplog.text


def coco(folder, names):
    """Writes a COCO data set with an annotation file for each name."""
    data = write_data(folder, images=10)
    (data / "labels").rename(folder / "drawn")
    (data / "annotations").mkdir()
    for number, name in enumerate(names):
        images = [
            {"id": each, "file_name": f"{each:06d}.jpg", "width": 160, "height": 128}
            for each in range(number, 10, len(names))
        ]
        annotations = [
            {"id": each["id"], "image_id": each["id"], "category_id": 1, "bbox": [10, 20, 40, 30],
             "area": 1200, "iscrowd": 0}
            for each in images
        ]  # fmt: skip
        content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "circle"}]}
        (data / f"annotations/instances_{name}.json").write_text(json.dumps(content))
    return data


def test_a_coco_folder_needs_no_conversion_spec_and_validates_on_its_val_file(tmp_path):
    folder = converted(coco(tmp_path / "data", ["train", "val"]), tmp_path / "records")
    spec = experiment_or_suggested("", None, str(folder))
    assert set(spec.dataset_config.target_class_mapping) == {"circle"}
    assert "# 5 training images" in (folder / NAME).read_text()
    held_out = [
        record.frame_id for path in sorted(folder.glob("set-fold-000*")) for record in read_records(path)
    ]
    assert sorted(name[-6:] for name in held_out) == ["000001", "000003", "000005", "000007", "000009"]


def test_a_coco_folder_without_validation_file_is_refused_with_a_remedy(tmp_path, capfd):
    data = coco(tmp_path / "data", ["train"])
    assert convert_main.main(["--data", str(data), "--records", str(tmp_path / "records")]) == 2
    assert "none for validation. Add a file such as instances_val.json" in capfd.readouterr().err
