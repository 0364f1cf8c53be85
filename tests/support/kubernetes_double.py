"""A Kubernetes API of the tests' own: an HTTP server that holds MPIJobs, Experiments, pods and Events.

What it answers was taken from a real API server 1.36 with mpi-operator 0.8.2: uid and resourceVersion,
409, label and field selectors, watches in chunks (also for `watch=True`, as client 30 spells it), 410 for
versions it forgot, logs with times. What the operator would do is done by a test's script, in a thread.
Every request is recorded as RBAC sees it: (verb, group, resource).
"""

import contextlib
import copy
import datetime
import json
import re
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_ROUTE = re.compile(
    r"/apis?/(?:(?P<group>[\w.]+)/)?(?P<version>v\w+)/namespaces/(?P<namespace>[^/]+)/(?P<resource>\w+)"
    r"(?:/(?P<name>[^/]+)(?:/(?P<sub>\w+))?)?"
)
_VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}
NAMESPACE = "team"
KNOWN = {("kubeflow.org", "mpijobs"), ("kubeflow.org", "experiments"), ("", "pods"), ("", "events")}


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class ApiError(Exception):
    def __init__(self, code: int, reason: str, message: str | None):
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message


class KubernetesDouble:
    """The state of one namespace. `on_create(double, job)` plays the operator, once a job is created."""

    def __init__(self, on_create: Callable[["KubernetesDouble", dict], None] | None = None):
        self.on_create = on_create
        self.known = set(KNOWN)
        self.refusals: dict[str, tuple[int, str, str]] = {}  # verb + " " + resource -> answer
        self.calls: list[tuple[str, str, str]] = []
        self.objects: dict[tuple[str, str], dict] = {}  # (resource, name)
        self.logs: dict[str, list[str]] = {}
        self.log_requests: list[dict] = []
        self.history: list[tuple[int, str, str, dict]] = []  # version, resource, type, object
        self.oldest = 0  # versions before it are forgotten: 410
        self.expire_in_stream = False
        self.drop_resource = "mpijobs"
        self.drop_watches = 0  # how many of the next watches break in the middle of a chunk
        self.version = 100
        self.changed = threading.Condition()
        self.closed = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"double": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    # --- What scripts and tests use ---

    def put(self, resource: str, obj: dict, kind: str = "MODIFIED") -> dict:
        """Stores an object, new version, and tells the watches."""
        with self.changed:
            metadata = obj["metadata"]
            key = (resource, metadata["name"])
            if kind == "MODIFIED" and key not in self.objects:
                kind = "ADDED"
                metadata.setdefault("uid", str(uuid.uuid4()))
                metadata.setdefault("creationTimestamp", now())
                metadata.setdefault("namespace", NAMESPACE)
            self.version += 1
            metadata["resourceVersion"] = str(self.version)
            self.objects[key] = obj
            if kind == "DELETED":
                del self.objects[key]
            self.history.append((self.version, resource, kind, copy.deepcopy(obj)))
            self.changed.notify_all()
            return copy.deepcopy(obj)

    def job(self, name: str) -> dict | None:
        with self.changed:
            return copy.deepcopy(self.objects.get(("mpijobs", name)))

    def condition(self, name: str, kind: str, holds: bool = True, **more: str) -> None:
        """Sets a condition of the job as the operator does."""
        with self.changed:
            job = self.objects.get(("mpijobs", name))
            if job is None:
                return
            conditions = job.setdefault("status", {}).setdefault("conditions", [])
            conditions[:] = [each for each in conditions if each["type"] != kind]
            conditions.append({"type": kind, "status": str(holds), "reason": f"MPIJob{kind}", **more})
            self.put("mpijobs", job)

    def pod(self, job: str, role: str, index: int = 0, *, status: dict, spec: dict | None = None) -> str:
        name = f"{job}-worker-{index}" if role == "worker" else f"{job}-launcher-{index}"
        labels = {"training.kubeflow.org/job-name": job, "training.kubeflow.org/job-role": role}
        with self.changed:
            metadata = self.objects.get(("pods", name), {}).get("metadata", {"name": name, "labels": labels})
            self.put("pods", {"metadata": metadata, "spec": spec or {"containers": []}, "status": status})
        return name

    def event(self, kind: str, name: str, reason: str, message: str, when: str | None = None) -> None:
        involved = {"kind": kind, "name": name}
        if kind == "MPIJob" and (job := self.job(name)):
            involved["uid"] = job["metadata"]["uid"]
        entry = {"metadata": {"name": f"{name}.{self.version}"}, "involvedObject": involved}
        self.put("events", {**entry, "reason": reason, "message": message, "lastTimestamp": when or now()})

    def write_log(self, pod: str, *lines: str) -> None:
        with self.changed:
            for line in lines:
                moment = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
                self.logs.setdefault(pod, []).append(f"{moment}{len(self.logs[pod]) % 1000:03d}Z {line}")
                time.sleep(0.000002)
            self.changed.notify_all()

    def forget(self, *, in_stream: bool) -> None:
        """Versions up to now are gone: 410 as the answer, or as an event in a stream that began well."""
        with self.changed:
            self.version += 10
            self.oldest, self.expire_in_stream = self.version, in_stream

    def wait_for(self, call: tuple[str, str, str], seconds: float = 120) -> bool:
        """Waits for a call; returns whether it came."""
        return self.wait_until(lambda: call in self.calls, seconds)

    def wait_until(self, condition: Callable[[], bool], seconds: float = 120) -> bool:
        """Waits, however slow the machine is; returns whether the condition holds at last."""
        until = time.monotonic() + seconds
        while not condition() and time.monotonic() < until:
            time.sleep(0.02)
        return condition()

    # --- What the server answers with ---

    def create(self, resource: str, obj: dict) -> dict:
        with self.changed:
            metadata = obj["metadata"]
            if "name" not in metadata:
                metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
            if (resource, metadata["name"]) in self.objects:
                raise ApiError(409, "AlreadyExists", f'{resource} "{metadata["name"]}" already exists')
            created = self.put(resource, obj)
        if self.on_create:
            threading.Thread(target=self.on_create, args=(self, created), daemon=True).start()
        return created

    def find(self, resource: str, name: str) -> dict:
        with self.changed:
            if (resource, name) not in self.objects:
                raise ApiError(404, "NotFound", f'{resource}.kubeflow.org "{name}" not found')
            return copy.deepcopy(self.objects[resource, name])

    def delete(self, resource: str, name: str) -> dict:
        """Deletes an object; pods of a job go with it, as by owner references."""
        with self.changed:
            obj = self.find(resource, name)
            self.put(resource, obj, "DELETED")
            for key, pod in list(self.objects.items()):
                if key[0] == "pods" and pod["metadata"]["labels"]["training.kubeflow.org/job-name"] == name:
                    self.put("pods", pod, "DELETED")
            return {"kind": "Status", "status": "Success"}

    def remove(self, resource: str, name: str) -> None:
        """Deletes one object, if it is there, and nothing else."""
        with self.changed:
            if (resource, name) in self.objects:
                self.put(resource, self.objects[resource, name], "DELETED")

    def patch(self, resource: str, name: str, body: dict) -> dict:
        """A merge patch of metadata."""
        with self.changed:
            obj = self.find(resource, name)
            expected = body["metadata"].pop("resourceVersion", None)
            if expected not in (None, obj["metadata"]["resourceVersion"]):
                raise ApiError(409, "Conflict", "the object has been modified")
            obj["metadata"].update(body["metadata"])
            return self.put(resource, obj)

    def select(self, resource: str, query: dict[str, str]) -> list[dict]:
        with self.changed:
            found = [copy.deepcopy(obj) for (kind, _), obj in self.objects.items() if kind == resource]
        return [obj for obj in found if _selected(obj, query)]


def _selected(obj: dict, query: dict[str, str]) -> bool:
    for term in filter(None, query.get("labelSelector", "").split(",")):
        key, _, value = term.partition("=")
        if obj["metadata"].get("labels", {}).get(key) != value:
            return False
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        path, _, value = term.partition("=")
        found = obj
        for part in path.split("."):
            found = found.get(part, {})
        if found != value:
            return False
    return True


def _status(error: ApiError) -> dict:
    return {"kind": "Status", "code": error.code, "reason": error.reason, "message": error.message}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: KubernetesDouble

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionResetError):  # a client that was killed
            super().handle()

    def _handle(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            try:
                answer = self._answer(url.path, query, body)
            except ApiError as error:
                self._fail(error)
            else:
                if answer is not None:
                    self._send(201 if self.command == "POST" else 200, json.dumps(answer))

    do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815

    def _answer(self, path: str, query: dict, body: dict | None) -> dict | None:
        match = _ROUTE.fullmatch(path)
        group, resource = (match["group"] or "", match["resource"]) if match else ("", "")
        watching = query.get("watch", "").lower() in ("true", "1")
        verb = _VERBS.get(self.command) or (
            "watch" if watching else "get" if match and match["name"] else "list"
        )
        if match and match["sub"]:
            resource = f"{resource}/{match['sub']}"
        self.double.calls.append((verb, group, resource))
        if not match or (group, match["resource"]) not in self.double.known:
            raise ApiError(404, "", None)
        if refusal := self.double.refusals.get(f"{verb} {resource}"):
            raise ApiError(*refusal)
        if resource == "pods/log":
            return self._log(match["name"], query)
        if watching:
            return self._watch(resource, query)
        if verb == "list":
            items = self.double.select(resource, query)
            return {"kind": "List", "metadata": {"resourceVersion": str(self.double.version)}, "items": items}
        if verb == "create":
            return self.double.create(resource, body)
        if verb == "patch":
            return self.double.patch(resource, match["name"], body)
        return getattr(self.double, {"get": "find"}.get(verb, verb))(resource, match["name"])

    def _watch(self, resource: str, query: dict) -> None:
        double, version = self.double, int(query.get("resourceVersion") or 0)
        until = time.monotonic() + float(query.get("timeoutSeconds", 60))
        if version:
            expired = ApiError(410, "Expired", f"too old resource version: {version} ({double.oldest})")
            if version < double.oldest and not double.expire_in_stream:
                raise expired
            self._start_chunks("application/json")
            if version < double.oldest:
                self._chunk(json.dumps({"type": "ERROR", "object": _status(expired)}) + "\n")
                self._chunk("")
                return
        else:
            version = self._tell_what_there_is(resource, query)
        while True:
            with double.changed:
                news = [each for each in double.history if each[0] > version and each[1] == resource]
                if not news:
                    left = until - time.monotonic()
                    if left <= 0 or double.closed:
                        break
                    double.changed.wait(left)
                    continue
            for version, _, kind, obj in news:  # noqa: B007 (the last is where the next look starts)
                if _selected(obj, query):
                    self._chunk(json.dumps({"type": kind, "object": obj}) + "\n")
                if double.drop_watches and resource == double.drop_resource:
                    double.drop_watches -= 1
                    self._drop()
                    return
        self._chunk("")

    def _tell_what_there_is(self, resource: str, query: dict) -> int:
        """Begins a watch from no version, or 0, with the state now; returns its version."""
        self._start_chunks("application/json")
        with self.double.changed:
            there, version = self.double.select(resource, query), self.double.version
        for obj in there:
            self._chunk(json.dumps({"type": "ADDED", "object": obj}) + "\n")
        return version

    def _log(self, pod: str, query: dict) -> None:
        double, sent = self.double, 0
        double.log_requests.append({"pod": pod, **query})
        self._start_chunks("text/plain")
        while True:
            with double.changed:
                lines = double.logs.get(pod, [])[sent:]
                status = double.objects.get(("pods", pod), {}).get("status", {})
                ended = "terminated" in json.dumps(status) or not status or double.closed
                if not lines and not ended:
                    double.changed.wait(0.2)
                    continue
            for line in lines:
                if line.endswith(" DROP"):
                    double.logs[pod].remove(line)
                    self._drop()
                    return
                self._chunk(line + "\n")
            sent += len(lines)
            if ended and not lines:
                break
        self._chunk("")

    def _start_chunks(self, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _drop(self) -> None:
        self.wfile.write(b"ff\r\n{")
        self.close_connection = True

    def _fail(self, error: ApiError) -> None:
        if error.message is None:  # an API group that is not installed: no JSON
            self._send(404, "404 page not found\n", "text/plain")
            return
        self._send(error.code, json.dumps(_status(error)))

    def _send(self, code: int, text: str, content_type: str = "application/json") -> None:
        data = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
