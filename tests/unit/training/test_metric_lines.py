"""Lines that a metrics collector reads: one for each validated epoch, whoever trained it."""

import datetime
import io
import re

from frcnn.training.callbacks.metric_lines import MetricLines

LINE = re.compile(r"(?P<time>\S+) validation_mAP=(?P<value>\d\.\d{6})")


def read(stream):
    return [LINE.fullmatch(line) for line in stream.getvalue().splitlines()]


def test_each_validated_epoch_has_a_line_with_a_time_that_go_reads():
    stream = io.StringIO()
    lines = MetricLines(stream)
    lines.on_epoch_end(0, {"loss": 2.0})
    lines.on_epoch_end(1, {"loss": 1.0, "mAP": 0.25})
    lines.on_epoch_end(2, {"loss": 1.0, "mAP": float("nan")})
    (found,) = read(stream)
    assert found["value"] == "0.250000"
    moment = datetime.datetime.fromisoformat(found["time"])
    assert abs(datetime.datetime.now(datetime.UTC) - moment) < datetime.timedelta(minutes=1)
    assert found["time"].endswith("Z")


def test_epochs_of_earlier_pods_are_printed_at_the_end_and_none_twice():
    stream = io.StringIO()
    lines = MetricLines(stream)
    lines.on_epoch_end(2, {"mAP": 0.75})
    lines.finish([{"epoch": 1.0, "mAP": 0.25}, {"epoch": 2.0}, {"epoch": 3.0, "mAP": 0.75}])
    assert [each["value"] for each in read(stream)] == ["0.750000", "0.250000"]
