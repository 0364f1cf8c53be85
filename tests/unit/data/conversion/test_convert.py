import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import frcnn
from frcnn.atomic_set import SetSwitch
from frcnn.data.conversion import convert as convert_module
from frcnn.data.conversion.convert import convert
from frcnn.data.conversion.faults import IssueKind
from frcnn.data.records.offsets import list_name, unpack
from frcnn.data.records.tfrecord import read_payloads, read_records
from frcnn.errors import DataError, RunError, UsageError
from frcnn.settings.conversion import conversion_settings
from frcnn.single_writer import PlaceBusyError
from frcnn.spec.load import parse_dataset_export
from frcnn.spec.schema.export import COCOConfig, DatasetExportConfig, KITTIConfig, SampleModifierConfig
from tests.support.kitti_folder import CAR, PEDESTRIAN, write_coco, write_image, write_kitti

ZERO_AREA = CAR.replace(" 40 ", " 10.25 ")


def _spec(root, modifier=None, **changes):
    fields = {
        "image_dir_name": "image_2",
        "label_dir_name": "label_2",
        "partition_mode": "random",
        "num_partitions": 2,
        "num_shards": 2,
        "val_split": 25.0,
    }
    kitti = KITTIConfig(root_directory_path=str(root), **{**fields, **changes})
    return DatasetExportConfig(kitti_config=kitti, sample_modifier_config=modifier)


@pytest.fixture
def root(tmp_path):
    labels = {f"{n:03d}": [CAR] * (n % 3) + [PEDESTRIAN] for n in range(12)}
    return write_kitti(tmp_path / "kitti", labels)


@pytest.fixture
def output(tmp_path):
    return tmp_path / "records/kitti"


def _names(output):
    return sorted(path.name for path in output.parent.iterdir() if not path.name.startswith("."))


def _all_records(output):
    return [record for path in sorted(output.parent.glob("[!.]*-of-*")) for record in read_records(path)]


def test_every_image_is_in_one_record_with_its_labels(root, output):
    report = convert(conversion_settings(_spec(root)), output)
    assert _names(output) == [
        f"kitti-fold-00{fold}-of-002-shard-0000{shard}-of-00002" for fold in (0, 1) for shard in (0, 1)
    ]
    assert [len(list(read_payloads(path))) for path in report.files] == [2, 1, 5, 4]
    records = {record.frame_id: record for record in _all_records(output)}
    assert sorted(records) == [f"image_2/{n:03d}" for n in range(12)]
    for n in range(12):
        names = [label.class_name for label in records[f"image_2/{n:03d}"].labels]
        assert names == ["car"] * (n % 3) + ["pedestrian"]
    assert (report.images, report.boxes) == (12, {"car": 12, "pedestrian": 12})
    assert report.folds[0].images == 3
    assert sum(fold.images_with["car"] for fold in report.folds) == 8
    assert report.class_map == {"Car": "car", "Pedestrian": "pedestrian"}
    assert (report.skipped, report.warning_file) == ({}, None)


def test_an_empty_fold_is_a_valid_file_and_the_other_keeps_its_number(root, output):
    report = convert(conversion_settings(_spec(root, val_split=0.0, num_shards=0)), output)
    assert [path.name for path in report.files] == ["kitti-fold-000-of-002", "kitti-fold-001-of-002"]
    assert [len(list(read_payloads(path))) for path in report.files] == [0, 12]


def test_names_without_fold_and_shard(root, output):
    (root / "frames.json").write_text(json.dumps({"a": ["000", "001"], "b": ["002"]}))
    sequence = {"partition_mode": "sequence", "kitti_sequence_to_frames_file": "frames.json"}
    report = convert(conversion_settings(_spec(root, **sequence, num_partitions=0, num_shards=0)), output)
    assert [path.name for path in report.files] == ["kitti"]
    assert report.notes
    assert report.images == 3


def test_a_folder_becomes_one_set_when_nothing_is_said_of_folds(root, output):
    folders = 'image_dir_name: "image_2" label_dir_name: "label_2"'
    text = f'kitti_config {{ root_directory_path: "{root}" {folders} }}'
    report = convert(conversion_settings(parse_dataset_export(text).spec), output)
    assert [path.name for path in report.files] == ["kitti"]
    assert sorted(record.frame_id for record in read_records(report.files[0])) == [
        f"image_2/{number:03d}" for number in range(12)
    ]


def test_the_same_data_gives_the_same_bytes_with_any_number_of_workers(root, tmp_path, monkeypatch):
    monkeypatch.setattr(convert_module, "ENOUGH_FOR_PROCESSES", 1)
    monkeypatch.setattr(convert_module, "CHUNK", 2)
    contents = []
    for workers in (1, 2):
        report = convert(conversion_settings(_spec(root)), tmp_path / f"{workers}/kitti", workers=workers)
        contents.append([path.read_bytes() for path in report.files])
    assert contents[0] == contents[1]


def test_embedded_images_are_in_the_records(root, output):
    convert(conversion_settings(_spec(root)), output, embed_images=True)
    for record in _all_records(output):
        assert record.encoded == (root / f"{record.frame_id}.png").read_bytes()


def _spoil(root):
    (root / "label_2/001.txt").write_text(f"{CAR}\n{ZERO_AREA}\n")
    (root / "label_2/002.txt").unlink()
    (root / "image_2/003.png").write_bytes(b"")
    (root / "label_2/004.txt").write_text("nonsense\n\nmore nonsense here\n")


def test_faults_are_skipped_counted_and_listed_with_file_and_line(root, output):
    _spoil(root)
    report = convert(conversion_settings(_spec(root)), output)
    assert report.images == 10
    assert report.skipped == {
        IssueKind.ZERO_AREA: 1,
        IssueKind.NO_LABELS: 1,
        IssueKind.BROKEN_IMAGE: 1,
        IssueKind.FIELD_COUNT: 2,
    }
    assert (report.images_skipped, report.boxes_skipped) == (2, 3)
    assert report.warning_file == output.parent / "kitti_warning.json"
    listed = json.loads(report.warning_file.read_text())
    places = {(Path(entry["file"]).name, entry.get("line"), entry["skipped"]) for entry in listed}
    assert places == {
        ("001.txt", 2, "box"),
        ("002.png", None, "image"),
        ("003.png", None, "image"),
        ("004.txt", 1, "box"),
        ("004.txt", 3, "box"),
    }
    assert all(entry["reason"] and entry["kind"] for entry in listed)


def test_strict_lists_all_faults_and_writes_no_records(root, output):
    _spoil(root)
    with pytest.raises(DataError) as caught:
        convert(conversion_settings(_spec(root)), output, strict=True)
    assert "5 issues" in str(caught.value)
    assert "001.txt:2: box without area" in str(caught.value)
    assert _names(output) == ["kitti_warning.json"]
    assert len(json.loads((output.parent / "kitti_warning.json").read_text())) == 5


def test_strict_leaves_records_of_a_former_run(root, output):
    report = convert(conversion_settings(_spec(root)), output)
    before = [path.read_bytes() for path in report.files]
    _spoil(root)
    with pytest.raises(DataError):
        convert(conversion_settings(_spec(root)), output, strict=True)
    assert [path.read_bytes() for path in report.files] == before


def test_strict_does_not_mind_a_clean_data_set(root, output):
    assert convert(conversion_settings(_spec(root)), output, strict=True).images == 12


def test_many_faults_are_all_in_the_file_and_the_first_in_the_message(root, output):
    (root / "label_2/001.txt").write_text("x\n" * 30)
    with pytest.raises(DataError) as caught:
        convert(conversion_settings(_spec(root)), output, strict=True)
    assert len(str(caught.value).splitlines()) == 1 + 10 + 2
    assert len(json.loads((output.parent / "kitti_warning.json").read_text())) == 30


def test_a_data_set_without_one_usable_image_is_an_error(root, output):
    for path in (root / "label_2").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"no usable image to convert; 12 issues"):
        convert(conversion_settings(_spec(root)), output)
    assert _names(output) == ["kitti_warning.json"]


def test_another_number_of_shards_replaces_the_former_files(root, output):
    _spoil(root)
    convert(conversion_settings(_spec(root, num_shards=5)), output)
    (output.parent / "kitti_notes").write_text("mine")
    write_kitti(root, {f"{n:03d}": [CAR] for n in range(12)})
    report = convert(conversion_settings(_spec(root, num_shards=1)), output)
    assert report.replaced == 10
    assert _names(output) == [*(path.name for path in report.files), "kitti_notes"]


def test_a_foreign_file_in_the_way_is_an_error(root, output):
    output.parent.mkdir()
    (output.parent / "kitti-fold-000-of-001").write_text("not a record, but of the same name")
    with pytest.raises(DataError, match="kitti-fold-000-of-001 matches the output prefix"):
        convert(conversion_settings(_spec(root)), output)
    assert _names(output) == ["kitti-fold-000-of-001"]


@pytest.mark.parametrize(
    ("error", "seen_as"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), RunError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (PermissionError(errno.EACCES, "Permission denied", "x"), PermissionError),
    ],
)
def test_an_interrupted_run_leaves_nothing(root, output, monkeypatch, error, seen_as):
    taken = []

    def _fail_at_the_third(self, result, stream):
        taken.append(result)
        if len(taken) == 3:
            raise error
        stream.write(b"some bytes")

    monkeypatch.setattr(convert_module._Run, "_take", _fail_at_the_third)
    with pytest.raises(seen_as):
        convert(conversion_settings(_spec(root)), output)
    assert _names(output) == []


def test_the_modifier_drops_and_repeats_training_images_only(root, output):
    modifier = SampleModifierConfig(
        filter_samples_containing_only=("person",),
        dominant_target_classes=("person",),
        num_duplicates=1,
        source_to_target_class_mapping={"car": "car", "pedestrian": "person"},
    )
    plain = convert(conversion_settings(_spec(root)), output)
    changed = convert(conversion_settings(_spec(root, modifier)), output, validation_fold=0)
    assert changed.folds[0] == plain.folds[0]
    ids = [r.frame_id for path in changed.files if "fold-001" in path.name for r in read_records(path)]
    validation = {r.frame_id for path in changed.files if "fold-000" in path.name for r in read_records(path)}
    # Of each three images one has persons only, one as many cars, one two cars to a person.
    expected = [
        f"image_2/{n:03d}" for n in range(12) for _ in range(n % 3) if f"image_2/{n:03d}" not in validation
    ]
    assert sorted(ids) == expected
    assert changed.left_out == sum(n % 3 == 0 and f"image_2/{n:03d}" not in validation for n in range(12))


@pytest.mark.parametrize("fold", [-1, 2])
def test_a_validation_fold_that_is_not_there_is_an_error(root, output, fold):
    with pytest.raises(UsageError, match="expected 0 to 1"):
        convert(conversion_settings(_spec(root)), output, validation_fold=fold)
    assert not output.parent.exists()


def test_zero_workers_are_an_error(root, output):
    with pytest.raises(UsageError, match="workers 0"):
        convert(conversion_settings(_spec(root)), output, workers=0)


def test_a_folder_as_prefix_is_an_error(root, tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        convert(conversion_settings(_spec(root)), tmp_path)


def test_a_coco_data_set_goes_the_same_way(tmp_path, output):
    write_image(tmp_path / "coco/val/7.jpg")
    content = {
        "images": [{"id": 7, "file_name": "7.jpg"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 1, "name": "Big Dog"}],
    }
    write_coco(tmp_path / "coco", "val.json", content)
    config = COCOConfig(
        root_directory_path=str(tmp_path / "coco"),
        img_dir_names=("val",),
        annotation_files=("val.json",),
        num_partitions=1,
        num_shards=(2,),
    )
    report = convert(conversion_settings(DatasetExportConfig(coco_config=config)), output)
    assert [path.name for path in report.files] == [
        f"kitti-fold-000-of-001-shard-0000{n}-of-00002" for n in (0, 1)
    ]
    assert (report.boxes, report.class_map) == ({"bigdog": 1}, {"Big Dog": "bigdog"})


def test_tensorflow_reads_all_files_empty_ones_too(root, output):
    import tensorflow as tf

    report = convert(conversion_settings(_spec(root, val_split=0.0, num_shards=3)), output)
    payloads = list(tf.data.TFRecordDataset([str(path) for path in report.files]).as_numpy_iterator())
    ids = [tf.train.Example.FromString(x).features.feature["frame/id"].bytes_list.value[0] for x in payloads]
    assert sorted(ids) == [f"image_2/{n:03d}".encode() for n in range(12)]


def test_beside_each_record_file_lies_the_list_of_where_its_records_begin(root, output):
    convert(conversion_settings(_spec(root, num_shards=3)), output)
    convert(conversion_settings(_spec(root)), output)
    records = sorted(output.parent.glob("kitti*-of-*"))
    assert {path.name for path in output.parent.glob(".*")} == {list_name(path.name) for path in records}
    for path in records:
        found = unpack(path.with_name(list_name(path.name)).read_bytes(), path.stat().st_size)
        lengths = [len(payload) + 16 for payload in read_payloads(path)]
        assert found.tolist() == [sum(lengths[:number]) for number in range(len(lengths))]


def test_a_second_conversion_to_the_same_prefix_is_refused_and_the_first_is_whole(root, output, monkeypatch):
    refused = []

    def while_the_first_writes(run, *given):
        with pytest.raises(PlaceBusyError, match=f"{output}.*: another run .* is writing there") as caught:
            in_another_thread(lambda: convert(conversion_settings(_spec(root, num_shards=3)), output))
        refused.append(caught)
        return write_all(run, *given)

    write_all = convert_module._Run.write_all
    monkeypatch.setattr(convert_module._Run, "write_all", while_the_first_writes)
    convert(conversion_settings(_spec(root)), output)
    assert len(refused) == 1
    assert len(_all_records(output)) == 12
    assert [path.name for path in output.parent.glob(".frcnn*")] == []


def in_another_thread(work):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_records_that_are_links_of_the_users_stay_what_they_are_when_a_conversion_fails(
    root, output, tmp_path, monkeypatch
):
    convert(conversion_settings(_spec(root)), output)
    first = sorted(output.parent.glob("kitti-*"))[0]
    moved = first.rename(tmp_path / "moved")
    first.symlink_to("../moved")

    def full(self, name):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(SetSwitch, "_link", full)
    with pytest.raises(RunError, match="disk full"):
        convert(conversion_settings(_spec(root, num_shards=3)), output)
    assert len(_all_records(output)) == 12
    assert first.resolve() == moved


@pytest.mark.parametrize("kind", ["link", "file", "pipe"])
def test_a_planted_work_folder_leads_nothing_elsewhere(root, output, tmp_path, kind):
    output.parent.mkdir(parents=True, exist_ok=True)
    work = output.with_name(f".frcnn.{output.name}.work")
    others = tmp_path / "others"
    (others / "new").mkdir(parents=True)
    (others / "now").symlink_to("new")
    (others / "new/file").write_text("theirs")
    {"link": lambda: work.symlink_to(others), "file": work.touch, "pipe": lambda: os.mkfifo(work)}[kind]()
    with pytest.raises(RunError, match=r"\.work: expected a folder of this program, found a link or a file"):
        convert(conversion_settings(_spec(root)), output)
    assert sorted(path.name for path in others.rglob("*")) == ["file", "new", "now"]
    assert os.path.lexists(work)


def test_without_symbolic_links_a_set_is_replaced_file_by_file(root, output, monkeypatch):
    convert(conversion_settings(_spec(root)), output)

    def none(self, target):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(Path, "symlink_to", none)
    convert(conversion_settings(_spec(root, num_shards=3)), output)
    assert len(_all_records(output)) == 12
    assert len(_names(output)) == 6
    assert [path.name for path in output.parent.glob(".frcnn*")] == []


def test_cameras_files_are_converted_whatever_their_names_and_what_is_odd_is_named(root, output):
    images, labels = root / "image_2", root / "label_2"
    (images / "000.png").rename(images / "000.JPG")  # PNG bytes: the contents decide
    write_image(images / "new.Jpeg")
    odd = os.fsdecode(b"caf\xe9\n\x1b[2J")
    write_image(images / f"{odd}.png", orientation=6)
    for stem in ("new", odd, "pipe"):
        (labels / f"{stem}.txt").write_text(CAR)
    os.mkfifo(images / "pipe.png")
    (images / "zero.png").symlink_to("/dev/zero")
    (images / "._000.png").touch()
    report = convert(conversion_settings(_spec(root)), output)
    records = {record.file: record for record in _all_records(output)}
    assert {"image_2/000.JPG", "image_2/new.Jpeg", f"image_2/{odd}.png"} < set(records)
    assert (report.images, report.skipped) == (14, {IssueKind.NOT_REGULAR: 2})
    assert [note for note in report.notes if note.startswith("1 image has an EXIF orientation")]
    listed = json.loads(report.warning_file.read_text("utf-8"))
    assert {Path(entry["file"]).name for entry in listed} == {"pipe.png", "zero.png"}


def test_a_broken_image_of_any_name_is_in_the_list_of_faults(root, output):
    name = os.fsdecode(b"caf\xe9.png")
    (root / "image_2" / name).write_bytes(b"broken")
    report = convert(conversion_settings(_spec(root)), output)
    (entry,) = json.loads(report.warning_file.read_text("utf-8"))
    assert entry["file"].endswith(r"image_2/caf\xe9.png")


def test_exif_is_applied_to_records_when_asked_for(root, output):
    write_image(root / "image_2/000.png", orientation=6)
    convert(conversion_settings(_spec(root)), output, apply_exif=True)
    turned = {record.frame_id: record for record in _all_records(output)}["image_2/000"]
    assert (turned.height, turned.width, turned.orientation) == (100, 80, 6)


def test_names_as_long_as_a_file_system_takes_have_their_records_and_lists(root, output):
    long = output.with_name("p" * 218)  # record files of 255 bytes
    report = convert(conversion_settings(_spec(root)), long)
    assert {len(path.name) for path in report.files} == {255}
    for path in report.files:
        found = unpack((path.parent / list_name(path.name)).read_bytes(), path.stat().st_size)
        assert len(found) == len(list(read_payloads(path)))


@pytest.mark.parametrize(
    ("box", "count"),
    [("60 20 99 60", 0), ("60 20 112 60", 0), ("60 20 114 60", 1), ("-14 20 40 60", 1), ("60 60 99 110", 1)],
)
def test_images_with_boxes_mostly_outside_are_counted(tmp_path, output, box, count):
    labels = {"a": [CAR, f"Car 0 0 0 {box} 0 0 0 0 0 0 0"], "b": [CAR]}
    root = write_kitti(tmp_path / "kitti", labels)
    notes = convert(conversion_settings(_spec(root, num_partitions=1)), output).notes
    lead = "1 image has boxes with more than a quarter outside of the image"
    assert [note.startswith(lead) for note in notes] == [True] * count


def test_boxes_of_coco_written_as_corners_are_noticed(tmp_path, output):
    write_image(tmp_path / "coco/a.png", 100, 200)
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [150, 60, 190, 90]}
    image, category = {"id": 1, "file_name": "a.png"}, {"id": 1, "name": "car"}
    write_coco(
        tmp_path / "coco", "a.json", {"images": [image], "categories": [category], "annotations": [box]}
    )
    fields = {"img_dir_names": ["."], "annotation_files": ["a.json"], "num_partitions": 1}
    spec = DatasetExportConfig(coco_config=COCOConfig(root_directory_path=str(tmp_path / "coco"), **fields))
    (note,) = convert(conversion_settings(spec), output).notes
    assert note.startswith("1 image has boxes with more than a quarter outside of the image")
    report = frcnn.data_report(tmp_path / "coco/a.json", compare=0)
    (finding,) = (each for each in report.findings if each.code == "boxes_outside")
    assert finding.text.startswith("1 of 1 (100.0%) objects have more than a quarter of their box outside")
