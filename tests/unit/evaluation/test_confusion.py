"""A confusion matrix whose cost follows what was confused, not the square of the classes."""

import random
import tracemalloc

import numpy as np

from frcnn.evaluation.confusion import MAX_SHOWN, Confusion


def test_the_table_of_few_classes_has_every_pair():
    confusion, draw = Confusion(5), random.Random(1)
    for _ in range(300):
        pair = draw.randrange(6), draw.randrange(6)
        if pair != (5, 5):
            confusion.add(*pair)
    expected = np.zeros((6, 6), int)
    for pair, count in confusion.counts.items():
        expected[pair] = count
    np.testing.assert_array_equal(confusion.table("abcde").matrix, expected)
    assert confusion.table("abcde").names == list("abcde")


def test_of_many_classes_those_confused_most_are_shown_and_the_others_put_together():
    names = [f"class {index}" for index in range(5000)]
    confusion = Confusion(5000)
    for index in range(4000, 4100):
        for _ in range(index - 3990):
            confusion.add(index, index + 500)
    confusion.add(3, 3)
    tracemalloc.start()
    table = confusion.table(names)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()
    assert len(table.names) == MAX_SHOWN + 1
    assert table.names[-1] == f"{5000 - MAX_SHOWN} other classes"
    assert {"class 4099", "class 4599"} <= set(table.names)
    assert "class 3" not in table.names
    assert table.matrix.sum() == confusion.counts.total()
    at = table.names.index("class 4099")
    assert table.matrix[at, table.names.index("class 4599")] == 109
