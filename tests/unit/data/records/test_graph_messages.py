"""Messages get out of a graph, and only when they should."""

import tensorflow as tf

from frcnn.data.records import graph_messages


class Mailbox:
    def __init__(self):
        self.received = []
        self.number = graph_messages.subscribe(self.handle)

    def handle(self, kind, value):
        self.received.append((kind, value))


def numbers_over(limit, mailbox, count=6):
    def check(number):
        graph_messages.send(mailbox, "over", number, number > limit)
        return number

    return tf.data.Dataset.range(count).map(check)


def test_messages_arrive_from_a_data_set_when_the_condition_holds():
    mailbox = Mailbox()
    assert list(numbers_over(3, mailbox.number).as_numpy_iterator()) == list(range(6))
    graph_messages.flush()
    assert mailbox.received == [("over", 4), ("over", 5)]


def test_each_subscriber_gets_its_own():
    boxes = [Mailbox(), Mailbox()]
    for limit, box in enumerate(boxes):
        list(numbers_over(limit, box.number, count=3))
    graph_messages.flush()
    assert [len(box.received) for box in boxes] == [2, 1]


def test_a_handler_that_fails_does_not_stop_the_others(caplog):
    class Broken(Mailbox):
        def handle(self, kind, value):
            raise RuntimeError("out of order")

    broken, sound = Broken(), Mailbox()
    list(numbers_over(4, broken.number))
    list(numbers_over(4, sound.number))
    graph_messages.flush()
    assert "out of order" in caplog.text
    assert sound.received == [("over", 5)]
