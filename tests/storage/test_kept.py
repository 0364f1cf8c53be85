"""Names that a server lists next to checkpoints never lead outside the training's folder."""

import pytest

from frcnn.storage import Store
from frcnn.storage.backend import Entry
from frcnn.training.s3_backup import download_checkpoint
from tests.storage.files import contents


class Lying(Store):
    """A server that lists whatever it likes, and has it all."""

    def __init__(self, names):
        super().__init__()
        self._names = names

    def list(self, uri):
        return [Entry(name, 4) for name in self._names]

    def download_file(self, uri, path):
        path.write_bytes(b"data")


@pytest.mark.parametrize(
    "name", ["../planted", "a/../../planted", "//planted", "{tmp}/planted", "link/planted"]
)
def test_a_name_that_leads_out_is_passed_over_and_said(tmp_path, caplog, name):
    name = name.format(tmp=tmp_path)
    folder = tmp_path / "run" / "results"
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path)
    download_checkpoint(Lying([name, "status.json", "logs/train.csv"]), "s3://tests/run", folder)
    assert contents(folder) == {"logs/train.csv": b"data", "status.json": b"data"}
    assert not list(tmp_path.rglob("planted"))
    assert f"the name {name!r}" in caplog.text
