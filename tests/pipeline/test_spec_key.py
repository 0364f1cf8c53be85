"""The key of a spec: taken out of its text, and handed to steps in their environment."""

from pathlib import Path

import pytest

from frcnn.errors import UsageError
from frcnn.sealing.keys import KEY_FILE_VARIABLE, KEY_VARIABLE, resolve_key
from frcnn.steps.specs import experiment_given
from pipelines.local import run
from pipelines.spec_key import key_environment, key_name, text_for_cluster, without_key
from tests.support.task_spec import write_spec

SECRET = "a secret of ours"


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    for name in (KEY_VARIABLE, KEY_FILE_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def text(tmp_path):
    return write_spec(tmp_path / "spec.txt", records="records/*", images=tmp_path).read_text()


WAYS = (
    f'enc_key: "{SECRET}"',
    f"enc_key:'{SECRET}';",
    f'enc_key # what seals the models\n  : # "of ours"\n "{SECRET}"',
    'enc_key: "a secret" # in two parts\n  " of ours"',
    'enc_key: "a secret\\x20of\\040ours"',
    f'# enc_key: "{SECRET}"\nenc_key: "{SECRET}"',
    f'# {SECRET}\nenc_key: "{SECRET}"',
    f'enc_key: "an old one" enc_key: "{SECRET}"',
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("first", [True, False])
def test_the_key_is_taken_out_however_it_is_written_and_nothing_else_is(text, way, first):
    given = f"{way}\n{text}" if first else f"{text}\n{way}\n"
    found, key = without_key(given)
    assert key == SECRET
    assert SECRET not in found and "an old one" not in found
    spec, before = experiment_given(found), experiment_given(text)
    assert spec.enc_key == ""
    assert (spec.model_config, spec.training_config, spec.dataset_config) == (
        before.model_config,
        before.training_config,
        before.dataset_config,
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_cluster_gets_a_mask_which_steps_take_for_no_key(text, way, monkeypatch, caplog):
    sent = text_for_cluster(experiment_given(f"{way}\n{text}"), "my.txt")
    assert SECRET not in sent and "an old one" not in sent
    assert "my.txt: enc_key is not sent" in caplog.text
    assert SECRET not in caplog.text
    spec = experiment_given(sent)
    with pytest.raises(UsageError, match="the placeholder of a hidden key; give the key itself"):
        resolve_key(None, spec.enc_key)
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    assert str(resolve_key(None, spec.enc_key)) == SECRET


def test_a_cluster_gets_a_spec_without_a_key_as_it_is(text, caplog):
    for given in (text, f'# mine\nenc_key: ""\n{text}'):
        assert text_for_cluster(experiment_given(given), "my.txt") == given
    assert caplog.text == ""


def test_a_cluster_gets_no_key_of_wandb(text):
    given = text.replace(
        "training_config {", 'training_config { visualizer { wandb_config { key: "hush" project: "p" } }', 1
    )
    sent = text_for_cluster(experiment_given(given), "my.txt")
    assert "hush" in given and "hush" not in sent
    assert 'project: "p"' in sent


def test_a_spec_without_a_key_stays_as_it_is(text):
    assert without_key(f"# a comment\n{text}") == (f"# a comment\n{text}", "")


def test_the_environment_comes_first(monkeypatch):
    assert key_environment("k") == {KEY_VARIABLE: "k"}
    assert key_environment("") == {}
    monkeypatch.setenv(KEY_VARIABLE, "other")
    assert key_environment("k") == {}


def test_keys_have_names_that_differ_and_do_not_hold_them(monkeypatch):
    names = {key_name(key) for key in ("one", "two", "three")}
    assert len(names) == 3 and not names & {"one", "two", "three"}
    assert key_name("") == ""
    monkeypatch.setenv(KEY_VARIABLE, "one")
    assert key_name("two") == key_name("")


def test_a_local_run_hands_the_key_to_steps_in_the_environment_only(text, tmp_path, monkeypatch):
    seen = []

    def note(pipeline, arguments, root, cache, steps, **others):
        seen.append((str(arguments), str(cache), others["secrets"]))

    monkeypatch.setattr(run, "run_pipeline", note)
    (tmp_path / "data").mkdir()
    for key in (SECRET, "another"):
        given = {"spec": f'{text}\nenc_key: "{key}"\n'}
        run.run_locally(given, str(tmp_path / "data"), tmp_path / "out")
    (arguments, cache, secrets), (_, other_cache, _) = seen
    assert SECRET not in arguments and SECRET not in cache
    assert secrets == {KEY_VARIABLE: SECRET}
    assert cache != other_cache, "models sealed with another key are not reused"
    assert list(Path(tmp_path / "out").glob(".frcnn*")) == []
