"""Table of epochs from the log of a training."""

from benchmarks.epochs_to_map import cells, read

LOG = """epoch,seconds,learning_rate,loss,mAP
1,60.0,0.1,2.0,
2,60.0,0.1,1.0,0.5
3,30.0,0.1,0.9,
4,30.0,0.1,0.8,0.8
5,30.0,0.1,0.7,0.76
"""


def test_the_first_validated_epoch_that_reaches_it_counts(tmp_path):
    path = tmp_path / "training_log.csv"
    path.write_text(LOG)
    assert cells(read(path), 0.75) == ["4", "3.0", "0.800", "4", "0.760"]
    assert cells(read(path), 0.9) == ["not reached", "", "0.800", "4", "0.760"]
    assert cells(read(path)[:1], 0.75) == ["no validation", "", "", "", ""]
