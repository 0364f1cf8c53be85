"""Uploads the pipeline to Kubeflow, once for each content, and keeps its schedule. Standard library only."""

import hashlib
import json
import logging
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

log = logging.getLogger("publish")

API = "/apis/v2beta1"
PATIENCE_SECONDS = float(os.environ.get("PATIENCE_SECONDS", "600"))


class Kubeflow:
    """The calls to the Kubeflow Pipelines API that publishing takes."""

    def __init__(self, endpoint: str, token_file: str | None) -> None:
        """`token_file` holds a bearer token; None: none is sent."""
        self._endpoint = endpoint.rstrip("/")
        self._token_file = token_file

    def call(self, path: str, body: bytes | None = None, content_type: str = "application/json") -> Any:
        """The answer to GET, or to POST if there is a body."""
        headers = {"Content-Type": content_type}
        if self._token_file:
            headers["Authorization"] = f"Bearer {Path(self._token_file).read_text('utf-8').strip()}"
        request = urllib.request.Request(f"{self._endpoint}{API}{path}", data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def pages(self, path: str, key: str) -> list[dict[str, Any]]:
        """All entries of a list."""
        entries: list[dict[str, Any]] = []
        token = ""
        while True:
            mark = "&" if "?" in path else "?"
            page = self.call(f"{path}{mark}{urlencode({'page_size': 100, 'page_token': token})}")
            entries += page.get(key) or []
            token = page.get("next_page_token") or ""
            if not token:
                return entries

    def upload(self, path: str, content: bytes) -> Any:
        """Uploads a file as a form."""
        mark = uuid.uuid4().hex
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="uploadfile"; filename="pipeline.yaml"\r\n'
            "Content-Type: application/x-yaml\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        return self.call(path, body, f"multipart/form-data; boundary={mark}")


def publish(kubeflow: Kubeflow, name: str, namespace: str, content: bytes) -> tuple[str, str]:
    """(pipeline id, version id) of this content: found, or uploaded. A version is named by its content."""
    version = f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"
    where = urlencode({"namespace": namespace}) if namespace else ""
    found = [
        each
        for each in kubeflow.pages(f"/pipelines?{where}", "pipelines")
        if each.get("name", each.get("display_name")) == name
    ]
    if found:
        pipeline = found[0]["pipeline_id"]
    else:
        query = {"name": name, **({"namespace": namespace} if namespace else {})}
        pipeline = kubeflow.upload(f"/pipelines/upload?{urlencode(query)}", content)["pipeline_id"]
        log.info("pipeline %s made", name)
    for each in kubeflow.pages(f"/pipelines/{quote(pipeline)}/versions", "pipeline_versions"):
        if each.get("name", each.get("display_name")) == version:
            log.info("version %s is there already", version)
            return pipeline, each["pipeline_version_id"]
    query = {"name": version, "pipelineid": pipeline}
    made = kubeflow.upload(f"/pipelines/upload_version?{urlencode(query)}", content)
    log.info("version %s uploaded", version)
    return pipeline, made["pipeline_version_id"]


def schedule(
    kubeflow: Kubeflow,
    ids: tuple[str, str],
    *,
    name: str,
    namespace: str,
    cron: str,
    parameters: dict[str, Any],
) -> None:
    """A recurring run of that name, as wanted; an earlier one that differs is disabled."""
    reference = {"pipeline_id": ids[0], "pipeline_version_id": ids[1]}
    wanted = {
        "pipeline_version_reference": reference,
        "runtime_config": {"parameters": parameters},
        "trigger": {"cron_schedule": {"cron": cron}},
    }
    where = urlencode({"namespace": namespace}) if namespace else ""
    for each in kubeflow.pages(f"/recurringruns?{where}", "recurringRuns"):
        if each.get("display_name") != name or each.get("status") == "DISABLED":
            continue
        if _same(each, wanted):
            log.info("schedule %s is there already", name)
            return
        kubeflow.call(f"/recurringruns/{quote(each['recurring_run_id'])}:disable", b"{}")
        log.info("an earlier schedule %s disabled", name)
    body = {
        "display_name": name,
        **wanted,
        **({"namespace": namespace} if namespace else {}),
        # A run that takes longer than the interval delays the next; what was missed is not made up for.
        "max_concurrency": "1",
        "no_catchup": True,
        "mode": "ENABLE",
    }
    kubeflow.call("/recurringruns", json.dumps(body).encode())
    log.info("schedule %s made: %s", name, cron)


def _same(run: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return (
        run.get("pipeline_version_reference") == wanted["pipeline_version_reference"]
        and run.get("runtime_config", {}).get("parameters", {}) == wanted["runtime_config"]["parameters"]
        and run.get("trigger", {}).get("cron_schedule", {}).get("cron")
        == wanted["trigger"]["cron_schedule"]["cron"]
    )


def work() -> None:
    """Publishes, and schedules if a schedule is given."""
    environment = os.environ
    kubeflow = Kubeflow(environment["KFP_ENDPOINT"], environment.get("KFP_TOKEN_FILE"))
    namespace = environment.get("PIPELINE_NAMESPACE", "")
    content = Path(environment["PIPELINE_FILE"]).read_bytes()
    ids = publish(kubeflow, environment["PIPELINE_NAME"], namespace, content)
    if name := environment.get("RECURRING_NAME"):
        parameters = json.loads(environment["RECURRING_PARAMETERS"])
        cron = environment["RECURRING_CRON"]
        schedule(kubeflow, ids, name=name, namespace=namespace, cron=cron, parameters=parameters)


def main() -> int:
    """Tries until Kubeflow answers, for ten minutes; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            work()
            return 0
        except OSError as error:
            text = f"{error}"
            if isinstance(error, urllib.error.HTTPError):
                text += f": {error.read().decode('utf-8', 'replace')[:300]}"
            log.warning("%s: %s", os.environ["KFP_ENDPOINT"], text)
            refused = isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500
            if refused or time.monotonic() > until:
                log.error("gave up; check publish.endpoint, publish.namespace and publish.token")
                return 1
        time.sleep(min(5.0, PATIENCE_SECONDS / 10))


if __name__ == "__main__":
    sys.exit(main())
