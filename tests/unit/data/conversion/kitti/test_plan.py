import json
import unicodedata

import pytest

from frcnn.data.conversion.faults import IssueKind
from frcnn.data.conversion.kitti.layout import layout
from frcnn.data.conversion.kitti.plan import plan_kitti, read_sequences
from frcnn.errors import DataError
from frcnn.settings.conversion import kitti_settings
from frcnn.spec.schema.export import KITTIConfig
from tests.support.kitti_folder import write_image, write_kitti


def _config(root, **changes):
    fields = {
        "image_dir_name": "image_2",
        "label_dir_name": "label_2",
        "partition_mode": "random",
        "num_partitions": 2,
        "val_split": 50.0,
    }
    return KITTIConfig(root_directory_path=str(root), **{**fields, **changes})


def _plan(root, **changes):
    return plan_kitti(kitti_settings(_config(root, **changes)), embed_images=False)


@pytest.fixture
def root(tmp_path):
    return write_kitti(tmp_path, {f"{n:03d}": [] for n in range(6)})


def test_random_mode_has_validation_and_training(root):
    plan = _plan(root, num_shards=4)
    assert (plan.fold_count, plan.shards) == (2, (4, 4))
    assert sorted(name for fold in plan.folds for name in fold) == [f"{n:03d}.png" for n in range(6)]
    assert [len(fold) for fold in plan.folds] == [3, 3]


@pytest.mark.parametrize(
    ("val_split", "note"),
    [
        (0.2, "has 0 of 6 images: val_split 0.2 is in percent; if a share was meant, write 20"),
        (10.0, "has 0 of 6 images: val_split 10 is in percent"),
        (50.0, ""),
        (0.0, ""),
    ],
)
def test_a_validation_fold_that_is_probably_too_small_is_noted(root, val_split, note):
    found = _plan(root, val_split=val_split).notes
    assert [each.partition("set, ")[2] for each in found] == ([note] if note else [])


def test_a_sequence_file_that_the_mode_does_not_use_is_noted(root):
    (note,) = _plan(root, kitti_sequence_to_frames_file="sequences.json").notes
    assert note.startswith("sequences.json is not used") and 'partition_mode "sequence"' in note


@pytest.mark.parametrize("extension", [".png", "png", ".PNG", "PnG"])
def test_extensions_match_in_any_case_and_with_or_without_dot(root, extension):
    write_image(root / "image_2/upper.PNG")
    write_image(root / "image_2/other.jpg")
    names = [name for fold in _plan(root, image_extension=extension).folds for name in fold]
    assert sorted(names) == [*[f"{n:03d}.png" for n in range(6)], "other.jpg", "upper.PNG"]


@pytest.mark.parametrize(
    ("extension", "kept"), [(".png", "001.png"), (".JPG", "001.jpg"), ("jpeg", "001.jpg")]
)
def test_the_named_extension_counts_where_several_have_one_stem(root, extension, kept):
    write_image(root / "image_2/001.jpg")
    plan = _plan(root, image_extension=extension)
    assert kept in [name for fold in plan.folds for name in fold]
    (fault,) = plan.faults
    assert fault.kind is IssueKind.DUPLICATE
    assert f"{kept} has the same name without extension" in fault.reason


def test_two_images_of_the_same_stem_are_one_image_and_a_fault(root):
    write_image(root / "image_2/001.PNG")
    plan = _plan(root)
    assert plan.size == 6
    assert [fault.kind for fault in plan.faults] == [IssueKind.DUPLICATE]


def _sequences(root, content):
    path = root / "sequences.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return {
        "partition_mode": "sequence",
        "kitti_sequence_to_frames_file": path.name,
        "num_partitions": 2,
        "val_split": 0.0,
    }


def test_sequence_mode_keeps_sequences_together(root):
    changes = _sequences(root, {"long": ["000", "001", "004"], "short": ["005"]})
    plan = _plan(root, **changes)
    assert [sorted(fold) for fold in plan.folds] == [["005.png"], ["000.png", "001.png", "004.png"]]
    assert plan.notes == (f"2 images are skipped: they are in no sequence of {root / 'sequences.json'}",)


def test_frames_without_an_image_are_left_for_the_reader_to_miss(root):
    plan = _plan(root, **_sequences(root, {"a": ["000", "ghost"]}))
    readings = [plan.reader.read(name) for fold in plan.folds for name in fold]
    assert sorted(fault.kind for reading in readings for fault in reading.faults) == [IssueKind.NO_IMAGE]


def test_frames_may_be_spelled_with_composed_or_decomposed_letters(tmp_path):
    root = write_kitti(tmp_path, {unicodedata.normalize("NFD", "é"): [], "b": []})
    (root / "sequences.json").write_text(json.dumps({"one": ["\u00e9"], "two": ["b"]}))
    plan = _plan(root, partition_mode="sequence", kitti_sequence_to_frames_file="sequences.json")
    assert sorted(map(tuple, plan.folds)) == [("b.png",), ("e\u0301.png",)]
    assert plan.notes == ()


def test_a_frame_listed_again_is_a_fault_and_stays_where_it_was_first(root):
    sequences, faults = read_sequences(
        root / _sequences(root, {"a": ["000", "001"], "b": ["001", "002"]})["kitti_sequence_to_frames_file"]
    )
    assert sequences == {"a": ["000", "001"], "b": ["002"]}
    assert [fault.kind for fault in faults] == [IssueKind.DUPLICATE]
    assert faults[0].reason == "frame 001 of sequence b is already in sequence a"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[", "not JSON"),
        ([], "expected"),
        ({"a": [1]}, "expected"),
        ({"a": "000"}, "expected"),
        ({}, "no frames"),
        ({"a": []}, "no frames"),
    ],
)
def test_unusable_sequence_files_are_an_error(root, content, words):
    with pytest.raises(DataError, match=words):
        _plan(root, **_sequences(root, content))


def test_a_missing_sequence_file_is_an_error(root):
    changes = _sequences(root, {})
    (root / "sequences.json").unlink()
    with pytest.raises(DataError, match=r"sequences\.json: No such file"):
        _plan(root, **changes)


@pytest.mark.parametrize(
    "changes",
    [{"image_dir_name": "gone"}, {"label_dir_name": "gone"}, {"calibrations_dir": "gone"}],
)
def test_missing_folders_are_an_error(root, changes):
    with pytest.raises(DataError, match="gone: no such folder"):
        _plan(root, **changes)


def test_a_folder_without_matching_images_is_an_error(root):
    for path in (root / "image_2").iterdir():
        path.rename(path.with_name(f".{path.name}"))
    with pytest.raises(DataError, match=r"no image found \(\.jpg, \.jpeg, \.png"):
        _plan(root)


def test_relative_roots_start_at_the_base_path_or_the_working_folder(root, monkeypatch):
    monkeypatch.delenv("DATA_BASE_PATH", raising=False)
    monkeypatch.chdir(root.parent)
    assert _plan(root.name).size == 6
    monkeypatch.chdir("/")
    monkeypatch.setenv("DATA_BASE_PATH", str(root.parent))
    assert _plan(root.name).size == 6


def test_images_in_subfolders_are_noted(root):
    write_image(root / "image_2/seq_1/b.png")
    write_image(root / "image_2/seq_1/deep/c.JPG")
    write_image(root / "image_2/.hidden/d.png")
    (note,) = _plan(root).notes
    assert note == (
        f"2 images in subfolders of {root}/image_2 are not used, such as seq_1/b.png. "
        "Each subfolder is a set of its own"
    )


def test_a_folder_with_images_in_subfolders_only_names_one(tmp_path):
    write_image(tmp_path / "image_2/seq_1/b.png")
    (tmp_path / "label_2").mkdir()
    with pytest.raises(DataError, match=r"; 1 are in subfolders, such as seq_1/b\.png: each is a set"):
        _plan(tmp_path)
    with pytest.raises(DataError, match=r"no images found.*; 1 are in subfolders, such as seq_1/b.png"):
        layout(tmp_path)


def test_label_files_without_an_image_are_noted(root):
    assert _plan(root).notes == ()
    (root / "label_2/b.txt").write_text("")
    (root / "label_2/c.TXT").write_text("")
    (root / "label_2/.hidden.txt").write_text("")
    (note,) = _plan(root).notes
    assert note.startswith("2 label files have no image of the same name and are not used, such as b.txt in ")
