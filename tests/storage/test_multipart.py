"""The SDK's private methods are where `multipart` looks for them; uploads need no right to list uploads."""

import inspect
import re
from pathlib import Path

import minio
import pytest
from minio.error import S3Error

import frcnn.storage
from frcnn.storage import multipart
from tests.storage.conftest import PIECE
from tests.storage.files import contents, write

PRIVATE = {
    "_put_object": ("bucket_name", "object_name", "data", "headers"),
    "_list_multipart_uploads": ("bucket_name", "prefix"),
    "_create_multipart_upload": ("bucket_name", "object_name", "headers"),
    "_upload_part": ("bucket_name", "object_name", "data", "headers", "upload_id", "part_number"),
    "_complete_multipart_upload": ("bucket_name", "object_name", "upload_id", "parts"),
    "_list_parts": ("bucket_name", "object_name", "upload_id", "part_number_marker"),
}


@pytest.mark.parametrize("name", PRIVATE)
def test_the_sdk_still_has_the_private_method_with_these_arguments(name):
    arguments = inspect.signature(getattr(minio.Minio, name)).parameters
    assert set(PRIVATE[name]) <= set(arguments)
    # Those passed by position are in this order.
    order = [each for each in arguments if each in PRIVATE[name]]
    assert order == list(PRIVATE[name])


def test_no_other_module_of_storage_uses_a_private_method_of_the_sdk():
    folder = Path(frcnn.storage.__file__).parent
    found = {
        (path.name, call)
        for path in folder.glob("*.py")
        for call in re.findall(r"_client\.(_\w+)", path.read_text("utf-8"))
    }
    assert {name for name, _ in found} == {Path(multipart.__file__).name}
    assert {call for _, call in found} == set(PRIVATE)


@pytest.mark.parametrize("code", ["AccessDenied", "NotImplemented"])
def test_uploads_work_where_the_policy_or_the_server_does_not_list_uploads(
    store, uri, tmp_path, monkeypatch, code
):
    def refused(self, bucket_name, **_):
        raise S3Error(None, code, "no", "/", "1", "2", bucket_name)

    monkeypatch.setattr(minio.Minio, "_list_multipart_uploads", refused)
    folder = write(tmp_path / "folder", {"large": 3 * PIECE})
    store.publish(folder, uri)
    store.fetch(uri, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(folder)
