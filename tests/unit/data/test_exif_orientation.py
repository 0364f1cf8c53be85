"""Pictures stored upright, and the same ones stored turned, as everything that reads images sees them."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image, ImageOps

import frcnn
from frcnn.data.image_file import load_image
from frcnn.data.input.dataset import validation_dataset
from frcnn.data.transforms.image_arrays import upright
from frcnn.data.transforms.image_settings import ImageSettings
from frcnn.inference.images import pixels_of_image
from frcnn.settings.data import data_settings
from frcnn.spec import DataSource, load_experiment
from frcnn.survey.collect import surveyed
from frcnn.survey.record_files import record_source
from frcnn.survey.samples import choose_samples
from frcnn.survey.sources import open_sources
from tests.support.kitti_folder import PEDESTRIAN, write_image
from tests.support.task_spec import write_spec

ORIENTATIONS = range(1, 9)
HEIGHT, WIDTH = 128, 160
# What a viewer does with each orientation, done backwards.
BACKWARDS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def turned(image, path, orientation):
    """Stores an image so that viewers show it upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.transpose(BACKWARDS[orientation]).save(path, exif=exif)


def write_set(root, *, stored_upright):
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    for orientation in ORIENTATIONS:
        pixels = np.random.default_rng(orientation).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        image, path = Image.fromarray(pixels), root / f"images/{orientation}.png"
        if stored_upright or orientation == 1:
            image.save(path)
        else:
            turned(image, path, orientation)
        (root / f"labels/{orientation}.txt").write_text(f"{PEDESTRIAN}\n")
    return root


def converted(root, *, apply_exif, embed_images):
    config = frcnn.spec.KITTIConfig(
        root_directory_path=str(root), image_dir_name="images", label_dir_name="labels",
        image_extension=".png",
    )  # fmt: skip
    frcnn.convert(
        frcnn.ConvertSpec(kitti_config=config),
        root / "records/set",
        apply_exif=apply_exif,
        embed_images=embed_images,
    )
    return root / "records/set"


@pytest.fixture(scope="module", params=[False, True], ids=["folder", "embedded"])
def sets(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exif")
    for name in ("upright", "turned"):
        root = write_set(folder / name, stored_upright=name == "upright")
        converted(root, apply_exif=name == "turned", embed_images=request.param)
    return folder / "upright", folder / "turned"


@pytest.fixture(scope="module")
def turned_folder(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("turned") / "set", stored_upright=False)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_an_array_is_turned_as_pillow_turns_it(turned_folder, orientation):
    with Image.open(turned_folder / f"images/{orientation}.png") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
        np.testing.assert_array_equal(upright(np.asarray(image), orientation), expected)


def test_the_loader_gives_the_network_the_same_pixels_and_boxes(sets, tmp_path):
    batches = []
    for root in sets:
        spec = load_experiment(write_spec(tmp_path / "spec.txt", records=f"{root}/records/set*", images=root))
        source = DataSource(tfrecords_path=f"{root}/records/set*", image_directory_path=str(root))
        spec = spec.updated(
            {
                "dataset_config.target_class_mapping": {"pedestrian": "person"},
                "dataset_config.validation_data_source": source,
            }
        )
        batches.append(
            list(validation_dataset(data_settings(spec), batch_size=8).batches.as_numpy_iterator())
        )
    (upright_batch,), (turned_batch,) = batches
    for name in ("images", "boxes", "valid", "original_size"):
        np.testing.assert_array_equal(turned_batch[name], upright_batch[name])
    assert upright_batch["valid"].sum() == len(ORIENTATIONS)


def test_a_report_on_records_shows_objects_where_they_are(sets):
    shown = []
    for root in sets:
        with surveyed([record_source(str(root / "records/set"), root)]) as tables:
            samples = choose_samples(tables, ["pedestrian"])
            shown.append(sorted(each.picture.content for each in samples.classes["pedestrian"]))
    assert len(shown[0]) == len(set(shown[0])) == len(ORIENTATIONS)
    assert shown[1] == shown[0]


def test_a_report_asks_for_apply_exif_until_it_was_given(sets, turned_folder):
    codes = {}
    for root in (*sets, turned_folder):
        records = root / "records/set"
        content = frcnn.data_report(records if records.exists() else root, images=root, compare=0).content
        codes[root] = (content["images"]["exif_turned"], [each["code"] for each in content["findings"]])
    upright_set, turned_set = sets
    assert codes[turned_set] == codes[upright_set] and codes[upright_set][0] == 0
    count, found = codes[turned_folder]
    assert count == len(ORIENTATIONS) - 1 and "exif_turned" in found


@pytest.mark.parametrize("target", ["kitti", "coco", "voc", "yolo"])
def test_labels_of_records_say_that_they_refer_to_turned_images(sets, tmp_path, target):
    _, root = sets
    done = frcnn.convert_labels(root / "records/set", tmp_path / "labels", target, images=root)
    text = "7 images: that labels refer to the images rotated by EXIF; convert with --apply_exif"
    # YOLO's tools apply the orientation by themselves.
    assert done.losses == (() if target == "yolo" else (text,))


def test_labels_for_yolo_say_that_an_orientation_was_not_applied(turned_folder, tmp_path):
    text = "7 images: their EXIF orientation, which YOLO's tools apply to images and labels"
    assert text in frcnn.convert_labels(turned_folder, tmp_path / "done", "yolo").losses
    assert text not in frcnn.convert_labels(turned_folder, tmp_path / "coco", "coco").losses


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_of_yolo_refer_to_the_turned_image(tmp_path, orientation):
    write_image(tmp_path / "yolo/images/a.jpg", 100, 200, orientation=orientation)
    (tmp_path / "yolo/labels").mkdir()
    (tmp_path / "yolo/labels/a.txt").write_text("0 0.25 0.5 0.5 0.2\n")
    (tmp_path / "yolo/classes.txt").write_text("car\n")
    losses = frcnn.convert_labels(tmp_path / "yolo", tmp_path / "kitti", "kitti").losses
    box = "0 80 50 120" if orientation > 4 else "0 40 100 60"
    assert (tmp_path / "kitti/labels/a.txt").read_text() == f"car 0 0 0 {box} 0 0 0 0 0 0 0\n"
    text = "1 image: that labels refer to the images rotated by EXIF; convert with --apply_exif"
    assert losses == ((text,) if orientation > 1 else ())
    frcnn.convert_labels(tmp_path / "yolo", tmp_path / "again", "yolo")
    assert (tmp_path / "again/labels/a.txt").read_text() == "0 0.25 0.5 0.5 0.2\n"


def test_inference_applies_an_orientation_only_on_request(turned_folder):
    settings = ImageSettings(HEIGHT, WIDTH, 3, "rgb", (0.0, 0.0, 0.0), 1.0, True)
    for orientation in ORIENTATIONS:
        path = turned_folder / f"images/{orientation}.png"
        expected = np.random.default_rng(orientation).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        loaded = load_image(path, settings, apply_exif=True)
        np.testing.assert_array_equal(loaded.pixels, expected)
        assert (loaded.size, loaded.orientation) == ((HEIGHT, WIDTH), orientation)
        sideways = orientation >= 5
        assert load_image(path, settings).size == ((WIDTH, HEIGHT) if sideways else (HEIGHT, WIDTH))


def test_predict_takes_the_stored_pixels_of_an_image_in_any_form(turned_folder):
    for orientation in ORIENTATIONS:
        path = turned_folder / f"images/{orientation}.png"
        with Image.open(path) as image:
            stored = np.asarray(image)
            for form in (path, str(path), path.read_bytes(), image, stored):
                np.testing.assert_array_equal(pixels_of_image(form, 3)[0], stored)


def as_coco(folder, target):
    """The labels of a folder in COCO's format; their sizes are those of the images as viewers show them."""
    images, annotations = [], []
    for number, path in enumerate(sorted((folder / "images").iterdir()), 1):
        images.append({"id": number, "file_name": path.name, "height": HEIGHT, "width": WIDTH})
        box = [5, 5, 20, 40]
        annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": box})
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "pedestrian"}],
    }
    shutil.copytree(folder / "images", target / "images")
    (target / "train.json").write_text(json.dumps(content))
    return target


def surveyed_content(folder, **options):
    content = dict(frcnn.data_report(folder, compare=0, **options).content)
    del content["sources"]
    return content


def samples_of(folder, **options):
    with surveyed(open_sources([str(folder)], **options)) as tables:
        samples = choose_samples(tables, ["pedestrian"])
        return sorted(each.picture.content for each in samples.classes["pedestrian"])


@pytest.mark.parametrize("kind", ["kitti", "coco"])
def test_a_report_with_apply_exif_is_that_of_the_upright_images(tmp_path, turned_folder, kind):
    folders = [write_set(tmp_path / "upright", stored_upright=True), turned_folder]
    if kind == "coco":
        folders = [as_coco(each, tmp_path / f"coco{number}") for number, each in enumerate(folders)]
    expected = surveyed_content(folders[0])
    assert surveyed_content(folders[1], apply_exif=True) == expected
    assert expected["images"]["sizes"] == [{"height": HEIGHT, "width": WIDTH, "images": 8}]
    assert surveyed_content(folders[1])["images"]["exif_turned"] == 7
    shown = samples_of(folders[0])
    assert len(set(shown)) == len(ORIENTATIONS)
    assert samples_of(folders[1], apply_exif=True) == shown


def test_a_report_on_a_conversion_spec_applies_exif_on_request(tmp_path, turned_folder):
    spec = tmp_path / "convert.txt"
    spec.write_text(
        f'kitti_config {{ root_directory_path: "{turned_folder}" image_dir_name: "images" '
        'label_dir_name: "labels" image_extension: ".png" }'
    )
    content = surveyed_content(spec, apply_exif=True)
    assert content["images"]["sizes"] == [{"height": HEIGHT, "width": WIDTH, "images": 8}]
    assert content["images"]["exif_turned"] == 0


def test_a_new_spec_with_apply_exif_fits_the_upright_images(tmp_path, turned_folder):
    upright_folder = write_set(tmp_path / "upright", stored_upright=True)
    sideways = [path for path in (turned_folder / "images").iterdir() if int(path.stem) >= 5]
    assert len(sideways) == 4
    expected = frcnn.new_spec(upright_folder, tmp_path / "a")
    found = frcnn.new_spec(turned_folder, tmp_path / "b", apply_exif=True)

    def text(result, folder, out):
        found = result.experiment.read_text().replace(str(out), "OUT").replace(str(folder), "DATA")
        # Means of reduced images are rounded, and the reduction of a turned image rounds differently.
        return re.sub(r"value: 127\.\d", "value: 127.x", found)

    assert text(found, turned_folder, tmp_path / "b") == text(expected, upright_folder, tmp_path / "a")
    assert [each.endswith(" --apply_exif") for each in found.commands] == [True, False, False]
    assert not any("apply_exif" in each for each in expected.commands)
    (conversion, _), *_ = found.conversions
    assert conversion.read_text().startswith("# Convert with --apply_exif")
