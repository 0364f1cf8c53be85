"""Reports and new specs of data sets on S3: KITTI, COCO and records."""

import numpy as np
import pytest

import frcnn
from frcnn.data.transforms.image_settings import ImageSettings
from frcnn.errors import StoreError
from frcnn.inference.detector import Detector, DetectorSettings
from frcnn.model.detections import Detections
from frcnn.spec.schema.export import KITTIConfig
from tests.support.kitti_folder import CAR, PEDESTRIAN, write_kitti


@pytest.fixture(autouse=True)
def on_this_server(server, tmp_path, monkeypatch):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def kitti(tmp_path):
    return write_kitti(tmp_path / "kitti", {f"{n:03d}": [CAR, PEDESTRIAN] for n in range(8)})


def test_a_kitti_folder_and_records_on_s3_are_reported_side_by_side(kitti, tmp_path, store, uri):
    config = KITTIConfig(
        root_directory_path=str(kitti), image_dir_name="image_2", label_dir_name="label_2",
        image_extension=".png", partition_mode="random", num_partitions=2, val_split=25, num_shards=1,
    )  # fmt: skip
    frcnn.convert(frcnn.ConvertSpec(kitti_config=config), tmp_path / "records/set", embed_images=True)
    store.publish(kitti, f"{uri}/kitti")
    store.publish(tmp_path / "records", f"{uri}/records")
    report = frcnn.data_report([f"{uri}/kitti", f"{uri}/records"], compare=0)
    assert {each["name"]: each["images"] for each in report.content["folds"]} == {
        "kitti": 8,
        "records: fold 0": 2,
        "records: fold 1": 6,
    }
    assert report.objects == {"car": 16, "pedestrian": 16}


def test_a_coco_set_on_s3_gives_a_spec(kitti, tmp_path, store, uri):
    frcnn.convert_labels(kitti, tmp_path / "coco", "coco", copy_images=True)
    store.publish(tmp_path / "coco", f"{uri}/coco")
    found = frcnn.new_spec(f"{uri}/coco", tmp_path / "out")
    assert found.summary.startswith("8 training images")
    assert frcnn.convert(found.conversions[0][0], tmp_path / "records/set").images == 8


def test_labels_of_a_set_on_s3_are_converted_with_copies_of_the_images(kitti, tmp_path, store, uri):
    store.publish(kitti, f"{uri}/kitti")
    frcnn.convert_labels(f"{uri}/kitti", tmp_path / "voc", "voc")
    assert not (tmp_path / "voc/JPEGImages/000.png").is_symlink()


def no_objects(images, sizes):
    """Stands in for a network that finds nothing."""
    count = len(images)
    return Detections(
        np.zeros((count, 1, 4), np.float32),
        np.zeros((count, 1), np.float32),
        np.zeros((count, 1), np.int32),
        np.zeros(count, np.int32),
    )


@pytest.mark.parametrize("as_list", [True, False])
def test_a_stream_skips_missing_objects_on_request_and_nothing_else(
    kitti, store, uri, caplog, monkeypatch, as_list
):
    for number in range(3):
        store.upload_file(kitti / f"image_2/{number:03d}.png", f"{uri}/{number:03d}.png")
    names = [f"{uri}/000.png", f"{uri}/gone.png", f"{uri}/001.png", str(kitti / "gone.png"), f"{uri}/002.png"]
    image = ImageSettings(32, 32, 3, "rgb", (0.0, 0.0, 0.0), 1.0, True)
    detector = Detector(no_objects, DetectorSettings(image, ("car",), 0.5, 2, "onnxruntime"))

    def stream(images, **options):
        return detector.stream(images if as_list else iter(images), **options)

    found = [each.source for each in stream(names, unreadable="skip")]
    assert found == [names[0], names[2], names[4]]
    skipped = [record.message for record in caplog.records if "; skipped" in record.message]
    assert len(skipped) == 2 and f"{uri}/gone.png: does not exist" in skipped[0]
    results = stream(names)
    assert next(results).source == names[0]
    with pytest.raises(StoreError, match=r"gone\.png: does not exist"):
        next(results)
    monkeypatch.setenv("S3_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("S3_PATIENCE_SECONDS", "1")
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:9"):
        list(stream(names[:1], unreadable="skip"))
