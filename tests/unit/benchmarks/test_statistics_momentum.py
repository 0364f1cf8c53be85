"""The comparison of moving statistics: its table, and what it derives from a model's own statistics."""

import numpy as np

from benchmarks.statistics_momentum import DEFAULT, EXACT, ROWS, Averages, table


def test_the_table_has_the_epochs_that_are_powers_of_two():
    found = {"50:4": [dict.fromkeys([*ROWS, EXACT], n / 10) for n in range(1, 5)]}
    found["200:1"] = [dict.fromkeys([*ROWS, EXACT], 0.5)]
    head, _, *rows = table(found).splitlines()
    assert (
        head
        == "| momentum | 50 images, epoch 1 | 50 images, epoch 2 | 50 images, epoch 4 | 200 images, epoch 1 |"
    )
    assert rows[0] == "| 0.99 | 0.100 | 0.200 | 0.400 | 0.500 |"
    assert len(rows) == len(ROWS) + 1


def test_every_row_averages_the_statistics_of_the_same_batches():
    random = np.random.default_rng(0)
    batches = random.uniform(1, 2, 50)
    averages = Averages.__new__(Averages)
    averages._step, start = 0, 7.0
    averages._means = {name: [np.array(start)] for name in ROWS}
    own = start
    for step, value in enumerate(batches):
        momentum = ROWS[DEFAULT](step)
        own = momentum * own + (1 - momentum) * value
        averages._read = lambda own=own: [np.array(own)]
        averages.on_train_batch_end(step)
    for name, momentum_of in ROWS.items():
        expected = start
        for step, value in enumerate(batches):
            expected = momentum_of(step) * expected + (1 - momentum_of(step)) * value
        np.testing.assert_allclose(averages._means[name], expected, rtol=1e-9, err_msg=name)
