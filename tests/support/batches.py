"""Helpers for batches of the input pipeline."""

from frcnn.data.input.dataset import training_dataset, validation_dataset
from frcnn.data.records.annotations import Label
from frcnn.data.records.graph_messages import flush
from frcnn.settings.data import data_settings
from tests.support.loading import image_record, noise_image


def numbers(batch):
    """Returns the numbers of the images in a batch; each has a box of that width in px."""
    boxes = batch["boxes"].numpy()[:, 0]
    return [int(number) for number in boxes[:, 3] - boxes[:, 1]]


def numbered(count, start=1):
    """Records whose only box is as wide as the record's number; small images, so that reading is fast."""
    pixels = noise_image(0, 20, 60)
    return [
        image_record(number, (Label("car", 0.0, 2.0, float(number), 12.0),), pixels=pixels)
        for number in range(start, start + count)
    ]


def logged(caplog):
    """All that was logged, messages that are still on their way included."""
    flush()
    return caplog.text


def first(dataset):
    return {name: value.numpy() for name, value in next(iter(dataset.batches)).items()}


def objects_of(batch, row=0):
    valid = batch["valid"][row]
    return batch["boxes"][row][valid].tolist(), batch["classes"][row][valid].tolist()


def train_numbers(spec, batches, **options):
    dataset = training_dataset(data_settings(spec), **options)
    return [numbers(batch) for batch in dataset.batches.take(batches)]


def validation_pass(spec, **options):
    dataset = validation_dataset(data_settings(spec), **options)
    batches = list(dataset.batches.as_numpy_iterator())
    assert len(batches) == dataset.steps_per_epoch
    return batches
