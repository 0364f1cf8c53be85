import pytest
from hypothesis import given
from hypothesis import strategies as st

from frcnn.data.conversion.partition import random_folds, sequence_folds, shard_slices

# Sequences of 1 to 5 frames, the example of the reference's own test.
SEQUENCES = {f"seq{n}": [f"{n}-{k}" for k in range(n)] for n in range(1, 6)}


def _sequences_in(fold):
    return sorted({frame.split("-")[0] for frame in fold})


def test_sequences_go_to_two_folds_as_in_the_reference():
    folds = sequence_folds(SEQUENCES, 2)
    assert [_sequences_in(fold) for fold in folds] == [["2", "4"], ["1", "3", "5"]]
    assert [len(fold) for fold in folds] == [6, 9]


def test_sequences_go_to_three_folds_as_in_the_reference():
    folds = sequence_folds(SEQUENCES, 3)
    assert [_sequences_in(fold) for fold in folds] == [["3"], ["1", "4"], ["2", "5"]]


@pytest.mark.parametrize("count", [0, 1])
def test_one_fold_holds_all_sequences(count):
    (fold,) = sequence_folds(SEQUENCES, count)
    assert sorted(fold) == sorted(frame for frames in SEQUENCES.values() for frame in frames)


def test_more_folds_than_sequences_leave_the_first_ones_empty():
    assert [len(fold) for fold in sequence_folds({"only": ["a", "b"]}, 3)] == [0, 0, 2]


def test_random_split_has_the_size_asked_for_and_loses_nothing():
    names = [f"{n:06d}" for n in range(101)]
    validation, training = random_folds(names, 14.0)
    assert len(validation) == 14
    assert sorted(validation + training) == names


def test_random_split_is_not_a_run_of_neighbors():
    names = [f"{n:06d}" for n in range(1000)]
    validation, _ = random_folds(names, 20.0)
    # 200 places drawn from 1000: each fifth of the names should have about 40, and 18 is 4.5 sigma off.
    for fifth in range(5):
        assert 18 < sum(int(name) // 200 == fifth for name in validation) < 62


def test_random_split_depends_on_the_names_only():
    names = [f"{n:06d}" for n in range(50)]
    assert random_folds(names, 30.0) == random_folds(names[::-1], 30.0)


def test_val_split_zero_leaves_fold_0_empty_and_fold_1_training():
    validation, training = random_folds(["a", "b"], 0.0)
    assert (validation, sorted(training)) == ([], ["a", "b"])


@given(size=st.integers(0, 500), shards=st.integers(0, 40))
def test_shards_cover_everything_once_and_differ_by_one_at_most(size, shards):
    slices = shard_slices(size, shards)
    assert len(slices) == max(shards, 1)
    assert [n for part in slices for n in range(size)[part]] == list(range(size))
    lengths = [part.stop - part.start for part in slices]
    assert max(lengths) - min(lengths) <= 1
    assert lengths == sorted(lengths, reverse=True)
