"""What is chosen for which data set."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from frcnn.memory import gpu_memory, main_memory
from frcnn.spec_writing.batch_size import batch_size, image_bytes
from frcnn.spec_writing.choices import LIMITS, arch_in_name, choose, default_epochs, input_size
from frcnn.spec_writing.facts import Facts
from frcnn.survey.anchors import Anchors

GIB = 1 << 30


def facts(**changes):
    random = np.random.default_rng(0)
    corners = random.uniform(0.1, 0.5, (200, 2))
    boxes = np.concatenate([corners, corners + random.uniform(0.1, 0.3, (200, 2))], axis=1)
    found = Facts(
        images=205, height=480, width=640, gray=False, classes={"car": 150, "van": 50}, small_side=42.0,
        most_objects=28, many_objects=19, mean=(170.0, 160.0, 175.0), deviation=40.0,
        boxes=boxes, labels=np.repeat([0, 1], [150, 50]), names=("car", "van"),
    )  # fmt: skip
    return dataclasses.replace(found, **changes)


@pytest.mark.parametrize(
    ("image", "small", "goal", "expected"),
    [
        ((480, 640), 42.0, "accuracy", (320, 432)),  # 42 px become 28
        ((480, 640), 42.0, "speed", (272, 368)),  # ... 24
        ((480, 640), 42.0, "edge", (224, 304)),  # ... 20
        ((480, 640), 10.0, "accuracy", (480, 640)),  # never enlarged
        ((480, 640), 300.0, "accuracy", (288, 384)),  # large objects: no fewer pixels than this
        ((3000, 4000), 20.0, "accuracy", (848, 1136)),  # no more pixels than that
        ((375, 1242), 30.0, "accuracy", (352, 1152)),
        ((100, 100), 50.0, "edge", (128, 128)),
        ((64, 96), 50.0, "accuracy", (128, 192)),  # the shorter side gets 128 px, and the aspect ratio stays
        ((3, 20000), 3.0, "accuracy", (128, 20000)),
    ],
)
def test_images_are_reduced_as_far_as_small_objects_allow(image, small, goal, expected):
    assert input_size(*image, small, LIMITS[goal]) == expected


def test_anchors_are_fitted_to_a_size_that_was_asked_for():
    # All objects take a fifth of both sides: 128 x 96 px in 640 x 480, 128 x 48 px in 640 x 240.
    corners = np.linspace(0.05, 0.75, 200)[:, None].repeat(2, axis=1)
    same = facts(boxes=np.concatenate([corners, corners + 0.2], axis=1))
    for size, ratio in (((480, 640), 128 / 96), ((240, 640), 128 / 48)):
        chosen = choose(same, "accuracy", size=size)
        assert (chosen.rows, chosen.columns) == size
        assert min(abs(np.log(chosen.anchors.ratios) - np.log(ratio))) < 0.05
        assert chosen.coverage.mean_iou > 0.75


def test_settings_follow_the_objects_of_an_image():
    chosen = choose(facts(), "accuracy")
    assert (chosen.max_objects, chosen.rois, chosen.detections, chosen.proposals) == (40, 64, 100, 200)
    crowded = choose(facts(most_objects=150, many_objects=100), "accuracy")
    assert (crowded.max_objects, crowded.rois, crowded.detections) == (190, 128, 380)
    alone = choose(facts(most_objects=1, many_objects=1), "accuracy")
    assert (alone.max_objects, alone.rois) == (20, 32)


def test_images_that_are_held_out_do_not_count_for_batch_size_and_epochs():
    chosen = choose(facts(images=120), "accuracy", held_out=60)
    alone = choose(facts(images=60), "accuracy")
    assert (chosen.batch, chosen.batch_why, chosen.epochs) == (alone.batch, alone.batch_why, alone.epochs)
    assert chosen.batch == 2 < choose(facts(images=120), "accuracy").batch
    assert chosen.images_text() == "120 images (60 for training, 60 for validation)"


def test_anchors_cover_every_object_of_the_sample():
    chosen = choose(facts(), "accuracy")
    assert chosen.coverage.objects == 200
    assert chosen.coverage.missed == 0
    assert chosen.coverage.mean_iou > 0.7


def test_a_rare_class_is_covered_and_its_coverage_is_printed():
    # 390 large cars and 10 tiny vans: by number alone, no anchor would fit the vans.
    corners = np.linspace(0.05, 0.4, 400)[:, None].repeat(2, axis=1)
    sides = np.where(np.arange(400) < 390, 0.4, 0.07)[:, None]
    boxes = np.concatenate([corners, corners + sides], axis=1)
    chosen = choose(facts(boxes=boxes, labels=np.repeat([1, 0], [390, 10]), names=("van", "car")), "accuracy")
    assert chosen.covered_classes() == "car 100%, van 100%"
    assert "anchors at IoU 0.5 by class: car 100%, van 100%" in chosen.summary()
    large = dataclasses.replace(chosen, anchors=Anchors((150.0,), (1.0,)))
    assert large.covered_classes() == "car 100%, van 0%"


@pytest.mark.parametrize(
    ("name", "arch"),
    [
        ("resnet50-0676ba61.pth", "resnet:50"),
        ("ResNet18.safetensors", "resnet:18"),
        ("vgg16_weights.h5", "vgg:16"),
        ("mobilenet_v2.h5", "mobilenet_v2"),
        ("efficientnet-b3.h5", "efficientnet:b3"),
        ("weights.h5", None),
    ],
)
def test_the_name_of_weights_may_tell_the_backbone(name, arch):
    assert arch_in_name(name) == arch


def test_pretrained_weights_need_fewer_epochs_at_the_same_rate():
    random, pretrained = (
        choose(facts(), "accuracy", pretrained=path) for path in (None, Path("resnet34.pth"))
    )
    assert (random.arch, pretrained.arch) == ("resnet:18", "resnet:34")
    assert pretrained.epochs == pytest.approx(random.epochs / 2, abs=1)
    assert pretrained.base_lr == random.base_lr
    assert choose(facts(), "accuracy", arch="vgg:16", pretrained=Path("resnet34.pth")).arch == "vgg:16"


@pytest.mark.parametrize(("images", "epochs"), [(1, 80), (205, 59), (100_000, 12)])
def test_epochs_follow_the_number_of_images(images, epochs):
    assert default_epochs(images) == epochs


@pytest.mark.parametrize(
    ("images", "gpu", "main", "batch"),
    [
        (1000, 0, 64 * GIB, 4),  # CPUs gain nothing from more
        (1000, 80 * GIB, 64 * GIB, 16),
        (1000, 4 * GIB, 64 * GIB, 8),
        (1000, 0, GIB // 2, 1),
        (60, 0, 64 * GIB, 2),  # at least 25 steps per epoch
        (40, 0, 64 * GIB, 2),  # batch normalization needs more than one image
        (1, 0, 64 * GIB, 1),
    ],
)
def test_the_batch_fits_the_memory_and_the_data_set(images, gpu, main, batch):
    found, why = batch_size(images, "resnet:18", 288 * 384, 64, gpu, main)
    assert found == batch
    assert found == 1 or found * image_bytes("resnet:18", 288 * 384, 64) <= (gpu or main) / 2
    assert "GiB" in why


def test_only_a_batch_that_memory_limits_names_the_free_memory_which_differs_between_runs():
    def why(main: int) -> str:
        return batch_size(1000, "resnet:18", 288 * 384, 64, 0, main)[1]

    assert why(30 * GIB) == why(31 * GIB)
    assert "of 0.5 GiB" in why(GIB // 2)


def test_the_containers_limit_counts(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    2097152 kB\n")
    assert main_memory(tmp_path / "meminfo", ()) == 2 * GIB
    (tmp_path / "memory.max").write_text("max\n")
    assert main_memory(tmp_path / "meminfo", (tmp_path / "memory.max",)) == 2 * GIB
    (tmp_path / "memory.max").write_text(f"{GIB}\n")
    assert main_memory(tmp_path / "meminfo", (tmp_path / "memory.max",)) == GIB


class Driver:
    """NVIDIA's driver library with one GPU of 24 GiB."""

    def __init__(self, count=1):
        self._count = count

    def cuInit(self, flags):  # noqa: N802
        return 0

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = self._count
        return 0

    def cuDeviceGet(self, device, number):  # noqa: N802
        return 0

    def cuDeviceTotalMem_v2(self, size, device):  # noqa: N802
        size._obj.value = 24 * GIB
        return 0


def test_the_drivers_memory_is_that_of_the_first_gpu():
    assert gpu_memory(Driver()) == 24 * GIB
    assert gpu_memory(Driver(count=0)) == 0
