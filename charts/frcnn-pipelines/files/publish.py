"""Uploads the pipeline to Kubeflow, once per content, and maintains its schedule. Standard library only."""

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
    """Client of the Kubeflow Pipelines API with the calls needed for publishing."""

    def __init__(self, endpoint: str, token_file: str | None) -> None:
        """Creates the client without sending a request.

        Args:
            endpoint: URL of the API.
            token_file: File with a bearer token. `None` sends no token.
        """
        self._endpoint = endpoint.rstrip("/")
        self._token_file = token_file

    def call(self, path: str, body: bytes | None = None, content_type: str = "application/json") -> Any:
        """Sends a GET request, or a POST request if there is a body.

        Args:
            path: Path below the API root.
            body: Body of the request.
            content_type: Type of the body.

        Returns:
            Decoded JSON response.
        """
        headers = {"Content-Type": content_type}
        if self._token_file:
            headers["Authorization"] = f"Bearer {Path(self._token_file).read_text('utf-8').strip()}"
        request = urllib.request.Request(f"{self._endpoint}{API}{path}", data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def pages(self, path: str, key: str) -> list[dict[str, Any]]:
        """Lists all entries of a paginated collection.

        Args:
            path: Path below the API root.
            key: Field of the response that contains the entries.

        Returns:
            Entries.
        """
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
        """Uploads a file as a form.

        Args:
            path: Path below the API root.
            content: Content of the file.

        Returns:
            Decoded JSON response.
        """
        mark = uuid.uuid4().hex
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="uploadfile"; filename="pipeline.yaml"\r\n'
            "Content-Type: application/x-yaml\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        return self.call(path, body, f"multipart/form-data; boundary={mark}")


def publish(kubeflow: Kubeflow, name: str, namespace: str, content: bytes) -> tuple[str, str]:
    """Finds or uploads the pipeline version with this content. A version is named after its content.

    Args:
        kubeflow: API client.
        name: Name of the pipeline.
        namespace: Namespace of the pipeline; empty for a shared one.
        content: Compiled pipeline.

    Returns:
        Tuple of pipeline id and version id.
    """
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
    """Creates a recurring run. An existing one with the same name is kept if it is equal, else disabled.

    Args:
        kubeflow: API client.
        ids: Pipeline id and version id.
        name: Name of the schedule.
        namespace: Namespace of the runs; empty for none.
        cron: Cron expression with six fields.
        parameters: Parameters of the runs.
    """
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
        # A run that exceeds the interval delays the next one; missed runs are skipped.
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
    """Publishes the pipeline, and schedules it if a schedule is configured."""
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
    """Retries until Kubeflow responds, for PATIENCE_SECONDS at most.

    Returns:
        Exit code.
    """
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
