"""dataset_convert, killed before every call that changes a file: one whole set, never a mixture."""

from pathlib import Path

import pytest

from frcnn.data.conversion.convert import convert
from frcnn.data.records.tfrecord import read_records
from frcnn.settings.conversion import conversion_settings
from frcnn.spec.schema.export import DatasetExportConfig, KITTIConfig
from tests.support.kill_points import all_files, each_kill, kill_server
from tests.support.kitti_folder import CAR, write_kitti

IMAGES = 6


def spec(folder: Path, shards: int) -> DatasetExportConfig:
    return DatasetExportConfig(
        kitti_config=KITTIConfig(
            root_directory_path=str(folder / "kitti"),
            image_dir_name="image_2",
            label_dir_name="label_2",
            image_extension=".png",
            partition_mode="random",
            num_partitions=2,
            num_shards=shards,
            val_split=50.0,
        )
    )


def convert_again(folder: Path) -> None:
    """The job: a set of twice the shards."""
    convert(conversion_settings(spec(folder, 2)), folder / "records/set", workers=1)


@pytest.fixture
def prepared(tmp_path):
    """A data set and the records of an earlier conversion, whose files have other names and one the same."""
    folder = tmp_path / "prepared"
    labels = {f"{number:03d}": [CAR] for number in range(IMAGES)}
    write_kitti(folder / "kitti", labels)
    (folder / "kitti/label_2/005.txt").write_text("not a label\n")
    convert(conversion_settings(spec(folder, 1)), folder / "records/set", workers=1)
    (folder / "records/neighbor.txt").write_text("mine")
    return folder


@pytest.mark.parametrize("over", ["nothing", "an existing set"])
def test_at_every_kill_the_former_set_or_the_new_one_is_there_and_the_next_run_ends_equal(
    tmp_path, prepared, over, record_property
):
    if over == "nothing":
        for path in (prepared / "records").glob("*set*"):
            path.unlink()
    whole = [0] if over == "nothing" else []
    whole.append(len(images(prepared)) or len(set_of(tmp_path, prepared)))

    def check(folder: Path) -> None:
        found = images(folder)
        assert len(found) == len(set(found)) and len(found) in whole, f"{len(found)} images, {found}"

    server_files = tmp_path / "server"
    server_files.mkdir()
    with kill_server(convert_again, server_files) as server:
        tried = each_kill(server, prepared, tmp_path / "work", check, equal=records_of)
    record_property("kill points", tried)
    assert tried > 50


def images(folder: Path) -> list[str]:
    """Returns the images that a training on `records/set-*` gets."""
    return [
        each.frame_id for path in sorted((folder / "records").glob("set-*")) for each in read_records(path)
    ]


def set_of(tmp_path: Path, prepared: Path) -> list[str]:
    convert(conversion_settings(spec(prepared, 1)), tmp_path / "elsewhere/records/set", workers=1)
    return images(tmp_path / "elsewhere")


def records_of(folder: Path) -> dict[str, bytes]:
    return all_files(folder / "records")
