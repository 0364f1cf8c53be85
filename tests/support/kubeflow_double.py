"""A Kubeflow Pipelines server of the tests' own: HTTP on 127.0.0.1, state in memory.

Every request is checked against what KFP publishes: bodies against the models of kfp-server-api, names of
query parameters against its API classes, pipelines against the pipeline spec's protos, and a run's parameters
against the pipeline's inputs. What does not fit is answered with 400 and kept in `faults`.
"""

import datetime
import inspect
import json
import re
import threading
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import kfp_server_api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

PREFIX = "/apis/v2beta1"
_PARAMETER_TYPES = {"STRING": str, "NUMBER_INTEGER": int, "NUMBER_DOUBLE": (int, float), "BOOLEAN": bool}
_PLAIN = {"object": object, "str": (str, int), "bool": bool, "int": int, "datetime": str}  # int64: "1" or 1
# Method and path to the client's own function, whose source says which query parameters there are.
_APIS = {
    ("GET", r"/healthz"): kfp_server_api.HealthzServiceApi.healthz_service_get_healthz_with_http_info,
    (
        "GET",
        r"/experiments",
    ): kfp_server_api.ExperimentServiceApi.experiment_service_list_experiments_with_http_info,
    (
        "POST",
        r"/experiments",
    ): kfp_server_api.ExperimentServiceApi.experiment_service_create_experiment_with_http_info,
    ("POST", r"/runs"): kfp_server_api.RunServiceApi.run_service_create_run_with_http_info,
    ("GET", r"/runs"): kfp_server_api.RunServiceApi.run_service_list_runs_with_http_info,
    ("GET", r"/runs/([^/:]+)"): kfp_server_api.RunServiceApi.run_service_get_run_with_http_info,
    (
        "POST",
        r"/runs/([^/:]+):terminate",
    ): kfp_server_api.RunServiceApi.run_service_terminate_run_with_http_info,
    (
        "POST",
        r"/recurringruns",
    ): kfp_server_api.RecurringRunServiceApi.recurring_run_service_create_recurring_run_with_http_info,
    (
        "GET",
        r"/recurringruns",
    ): kfp_server_api.RecurringRunServiceApi.recurring_run_service_list_recurring_runs_with_http_info,
    (
        "DELETE",
        r"/recurringruns/([^/:]+)",
    ): kfp_server_api.RecurringRunServiceApi.recurring_run_service_delete_recurring_run_with_http_info,
    ("GET", r"/pipelines"): kfp_server_api.PipelineServiceApi.pipeline_service_list_pipelines_with_http_info,
    (
        "GET",
        r"/pipelines/([^/:]+)/versions",
    ): kfp_server_api.PipelineServiceApi.pipeline_service_list_pipeline_versions_with_http_info,
    ("POST", r"/pipelines/upload"): kfp_server_api.PipelineUploadServiceApi.upload_pipeline_with_http_info,
    (
        "POST",
        r"/pipelines/upload_version",
    ): kfp_server_api.PipelineUploadServiceApi.upload_pipeline_version_with_http_info,
}
_BODIES = {
    "/experiments": kfp_server_api.V2beta1Experiment,
    "/runs": kfp_server_api.V2beta1Run,
    "/recurringruns": kfp_server_api.V2beta1RecurringRun,
}


class KubeflowDouble:
    """The server's state.

    `token`: what requests have to carry, if set. `forbidden`: namespaces that answer 403. `script`: what a
    run is at each look: (state, steps), steps as (name, state) or (name, state, error); the last one stays.
    `away`: so many of the next requests are answered with 503.
    """

    def __init__(self, *, token="", forbidden=(), multi_user=False, release="2.17.0"):
        self.token, self.forbidden, self.multi_user = token, set(forbidden), multi_user
        self.release = release
        self.script = [("SUCCEEDED", [("export", "SUCCEEDED")])]
        self.away = 0
        self.calls: list[tuple[str, str]] = []
        self.faults: list[str] = []
        self.experiments: list[dict] = []
        self.runs: list[dict] = []
        self.schedules: list[dict] = []
        self.pipelines: list[dict] = []
        self.versions: list[dict] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"double": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    # --- What the API does ---

    def answer(self, method, path, query, headers, raw):
        if self.token and headers.get("Authorization") != f"Bearer {self.token}":
            raise Refused(401, "Unauthenticated: request header error")
        if self.away:
            self.away -= 1
            raise Refused(503, "upstream connect error")
        number = _checked_query(method, path, query)
        if query.get("namespace") in self.forbidden:
            raise Refused(403, f"User 'ci' is not authorized in namespace {query['namespace']}")
        body = {}
        if method == "POST" and path in _BODIES:
            body = json.loads(raw)
            _check_model(body, _BODIES[path].__name__, path)
            if body.get("namespace") in self.forbidden:
                raise Refused(403, f"User 'ci' is not authorized in namespace {body['namespace']}")
            if "pipeline_spec" in body:
                _check_run(body)
        upload = _upload(headers, raw) if path.startswith("/pipelines/upload") else b""
        name = path[1:].replace(f"/{number}", "/ID") if number else path[1:]
        return getattr(self, f"{method.lower()}_{re.sub('[/:]', '_', name)}")(query, body, number, upload)

    def get_healthz(self, *_):
        # What its main.go writes, from 2.15.0 to 2.17.0; more than the API's model has.
        return {"commit_sha": "unknown", "tag_name": self.release, "multi_user": self.multi_user}

    def get_experiments(self, query, *_):
        return {"experiments": _filtered(self.experiments, query)}

    def post_experiments(self, _, body, *__):
        return _kept(self.experiments, {**body, "experiment_id": f"e{len(self.experiments)}"})

    def post_runs(self, _, body, *__):
        if body["experiment_id"] not in [each["experiment_id"] for each in self.experiments]:
            raise Refused(404, "no such experiment")
        run = {**body, "run_id": f"run-{len(self.runs)}", "state": "PENDING", "created_at": now(), "looks": 0}
        return _shown(_kept(self.runs, run))

    def get_runs(self, query, *_):
        newest = self.runs[::-1] if query.get("sort_by") == "created_at desc" else self.runs
        return {"runs": [_shown(run) for run in newest[: int(query["page_size"])]]}

    def get_runs_ID(self, _, __, number, ___):  # noqa: N802
        run = self.run(number)
        if run["state"] not in ("SUCCEEDED", "FAILED", "CANCELED"):
            state, steps = self.script[min(run["looks"], len(self.script) - 1)]
            run["looks"] += 1
            run["state"] = state
            run["run_details"] = {"task_details": [_task(at, *step) for at, step in enumerate(steps)]}
        return _shown(run)

    def post_runs_ID_terminate(self, _, __, number, ___):  # noqa: N802
        self.run(number)["state"] = "CANCELED"
        return {}

    def post_recurringruns(self, _, body, *__):
        fields = body["trigger"]["cron_schedule"]["cron"].split()
        if len(fields) != 6 or "7" in fields[5]:
            raise Refused(400, f"cron: expected six fields, weekdays 0 to 6, found {fields}")
        number = f"s{len(self.calls)}"
        return _kept(self.schedules, {**body, "recurring_run_id": number, "status": "ENABLED"})

    def get_recurringruns(self, *_):
        return {"recurringRuns": self.schedules}  # so the API spells it

    def delete_recurringruns_ID(self, _, __, number, ___):  # noqa: N802
        self.schedules[:] = [each for each in self.schedules if each["recurring_run_id"] != number]
        return {}

    def get_pipelines(self, query, *_):
        return {"pipelines": _filtered(self.pipelines, query)}

    def get_pipelines_ID_versions(self, query, _, number, __):  # noqa: N802
        ours = [each for each in self.versions if each["pipeline_id"] == number]
        return {"pipeline_versions": _filtered(ours, query)}

    def post_pipelines_upload(self, query, _, __, upload):
        _check_package(upload)
        number = f"p{len(self.pipelines)}"
        return _kept(self.pipelines, {"pipeline_id": number, "display_name": query["name"]})

    def post_pipelines_upload_version(self, query, _, __, upload):
        _check_package(upload)
        version = {"pipeline_id": query["pipelineid"], "display_name": query["name"]}
        return _kept(self.versions, {**version, "pipeline_version_id": f"v{len(self.versions)}"})

    def run(self, number):
        for run in self.runs:
            if run["run_id"] == number:
                return run
        raise Refused(404, f"Run {number} not found")


class Refused(Exception):  # noqa: N818 (an answer, not a fault of ours)
    def __init__(self, status, message):
        super().__init__(message)
        self.status, self.message = status, message


class _Handler(BaseHTTPRequestHandler):
    double: KubeflowDouble

    def _handle(self):
        address = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = address.path.removeprefix(PREFIX)
        query = {key: values[0] for key, values in parse_qs(address.query, keep_blank_values=True).items()}
        self.double.calls.append((self.command, path))
        try:
            status, answer = 200, self.double.answer(self.command, path, query, self.headers, raw)
        except Refused as refused:
            status, answer = refused.status, {"code": refused.status, "message": refused.message}
            if status == 400:
                self.double.faults.append(refused.message)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _handle  # noqa: N815

    def log_message(self, *_):
        pass


def now():
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _checked_query(method, path, query):
    """The id in the path, having checked that the API has such a call."""
    for (verb, pattern), function in _APIS.items():
        match = re.fullmatch(pattern, path)
        if verb == method and match:
            known = set(re.findall(r"query_params\.append\(\('(\w+)'", inspect.getsource(function)))
            if set(query) - known:
                raise Refused(400, f"{method} {path}: no query parameter {sorted(set(query) - known)}")
            if "filter" in query:
                _check_filter(query["filter"])
            return match[1] if match.groups() else ""
    raise Refused(400, f"{method} {path}: no such call in the API")


def _check_filter(text):
    for predicate in json.loads(text)["predicates"]:
        # KFP's own client spells it so, and sends the enum as its number.
        if set(predicate) != {"operation", "key", "stringValue"} or predicate["operation"] != 1:
            raise Refused(400, f"filter: {predicate}")


def _check_model(value, kind, place):
    """Raises Refused unless `value` has the shape that kfp-server-api gives the model `kind`."""
    if match := re.fullmatch(r"list\[(\w+)\]", kind):
        for each in value:
            _check_model(each, match[1], place)
    elif match := re.fullmatch(r"dict\(str, (\w+)\)", kind):
        for key, each in value.items():
            _check_model(each, match[1], f"{place}.{key}")
    elif kind in _PLAIN:
        if not isinstance(value, _PLAIN[kind]) or (kind == "str" and isinstance(value, bool)):
            raise Refused(400, f"{place}: {value!r} is no {kind}")
    else:
        _check_message(value, kind, place)


def _check_message(value, kind, place):
    model = getattr(kfp_server_api, kind)
    if not model.openapi_types:
        if value not in model.allowable_values:
            raise Refused(400, f"{place}: {value!r} is none of {model.allowable_values}")
        return
    names = {model.attribute_map[name]: each for name, each in model.openapi_types.items()}
    for key, each in value.items():
        if key not in names:
            raise Refused(400, f"{place}: {kind} has no {key}")
        _check_model(each, names[key], f"{place}.{key}")


def _check_run(body):
    spec = _parsed(body["pipeline_spec"]["pipeline_spec"], pipeline_spec_pb2.PipelineSpec())
    _parsed(body["pipeline_spec"].get("platform_spec", {}), pipeline_spec_pb2.PlatformSpec())
    inputs = spec.root.input_definitions.parameters
    given = body["runtime_config"]["parameters"]
    missing = [name for name, each in inputs.items() if not each.is_optional and name not in given]
    if missing or set(given) - set(inputs):
        raise Refused(400, f"parameters: {missing} missing, {sorted(set(given) - set(inputs))} unknown")
    for name, value in given.items():
        kind = pipeline_spec_pb2.ParameterType.ParameterTypeEnum.Name(inputs[name].parameter_type)
        if not isinstance(value, _PARAMETER_TYPES[kind]) or (kind != "BOOLEAN" and isinstance(value, bool)):
            raise Refused(400, f"parameter {name}: {value!r} is no {kind}")


def _check_package(content):
    spec, platform = yaml.safe_load_all(content)
    _parsed(spec, pipeline_spec_pb2.PipelineSpec())
    _parsed(platform, pipeline_spec_pb2.PlatformSpec())


def _parsed(found, message):
    try:
        return json_format.ParseDict(found, message)
    except json_format.ParseError as error:
        raise Refused(400, f"{type(message).__name__}: {error}") from error


def _upload(headers, raw):
    whole = message_from_bytes(f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode() + raw)
    (part,) = whole.get_payload()
    if part.get_param("name", header="Content-Disposition") != "uploadfile":
        raise Refused(400, "the form has no uploadfile")
    return part.get_payload(decode=True)


def _filtered(found, query):
    if "filter" not in query:
        return found
    wanted = [(each["key"], each["stringValue"]) for each in json.loads(query["filter"])["predicates"]]
    return [each for each in found if all(each.get(key) == value for key, value in wanted)]


def _kept(where, what):
    where.append(what)
    return what


def _shown(run):
    return {key: value for key, value in run.items() if key not in ("looks", "pipeline_spec")}


def _task(at, name, state, error=""):
    begun = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(minutes=at)
    ended = begun + datetime.timedelta(seconds=30)
    detail = {"display_name": name, "state": state, "start_time": f"{begun:%Y-%m-%dT%H:%M:%SZ}"}
    if state not in ("RUNNING", "PENDING"):
        detail["end_time"] = f"{ended:%Y-%m-%dT%H:%M:%SZ}"
    return {**detail, **({"error": {"message": error}} if error else {})}
