"""Sources of the key, and its absence from logs."""

import copy
import logging
import pickle

import pytest
from google.protobuf import text_encoding
from hypothesis import given
from hypothesis import strategies as st

from frcnn.errors import UsageError
from frcnn.sealing.keys import Key, key_bytes, masked_spec, resolve_key
from frcnn.spec import experiment_pb2
from frcnn.spec.load import parse_experiment
from frcnn.spec.show import render
from frcnn.spec.textproto.reader import read
from tests.unit.spec.samples import MINIMAL


@pytest.fixture(autouse=True)
def no_keys_around(monkeypatch):
    monkeypatch.delenv("FRCNN_KEY", raising=False)
    monkeypatch.delenv("FRCNN_KEY_FILE", raising=False)


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key"
    path.write_text("from the file\n", encoding="utf-8")
    return path


def test_sources_are_asked_in_the_documented_order(monkeypatch, key_file):
    assert resolve_key(None, "from the spec") == "from the spec"
    monkeypatch.setenv("FRCNN_KEY_FILE", str(key_file))
    assert resolve_key(None, "from the spec") == "from the file"
    monkeypatch.setenv("FRCNN_KEY", "from the environment")
    assert resolve_key(None, "from the spec") == "from the environment"
    assert resolve_key("from -k", "from the spec") == "from -k"


def test_an_empty_key_counts_as_not_given(monkeypatch, key_file):
    monkeypatch.setenv("FRCNN_KEY", "")
    monkeypatch.setenv("FRCNN_KEY_FILE", str(key_file))
    assert resolve_key("", "from the spec") == "from the file"
    monkeypatch.setenv("FRCNN_KEY_FILE", "")
    assert resolve_key("", "") == ""
    assert resolve_key(None, None) == ""


def test_at_sign_reads_a_file_and_two_make_one(key_file):
    assert resolve_key(f"@{key_file}", None) == "from the file"
    assert resolve_key("@@home", None) == "@home"


def test_at_sign_means_nothing_in_the_environment_or_the_spec(monkeypatch):
    assert resolve_key(None, "@spec") == "@spec"
    monkeypatch.setenv("FRCNN_KEY", "@environment")
    assert resolve_key(None, None) == "@environment"


def test_home_folder_is_found_in_the_name_of_a_key_file(monkeypatch, key_file):
    monkeypatch.setenv("HOME", str(key_file.parent))
    assert resolve_key("@~/key", None) == "from the file"


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b"\xef\xbb\xbfsecret\n", "secret"),
        (b"  two words \n", "  two words "),
        ("schlüssel\n".encode(), "schlüssel"),
    ],
)
def test_key_file_gives_its_line(key_file, content, key):
    key_file.write_bytes(content)
    assert resolve_key(f"@{key_file}", None) == key


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; expected one line"),
        (b"\n\n", "is empty; expected one line"),
        (b"one\ntwo\n", "has several lines"),
        (b"one\rtwo", "has several lines"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"k" * 5000, "is longer than 4096 bytes"),
    ],
)
def test_bad_key_file_is_refused_without_showing_its_content(key_file, content, message):
    key_file.write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        resolve_key(f"@{key_file}", None)
    assert str(key_file) in str(caught.value)
    assert "one\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent", "", "nul\0byte", "~nobody-by-this-name/key"])
def test_missing_key_file_is_an_error_though_the_spec_has_a_key(monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="from -k"):
        resolve_key(f"@{name}", "from the spec")


def test_missing_file_of_the_environment_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("FRCNN_KEY_FILE", str(tmp_path / "absent"))
    with pytest.raises(UsageError, match=r"absent' \(from FRCNN_KEY_FILE\): No such file"):
        resolve_key(None, "from the spec")


def test_endless_key_file_is_refused():
    with pytest.raises(UsageError, match="longer than"):
        resolve_key("@/dev/zero", None)


def test_key_on_the_command_line_is_warned_about_but_not_shown(caplog, key_file):
    with caplog.at_level(logging.DEBUG):
        resolve_key("hunter2", None)
    assert "FRCNN_KEY_FILE" in caplog.text
    assert "hunter2" not in caplog.text
    caplog.clear()
    resolve_key(f"@{key_file}", None)
    assert not caplog.records


def test_repr_shows_where_a_key_is_from_and_not_the_key(monkeypatch, key_file):
    monkeypatch.setenv("FRCNN_KEY", "hunter2")
    assert repr(resolve_key(None, None)) == "<key from the environment variable FRCNN_KEY>"
    assert repr(resolve_key("hunter2", None)) == "<key from -k on the command line>"
    assert repr(resolve_key(f"@{key_file}", None)) == f"<key from {str(key_file)!r} (from -k)>"
    assert repr([Key("hunter2")]) == "[<key from the caller>]"
    assert repr(Key()) == "<no key>"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda key: pickle.loads(pickle.dumps(key))])
def test_key_survives_copying(again):
    key = again(Key("secret", "-k"))
    assert (key, key.origin) == ("secret", "-k")


def test_same_letters_give_the_same_bytes():
    composed, decomposed = "\u00e9", "e\u0301"
    assert key_bytes(composed) == key_bytes(decomposed) == b"\xc3\xa9"


def test_bytes_of_a_command_line_that_are_not_utf8_come_back():
    assert key_bytes(b"\xff\xfe".decode("utf-8", "surrogateescape")) == b"\xff\xfe"


def test_half_a_character_is_refused_without_showing_the_key():
    with pytest.raises(UsageError, match="cannot be written as UTF-8") as caught:
        key_bytes("hunter2\ud800")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_nul_is_refused_since_scrypt_does_not_see_it_at_the_end():
    with pytest.raises(UsageError, match="must not contain NUL"):
        key_bytes("hunter2\0")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('enc_key: "hunter2"\nverbose: true', 'enc_key: "***"\nverbose: true'),
        ("random_seed: 42 enc_key:'hunter2'", 'random_seed: 42 enc_key:"***"'),
        (r'enc_key: "hun\"ter2" verbose: true', 'enc_key: "***" verbose: true'),
        ('enc_key: "hun"\n  "ter2"\nverbose: true', 'enc_key: "***"\nverbose: true'),
        ('model: "enc_key.tlt"', 'model: "enc_key.tlt"'),
    ],
)
def test_masked_spec(text, shown):
    assert masked_spec(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        'enc_key: "hun" # first half\n "ter2"',
        "enc_key # of the team\n: 'hunter2'",
        'enc_key: # of the team\n  "hunter2"',
        'enc_key "hunter2"',
        "enc_key: hunter2",
        'enc_key: ["hunter2", "hunter2"]',
        'enc_key: "hunter2',
        'random_seed: 1 enc_key: "hunter2" enc_key: "hunter2"',
        'training_config { visualizer { wandb_config { key: "hunter2" } } }',
        'training_config { visualizer { wandb_config { project: "p" key # x\n "hunter2" } } }',
        'training_config < visualizer < wandb_config: < key: "hun" "ter2" > > >',
    ],
)
def test_a_secret_is_hidden_wherever_and_however_it_is_written(text):
    shown = masked_spec(text)
    assert "hun" not in shown.replace("# of", "")
    assert "ter2" not in shown
    assert '"***"' in shown


def test_nothing_else_of_a_spec_is_changed_by_hiding_secrets():
    text = """# enc_key: "in a comment"
    dataset_config { target_class_mapping { key: "car" value: "enc_key" } }
    model_config { arch: "enc_key: 'x'" }"""
    assert masked_spec(text) == text


@given(st.text(st.sampled_from("enc_key:\"' #\n\\{}<>[],;aä"), max_size=60))
def test_any_text_can_be_masked(text):
    assert len(masked_spec(text)) <= len(text) + 5 * (text.count("enc_key") + text.count("key"))


@given(st.text(st.characters(codec="ascii", exclude_characters="\n"), min_size=4, max_size=20))
def test_a_key_that_the_loader_takes_is_hidden(key):
    quoted = text_encoding.CEscape(key, as_utf8=True)
    message = experiment_pb2.Experiment()
    text = f'enc_key: "{quoted}" # "x"\nrandom_seed: 7'
    assert not read(text, message).problems
    assert message.enc_key == key
    assert masked_spec(text) == 'enc_key: "***" # "x"\nrandom_seed: 7'


@pytest.mark.parametrize("mask", ["***", "********", " ******** "])
def test_what_stands_for_a_hidden_key_never_becomes_the_key(mask, monkeypatch):
    with pytest.raises(
        UsageError, match="the placeholder of a hidden key; give the key itself, or set FRCNN_KEY"
    ):
        resolve_key(None, mask)
    monkeypatch.setenv("FRCNN_KEY", "real")
    assert resolve_key(None, mask) == "real"


def test_a_spec_that_was_shown_gives_no_key_when_it_is_read_again():
    loaded = parse_experiment(MINIMAL + '\nenc_key: "hunter2"')
    shown = parse_experiment(render(loaded.spec, loaded.positions)).spec
    assert resolve_key(None, shown.enc_key) == ""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_break_at_the_end_of_the_variable_is_not_part_of_the_key(monkeypatch, end):
    """A secret of Kubernetes that was made from a file has it."""
    monkeypatch.setenv("FRCNN_KEY", f" sesame {end}")
    assert resolve_key(None, None) == " sesame "
    monkeypatch.setenv("FRCNN_KEY", end)
    assert resolve_key(None, "of the spec") == "of the spec"
