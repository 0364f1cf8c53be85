"""The benchmark of memory over epochs prepares a training that saves and validates after each epoch."""

from benchmarks.memory_over_epochs import prepare
from frcnn.spec import load_experiment


def test_the_prepared_training_saves_and_validates_after_each_epoch(tmp_path):
    spec = load_experiment(prepare(tmp_path, images=12, epochs=7))
    assert spec.training_config.num_epochs == 7
    assert spec.training_config.checkpoint_interval == 1
    assert spec.evaluation_config.validation_period_during_training == 1
    assert list((tmp_path / "new" / "records").glob("set-*"))
