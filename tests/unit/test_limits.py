"""Input of any size or depth is refused before the memory is taken, each kind in a process with a limit."""

import json
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
from PIL import Image

from frcnn import limits
from frcnn.data.records.tfrecord import _masked_crc
from frcnn.limits import TooLargeError, open_archive, parse_json, read_at_most
from frcnn.sealing.header import MAGIC

MIB = 1 << 20
# What each may take beside what the same program takes for a small file.
MORE_MIB = 300


def test_json_is_counted_before_it_is_made():
    assert parse_json(b'{"a":[1,2,{"b":"x,y"}]}', 100, 10) == {"a": [1, 2, {"b": "x,y"}]}
    with pytest.raises(TooLargeError, match="longer than 10 bytes"):
        parse_json(b"[1,2,3,4,5]", 10, 100)
    with pytest.raises(TooLargeError, match="more than 3 values"):
        parse_json(b"[1,2,3,4,5]", 100, 3)


def test_commas_and_brackets_in_texts_are_no_values():
    text = json.dumps({"spec": ',"[{\\' * 1000})
    assert parse_json(text, 100_000, 10) == json.loads(text)


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 999 + b"]" * 999 + b"]"])
def test_deep_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"deeply|Expecting|Extra data"):
        parse_json(text, MIB, 1_000_000)


def test_an_endless_file_is_read_up_to_the_limit():
    with pytest.raises(TooLargeError, match="longer than 1000 bytes"):
        read_at_most(Path("/dev/zero"), 1000)


def test_an_archive_with_a_long_table_is_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(100):
            archive.writestr(str(number), b"")
    open_archive(tmp_path / "a.zip").close()
    monkeypatch.setattr(limits, "ARCHIVE_DIRECTORY_BYTES", 1000)
    with pytest.raises(TooLargeError, match="a table of contents of"):
        open_archive(tmp_path / "a.zip")


PROGRAM = """
import re, resource, sys
from pathlib import Path
{imports}
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
from frcnn.errors import FrcnnError
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024
def read(path):
    try:
        found = {read}
    except FrcnnError as error:
        return str(error)
    return str(getattr(found, "faults", ()) or "read")
read(Path(sys.argv[1]))
before = peak()
said = read(Path(sys.argv[2]))
print(peak() - before, said.replace(chr(10), " ")[:300])
"""
READERS = {
    "spec": ("from frcnn.spec.load import load_experiment", "load_experiment(path)"),
    "manifest": (
        "from frcnn.storage import Store",
        "Store().contents(str(path))",
    ),
    "model": ("from frcnn.model.files.training_record import read_record", "read_record(path)"),
    "onnx": (
        "from frcnn.exporting.onnx_guard import load_guarded",
        "load_guarded(path, path)",
    ),
    "weights": ("from frcnn.training.pretrained.load import read_source", "read_source(path)"),
    "sealed": ("from frcnn.sealing.sealed_file import opened", "opened(path, 'a key', 'keras').__enter__()"),
    "coco": ("from frcnn.data.conversion.coco.annotations import read_coco", "read_coco(path, 'images')"),
    "labels": (
        "from frcnn.data.conversion.kitti.reader import KittiReader",
        "KittiReader(path, 'images', 'labels').read('a.png')",
    ),
    "voc": (
        "from frcnn.label_formats.voc import VocReader",
        "VocReader(path / 'images', path / 'labels').read('a.png')",
    ),
    "yolo": (
        "from frcnn.label_formats.yolo import YoloReader",
        "YoloReader(path / 'images', path / 'labels', ('a',)).read('a.png')",
    ),
    "classes": ("from frcnn.label_formats.yolo import find_yolo", "find_yolo(path, path / 'data.yaml')"),
    "sequences": ("from frcnn.data.conversion.kitti.plan import read_sequences", "read_sequences(path)"),
    "records": ("from frcnn.data.records.tfrecord import read_records", "[*read_records(path)]"),
    "offsets": ("from frcnn.data.records.offsets import offsets_of", "offsets_of(path)"),
    "image": ("from frcnn.data.transforms.image_arrays import read as read_image", "read_image(path, 3)"),
    "metrics": ("from frcnn.evaluation.html_report import read_metrics", "read_metrics(path)"),
    "checkpoints": ("from frcnn.training.run_folder import checkpoint_in", "checkpoint_in(path, 'best')"),
    "calibration": (
        "from frcnn.exporting.int8.tensor_file import read_tensor_file",
        "[None for _ in read_tensor_file(path, (3, 8, 8))]",
    ),
}


def keras_archive(path, text, member="frcnn.json"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in ("frcnn.json", "config.json", "model.weights.h5"):
            archive.writestr(name, text if name == member else b"{}")


def manifest(path, text):
    path.mkdir()
    (path / "frcnn-manifest.json").write_bytes(text)


def many_fields(path):
    """An ONNX graph of 20 million empty nodes, in 40 MB."""
    nodes = b"\x0a\x00" * 20_000_000
    graph = b"\x3a" + varint(len(nodes)) + nodes
    path.write_bytes(b"\x08\x08" + graph)


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def deep_onnx(path):
    """Graphs within attributes of nodes, 5000 deep."""
    inner = b""
    for _ in range(5000):
        for field in (0x32, 0x2A, 0x0A):  # attribute.g, node.attribute, graph.node
            inner = bytes([field]) + varint(len(inner)) + inner
    path.write_bytes(b"\x08\x08\x3a" + varint(len(inner)) + inner)


def aliases(path):
    """One array of 4 MB under 2000 names."""
    with h5py.File(path, "w") as archive:
        data = archive.create_dataset("a", data=np.zeros(MIB, np.float16))
        layers = [f"layer{n}" for n in range(2000)]
        archive.attrs["layer_names"] = layers
        for layer in layers:
            group = archive.create_group(layer)
            group.attrs["weight_names"] = ["kernel:0"]
            group["kernel:0"] = data


def shared_storage(path):
    """A state dict of 2000 tensors that are all the same storage of 1 MB."""

    def text(value):
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    def number(value):
        return b"J" + struct.pack("<i", value)

    size, parts = MIB, [b"\x80\x02}("]
    for each in range(2000):
        parts += [text(f"w{each}"), b"ctorch._utils\n_rebuild_tensor_v2\n((", text("storage")]
        parts += [b"ctorch\nFloatStorage\n", text("0"), text("cpu"), number(size // 4), b"tQ", number(0)]
        parts += [b"(", number(size // 4), b"t(", number(1), b"t\x89}tR"]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", b"".join([*parts, b"u."]))
        archive.writestr("x/byteorder", "little")
        archive.writestr("x/data/0", bytes(size))


def deflated_pickle(path):
    """A `.pt` whose pickle unpacks to 3 GB of nothing."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("x/data.pkl", "w", force_zip64=True) as member:
            for _ in range(300):
                member.write(bytes(10 * MIB))
        archive.writestr("x/byteorder", "little")


def deflated_weights(path):
    """A `.keras` whose weights unpack to 3 GB of nothing."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("config.json", b"{}")
        archive.writestr("frcnn.json", b"{}")
        with archive.open("model.weights.h5", "w", force_zip64=True) as member:
            member.write(b"\x89HDF\r\n\x1a\n")
            for _ in range(300):
                member.write(bytes(10 * MIB))


def many_tensors(path):
    """A safetensors file of a million tensors without values."""
    head = (
        b"{"
        + b",".join(b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % n for n in range(1_000_000))
        + b"}"
    )
    path.write_bytes(struct.pack("<Q", len(head)) + head)


def long_table(path):
    """An archive whose table of contents has 400,000 names."""
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 3, 20, 0, *[0] * 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    table = (entry + b"a") * 400_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(table), 4, 0)
    path.write_bytes(b"PK\x03\x04" + table + end)


def coco(path, images=b'[{"id":1,"file_name":"a.png"}]', annotations=b"[{}]"):
    path.write_bytes(
        b'{"categories":[{"id":1,"name":"car"}],"images":' + images + b',"annotations":' + annotations + b"}"
    )


def labels(path, text):
    for name in ("images", "labels"):
        (path / name).mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(path / "images/a.png")
    (path / "labels/a.txt").write_bytes(text)


def voc(path, text):
    labels(path, b"")
    (path / "labels/a.xml").write_bytes(text)


def classes(path, text):
    labels(path, b"")
    (path / "data.yaml").write_bytes(text)


def bomb(path):
    """A PNG of 3.6 billion pixels, in 4 MB."""
    packer = zlib.compressobj(9)
    row = b"\0" * (1 + 60_000 // 8)
    data = b"".join(packer.compress(row) for _ in range(60_000)) + packer.flush()

    def chunk(kind, content):
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def records(path, length):
    """A frame that says to have `length` bytes, in a file that says so too and is empty otherwise."""
    head = struct.pack("<Q", length)
    path.write_bytes(head + _masked_crc(head))
    with path.open("r+b") as stream:
        stream.truncate(length + 16)


def calibration(path, **options):
    with h5py.File(path, "w") as archive:
        archive.create_dataset("batch0/images", dtype=np.float32, **options)


def sealed(path):
    """The header of a sealed file with scrypt's largest numbers, over 64 MB of nothing."""
    body = struct.pack(">8sHHBBBBB7sQ16s", MAGIC, 1, 84, 1, 20, 32, 4, 20, bytes(7), 64 * MIB, bytes(16))
    body += bytes(84 - 4 - len(body))
    path.write_bytes(body + struct.pack(">I", zlib.crc32(body)) + bytes(64 * MIB + 64 * 16))


def results(path, text):
    path.mkdir()
    (path / "checkpoints.json").write_bytes(text)
    (path / "frcnn_resnet_10.epoch_1.keras").write_bytes(b"PK")


LISTS = b"[" + b"[]," * 2_000_000 + b"[]]"
HOSTILE = {
    "a spec of zeros without end": ("spec", None),
    "a spec of 400 MB": ("spec", lambda path: path.write_bytes(b"x: 1\n" * 80_000_000)),
    "a spec of a million faults": ("spec", lambda path: path.write_bytes(b"x " * 2_000_000)),
    "a spec of one long word": ("spec", lambda path: path.write_bytes(b"x" * 4_000_000)),
    "a manifest of 60 MB of lists": ("manifest", lambda path: manifest(path, LISTS)),
    "a deep manifest": ("manifest", lambda path: manifest(path, b"[" * 50_000_000)),
    "a manifest of 200 MB": ("manifest", lambda path: manifest(path, b" " * 200_000_000)),
    "a record of 60 MB of lists": ("model", lambda path: keras_archive(path, LISTS)),
    "a deep record": ("model", lambda path: keras_archive(path, b"[" * 10_000_000)),
    "a record of 200 MiB": ("model", lambda path: keras_archive(path, bytes(200 * MIB))),
    "an archive with a long table": ("weights", long_table),
    "an ONNX graph of many nodes": ("onnx", many_fields),
    "a deep ONNX graph": ("onnx", deep_onnx),
    "an HDF5 array of many names": ("weights", aliases),
    "a storage of many tensors": ("weights", shared_storage),
    "a pickle that unpacks to 3 GB": ("weights", deflated_pickle),
    "weights that unpack to 3 GB": ("weights", deflated_weights),
    "a million tensors": ("weights", many_tensors),
    "a safetensors header without end": (
        "weights",
        lambda path: path.write_bytes(struct.pack("<Q", 1 << 62) + b"{" + bytes(1000)),
    ),
    "a sealed header of the largest cost": ("sealed", sealed),
    "2 million broken COCO annotations": ("coco", lambda path: coco(path, annotations=LISTS)),
    "2 million broken COCO images": ("coco", lambda path: coco(path, images=LISTS)),
    "deep COCO annotations": ("coco", lambda path: coco(path, annotations=b"[" * 50_000_000)),
    "a COCO annotation of 200 MB": ("coco", lambda path: coco(path, annotations=b'["' + b"x" * 200_000_000)),
    "2 million broken lines of labels": ("labels", lambda path: labels(path, b"x\n" * (2 * MIB))),
    "a label field of 10 MB": ("labels", lambda path: labels(path, b"x" * (10 * MIB))),
    # The shortest valid lines, in files of the largest size.
    "350,000 objects of KITTI": (
        "labels",
        lambda path: labels(path, b"a 0 0 0 0 0 1 1 0 0 0 0 0 0 0\n" * (10 * MIB // 30)),
    ),
    "700,000 objects of YOLO": ("yolo", lambda path: labels(path, b"0 .5 .5 1 1\n" * (8 * MIB // 12))),
    "4 million broken lines of YOLO": ("yolo", lambda path: labels(path, b"x\n" * (4 * MIB))),
    "labels of 400 MB": ("labels", lambda path: labels(path, b"x\n" * 200_000_000)),
    "nested tags of VOC": ("voc", lambda path: voc(path, b"<a>" * 5_500_000)),
    "4 million tags of VOC": ("voc", lambda path: voc(path, b"<a>" + b"<b/>" * 4_100_000 + b"</a>")),
    "attributes of VOC": (
        "voc",
        lambda path: voc(path, b"<a " + b" ".join(b"a%d=''" % n for n in range(1_300_000)) + b"/>"),
    ),
    "2 million class names": ("classes", lambda path: classes(path, b"names: [" + b"a," * 2_000_000 + b"a]")),
    "sequences of 60 MB of lists": ("sequences", lambda path: path.write_bytes(LISTS)),
    "sequences that repeat a frame": (
        "sequences",
        lambda path: path.write_bytes(b'{"a":["b"' + b',"b"' * 2_000_000 + b"]}"),
    ),
    "a record of a terabyte": ("records", lambda path: records(path, 1 << 40)),
    "offsets of a record of a terabyte": ("offsets", lambda path: records(path, 1 << 40)),
    "a PNG of 3.6 billion pixels": ("image", bomb),
    "an image of zeros without end": ("image", None),
    "metrics of 60 MB of lists": ("metrics", lambda path: path.write_bytes(LISTS)),
    "deep metrics": ("metrics", lambda path: path.write_bytes(b"[" * 10_000_000)),
    "a list of checkpoints of 200 MB": ("checkpoints", lambda path: results(path, b" " * 200_000_000)),
    "a calibration batch of a terabyte": (
        "calibration",
        lambda path: calibration(path, shape=(1 << 30, 3, 8, 8), chunks=(1, 3, 8, 8)),
    ),
}
SMALL = {
    "spec": lambda path: path.write_text("x: 1"),
    "manifest": lambda path: manifest(path, b"{}"),
    "onnx": lambda path: path.write_bytes(onnx.ModelProto(ir_version=8).SerializeToString()),
    "coco": coco,
    "labels": lambda path: labels(path, b""),
    "voc": lambda path: voc(path, b"<annotation/>"),
    "yolo": lambda path: labels(path, b""),
    "classes": lambda path: classes(path, b"names: [a]"),
    "sequences": lambda path: path.write_bytes(b'{"a":["b"]}'),
    "records": lambda path: records(path, 8),
    "offsets": lambda path: records(path, 8),
    "image": lambda path: Image.new("RGB", (8, 8)).save(path, "PNG"),
    "metrics": lambda path: path.write_bytes(b"{}"),
    "checkpoints": lambda path: results(path, b"{}"),
    "calibration": lambda path: calibration(path, data=np.zeros((1, 3, 8, 8), np.float32)),
    "model": lambda path: keras_archive(path, b"{}"),
    "weights": lambda path: keras_archive(path, b"{}"),
    "sealed": lambda path: path.write_bytes(b"x"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_takes_bounded_memory_and_ends_in_one_sentence(tmp_path, name, record_property):
    kind, make = HOSTILE[name]
    path = tmp_path / "hostile"
    if make is None:
        path.symlink_to("/dev/zero")
    else:
        make(path)
    small = tmp_path / "small"
    SMALL[kind](small)
    imports, read = READERS[kind]
    program = PROGRAM.format(imports=imports, read=read)
    command = [sys.executable, "-c", program, str(small), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    more, said = done.stdout.strip().split(" ", 1)
    record_property("peak memory beside that of a small file", f"{more} MiB; {said[:100]}")
    assert int(more) < MORE_MIB
    assert str(path) in said or said == "read" or kind == "checkpoints"
