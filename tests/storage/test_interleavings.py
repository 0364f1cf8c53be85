"""Publishers, a collector and a reader of one artifact, in every order in which their requests can happen.

The actors run the real code of the store on a storage backend in memory. A state is what lies there and
what each actor was answered so far; from every state, the next request of every actor is tried. An actor
that is killed is one that makes no further request, so that is among the orders too.
"""

import dataclasses
import functools
import itertools
import types

import pytest

from frcnn.errors import StoreError
from frcnn.storage import Store, publication
from frcnn.storage.backend import Entry
from frcnn.storage.checksums import md5
from frcnn.storage.faults import ChangedError, MissingError
from frcnn.storage.manifest import NAME, Manifest
from frcnn.storage.transfer import Transfer
from tests.storage.files import contents, write

VERSIONS = (b"1", b"2", b"3")


class Pause(BaseException):
    """An actor wants an answer that it has not got yet."""

    def __init__(self, request):
        self.request = request


@dataclasses.dataclass(frozen=True)
class World:
    """Contents of the store, and the time."""

    objects: frozenset = frozenset()
    now: int = 1000

    def answer(self, method, *arguments):
        """The answer to a request, and the world after it."""
        if method == "now":
            return self.now, self
        if method == "sleep":
            return None, dataclasses.replace(self, now=self.now + arguments[0])
        objects = dict(self.objects)
        answer = getattr(self, f"_{method}")(objects, *arguments)
        return answer, dataclasses.replace(self, objects=frozenset(objects.items()))

    def _entries(self, objects, below):
        names = sorted(name for name in objects if not below or name.startswith(f"{below}/"))
        return [Entry(name, len(objects[name]), md5(objects[name])) for name in names]

    def _stat(self, objects, name):
        if name not in objects:
            return MissingError(name)
        return Entry(name, len(objects[name]), md5(objects[name]))

    def _read(self, objects, name, offset, length, etag):
        if name not in objects:
            return MissingError(name)
        if etag and md5(objects[name]) != etag:
            return ChangedError(name)
        return objects[name][offset : offset + length]

    def _write(self, objects, name, data):
        objects[name] = data

    def _swap(self, objects, name, data, expected):
        found = md5(objects[name]) if name in objects else ""
        if found != expected:
            return ChangedError(name)
        objects[name] = data
        return None

    def _remove(self, objects, names):
        for name in names:
            objects.pop(name, None)


class StorageBackend:
    """Gives the answers that are known, and pauses at the first that is not."""

    lists_checksums = True

    def __init__(self, answers):
        self._answers = iter(answers)

    def ask(self, *request):
        try:
            answer = next(self._answers)
        except StopIteration:
            raise Pause(request) from None
        if isinstance(answer, StoreError):
            raise type(answer)(*answer.args)
        return answer

    def where(self, name=""):
        return f"memory/{name}"

    def check(self):
        pass

    def entries(self, below=""):
        return self.ask("entries", below)

    def stat(self, name):
        return self.ask("stat", name)

    def read(self, name, offset, length, etag=""):
        return self.ask("read", name, offset, length, etag)

    def write(self, name, data, md5):
        return self.ask("write", name, data)

    def swap(self, name, data, md5, previous, previous_md5):
        return self.ask("swap", name, data, previous.etag if previous else "")

    def remove(self, names):
        return self.ask("remove", tuple(names))

    def abandon(self):
        pass

    def part_bytes(self, entry):
        return 0


class Numbered(dict):
    """Numbers for things, so that states compare fast."""

    def __init__(self):
        self.things = []

    def __missing__(self, thing):
        self.things.append(thing)
        self[thing] = len(self)
        return self[thing]


class Play:
    """Runs actors up to their next request, with the answers that they got so far."""

    def __init__(self, actors, monkeypatch):
        self._actors, self._patch = actors, monkeypatch
        # An actor's answers are a pair: the number of those before, and the number of the last one.
        self._worlds, self._requests, self._told, self._histories = (Numbered() for _ in range(4))
        self.next = functools.cache(self._next)
        self.step = functools.cache(self._step)

    def _next(self, number, history):
        """`(request, None)`, or `(None, result)` of an actor that is done."""
        backend, count = StorageBackend(self._answers(history)), itertools.count()
        store = Store()
        store.transfer = lambda uri: Transfer.with_patience(backend, 0.0, 1)
        with self._patch.context() as patch:
            patch.setattr(publication.secrets, "token_hex", lambda _: f"{number:02d}{next(count):02d}")
            # Only this module: log records ask the clock, too.
            clock = types.SimpleNamespace(time=lambda: backend.ask("now"))
            patch.setattr(publication, "time", clock)
            try:
                return None, self._actors[number](store)
            except Pause as pause:
                return self._requests[pause.request], None
            except StoreError as error:
                return None, error

    def _step(self, world, request):
        """Numbers of the answer and of the world behind it."""
        answer, after = self._worlds.things[world].answer(*self._requests.things[request])
        if isinstance(answer, StoreError):
            answer = Failed(type(answer), answer.args)
        return self._told[tuple(answer) if isinstance(answer, list) else answer], self._worlds[after]

    def _answers(self, history):
        answers = []
        while history is not None:
            history, told = self._histories.things[history]
            answer = self._told.things[told]
            answers.append(answer.kind(*answer.arguments) if isinstance(answer, Failed) else answer)
        return answers[::-1]

    def walk(self, world, check, finish):
        """Visits every state that can be reached from `world`; returns numbers of orders and of states."""
        orders = {}
        check = functools.cache(check)

        def visit(state):
            if state not in orders:
                orders[state] = 0
                orders[state] = visited(*state)
            return orders[state]

        def visited(world, *histories):
            check(world)
            steps = [self.next(number, each) for number, each in enumerate(histories)]
            if all(request is None for request, _ in steps):
                finish(self._worlds.things[world], [result for _, result in steps])
                return 1
            total = 0
            for number, (request, _) in enumerate(steps):
                if request is not None:
                    told, after = self.step(world, request)
                    later = list(histories)
                    later[number] = self._histories[histories[number], told]
                    total += visit((after, *later))
            return total

        start = (self._worlds[world], *[None] * len(self._actors))
        checked, check = check, functools.cache(lambda number: checked(self._worlds.things[number]))
        return visit(start), len(orders)

    def run(self, world):
        """The world when the only actor has run."""
        number, history = self._worlds[world], None
        while (request := self.next(0, history)[0]) is not None:
            told, number = self.step(number, request)
            history = self._histories[history, told]
        return self._worlds.things[number]


@dataclasses.dataclass(frozen=True)
class Failed:
    """An error as an answer; errors themselves compare by identity."""

    kind: type
    arguments: tuple


def manifest_in(world):
    return Manifest.from_json(dict(world.objects)[NAME], NAME)


def is_whole(world, manifest):
    objects = dict(world.objects)
    return all(each.name in objects and md5(objects[each.name]) == each.md5s[0] for each in manifest.objects)


@pytest.fixture
def folders(tmp_path):
    return [write(tmp_path / f"v{n}", {"a": version}) for n, version in enumerate(VERSIONS, 1)]


def publisher(folder):
    return lambda store: store.publish(folder, "memory").id


def collector(store):
    return store.collect("memory").id


def reader(tmp_path):
    numbers = itertools.count()

    def read(store):
        folder = tmp_path / f"read{next(numbers)}"
        store.fetch("memory", folder)
        return contents(folder)["a"]

    return read


def publishers(folders):
    """One publishes version 1 again, the other 3."""
    return [publisher(folders[0]), publisher(folders[2])]


@pytest.fixture
def world(folders, monkeypatch):
    """Version 2 is published, and 1 was before."""
    world = World()
    for folder in folders[:2]:
        world = Play([publisher(folder)], monkeypatch).run(world)
    return world


@pytest.mark.parametrize("seconds", [0, 3600], ids=["no grace", "an hour of grace"])
@pytest.mark.parametrize("third", ["collector", "reader"])
def test_in_no_order_does_what_is_published_lose_a_file(
    folders, world, tmp_path, monkeypatch, seconds, third, record_property
):
    monkeypatch.setenv("FRCNN_STORE_GRACE_SECONDS", str(seconds))
    actors = [*publishers(folders), collector if third == "collector" else reader(tmp_path)]

    def check(world):
        assert is_whole(world, manifest_in(world))

    def finish(world, results):
        *published, last = results
        assert not [each for each in published if isinstance(each, Exception)]
        named = {manifest_in(world).location, manifest_in(world).previous}
        assert {each.partition("-")[0] for each in named} == set(published)
        if third == "collector":
            assert not isinstance(last, Exception)
        elif seconds:
            assert last in VERSIONS
        else:  # with no grace what is being read may go, but never are other bytes read
            assert last in VERSIONS or isinstance(last, MissingError)

    orders, states = Play(actors, monkeypatch).walk(world, check, finish)
    record_property("orders, none lost", f"{orders:,} of {states:,} states")
    assert orders > 100_000


def test_in_no_order_is_a_first_publication_seen_in_part(folders, tmp_path, monkeypatch, record_property):
    def check(world):
        assert NAME not in dict(world.objects) or is_whole(world, manifest_in(world))

    def finish(world, results):
        assert results[2] in VERSIONS or isinstance(results[2], MissingError)

    actors = [*publishers(folders), reader(tmp_path)]
    orders, states = Play(actors, monkeypatch).walk(World(), check, finish)
    record_property("orders, none lost", f"{orders:,} of {states:,} states")
    assert orders > 10_000
