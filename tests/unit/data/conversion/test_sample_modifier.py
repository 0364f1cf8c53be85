import pytest

from frcnn.data.conversion.sample_modifier import SampleModifier
from frcnn.settings.conversion import sample_settings
from frcnn.spec.schema.export import SampleModifierConfig

MAPPING = {"Car": "car", "van": "car", "dog": "dog", "cat": "cat"}


def _modifier(folds=2, validation_fold=0, **fields):
    config = SampleModifierConfig(source_to_target_class_mapping=MAPPING, **fields)
    return SampleModifier(sample_settings(config), folds, validation_fold)


@pytest.mark.parametrize(
    ("counts", "copies"),
    [
        ({"car": 3}, 0),
        ({"car": 1, "van": 2}, 0),  # both are cars
        ({"car": 3, "dontcare": 2}, 0),  # not mapped, so not there
        ({"car": 3, "dog": 1}, 1),
        ({"dog": 1}, 1),
        ({"dontcare": 1}, 1),
        ({}, 1),
    ],
)
def test_images_of_one_filtered_class_only_are_left_out(counts, copies):
    assert _modifier(filter_samples_containing_only=("car",)).copies(1, counts) == copies


@pytest.mark.parametrize(
    ("counts", "copies"),
    [
        ({"car": 1, "dog": 2}, 3),
        ({"car": 1, "dog": 1}, 1),
        ({"dog": 1}, 3),
        ({"car": 2, "cat": 4, "dog": 1}, 1),  # cat needs more than 3 * 2
        ({"car": 2, "cat": 7}, 3),
        ({"car": 5}, 1),
    ],
)
def test_images_rich_in_rare_classes_are_repeated(counts, copies):
    modifier = _modifier(
        dominant_target_classes=("car",), num_duplicates=2, minimum_target_class_imbalance={"cat": 3.0}
    )
    assert modifier.copies(1, counts) == copies


def test_without_a_dominant_class_none_is_rare():
    assert _modifier(num_duplicates=2).copies(1, {"dog": 1}) == 1


@pytest.mark.parametrize(
    ("folds", "validation_fold", "samples", "limit"),
    [(5, 0, 25, 6), (5, 0, 20, 5), (5, None, 25, 5), (1, None, 7, 7), (1, 0, 7, None), (2, 1, 0, None)],
)
def test_the_limit_is_shared_by_the_training_folds(folds, validation_fold, samples, limit):
    modifier = _modifier(folds, validation_fold, max_training_samples=samples)
    training = folds - 1 if validation_fold != folds - 1 else folds - 2
    written = sum(modifier.copies(max(training, 0), {"car": 1}) for _ in range(40))
    assert written == (limit if limit is not None else 40)


def test_the_limit_counts_copies():
    modifier = _modifier(max_training_samples=4, num_duplicates=2, dominant_target_classes=("car",))
    assert [modifier.copies(1, {"dog": 1}) for _ in range(3)] == [3, 1, 0]


def test_the_validation_fold_is_left_alone():
    modifier = _modifier(filter_samples_containing_only=("car",), max_training_samples=1)
    assert [modifier.copies(0, {"car": 1}) for _ in range(3)] == [1, 1, 1]
