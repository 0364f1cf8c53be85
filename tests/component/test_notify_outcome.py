"""The exit handler tells how a run really fared, from the workflow behind it."""

import base64
import datetime
import gzip
import http.server
import ipaddress
import json
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.notify import main as notify
from components.notify import workflow

RUN = "faster-rcnn-x7k2p"


def status(state):
    return json.dumps(
        {"state": state, "pipelineJobResourceName": RUN, "pipelineTaskName": "whole-way", "error": {}}
    )


class Workflow:
    """Nodes as Argo keeps them for what the backend's compiler makes of a pipeline."""

    def __init__(self):
        self.nodes, self.clock = {}, 0
        self.root = self.add("root", "DAG", "Running")

    def add(self, name, kind, phase, parent=None, message=""):
        self.clock += 1
        number = f"{RUN}-{self.clock}"
        time = f"2026-01-01T00:{self.clock:02d}:00Z"
        self.nodes[number] = {
            "id": number,
            "displayName": name,
            "type": kind,
            "phase": phase,
            "startedAt": time,
        }
        self.nodes[number] |= {"finishedAt": time, "message": message, "children": []}
        if parent:
            self.nodes[parent]["children"].append(number)
        return number

    def step(self, name, phase="Succeeded", attempts=(("Succeeded", ""),)):
        """A step with its driver and the attempts of its pod."""
        self.add(f"{name}-driver", "Pod", "Succeeded", self.root)
        node = self.add(name, "DAG", phase, self.root)
        tries = self.add("executor", "Retry", phase, node)
        for at, (ended, message) in enumerate(attempts):
            self.add(f"executor({at})", "Pod", ended, tries, message)
        return node


def run_of(*steps):
    made = Workflow()
    for name in steps:
        made.step(name)
    return made


FIRST = ("convert", "train", "evaluate")
ALL = (*FIRST, "prune", "retrain", "evaluate-retrained", "export", "compare")


@pytest.mark.parametrize("told", ["RUNNING", "SUCCEEDED", "COMPLETE", "FAILED", "CANCELED", "anything", ""])
def test_no_run_that_has_ended_is_said_to_be_running(told):
    for nodes in (None, run_of(*FIRST).nodes, run_of(*ALL).nodes):
        found = notify.message(status(told), nodes)
        assert "RUNNING" not in found["text"] + found["state"]


def test_a_closed_gate_is_told_with_the_step_before_it():
    found = notify.message(status("RUNNING"), run_of(*FIRST).nodes)
    assert found["state"] == "GATE_CLOSED"
    assert found["text"] == (
        f"frcnn run {RUN}: GATE_CLOSED (no model was exported: the gate after step evaluate is closed)"
    )


@pytest.mark.parametrize(
    ("steps", "said"),
    [(ALL, "a model was exported"), ((*ALL, "publish"), "a model was exported and published")],
)
def test_an_exported_model_is_success_whatever_the_metadata_store_has(steps, said):
    assert (
        notify.message(status("RUNNING"), run_of(*steps).nodes)["text"]
        == f"frcnn run {RUN}: SUCCEEDED ({said})"
    )


def test_a_failed_step_is_named_with_what_its_last_pod_said():
    made = run_of("convert")
    made.step("train", "Failed", [("Failed", "first"), ("Failed", "OOMKilled (exit code 137)")])
    found = notify.message(status("RUNNING"), made.nodes)
    assert (found["state"], found["error"]) == ("FAILED", "step train failed: OOMKilled (exit code 137)")


def test_an_attempt_that_a_later_one_made_good_is_no_failure():
    made = run_of("convert")
    made.step("train", "Succeeded", [("Failed", "node lost"), ("Succeeded", "")])
    assert notify.message(status("RUNNING"), made.nodes)["state"] == "GATE_CLOSED"


def test_a_step_whose_driver_failed_is_named():
    made = run_of("convert")
    made.add("train-driver", "Pod", "Error", made.root, "parameter 'x' not found")
    found = notify.message(status("RUNNING"), made.nodes)
    assert found["error"] == "step train failed: before it started: parameter 'x' not found"


def test_a_large_workflow_is_unpacked():
    nodes = run_of(*ALL).nodes
    packed = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
    assert workflow.nodes_in({"status": {"compressedNodes": packed}}) == nodes


@pytest.mark.parametrize(
    "answer", [{}, {"status": None}, {"status": {"nodes": {}}}, {"status": {"nodes": []}}]
)
def test_a_workflow_without_steps_is_refused(answer):
    with pytest.raises(ValueError, match="no information about its steps"):
        workflow.nodes_in(answer)


@pytest.mark.parametrize(
    "answer",
    [
        *([], "", {"status": []}, {"status": {"nodes": {"a": None}}}, {"status": {"compressedNodes": 1}}),
        {"status": {"compressedNodes": base64.b64encode(gzip.compress(b"{}")[:-9]).decode()}},
    ],
)
def test_a_workflow_of_another_form_is_refused(answer):
    with pytest.raises(ValueError):
        workflow.nodes_in(answer)


def test_outside_a_cluster_and_where_kubernetes_refuses_the_message_goes_out_all_the_same(
    monkeypatch, caplog
):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    with caplog.at_level("INFO"):
        assert notify.main(["--status", status("RUNNING")]) == 0
    assert "Cannot read the workflow of the run" in caplog.text
    assert f"frcnn run {RUN}: ENDED" in caplog.text


@pytest.fixture
def kubernetes(tmp_path, monkeypatch):
    """An API server with a certificate of its own, and the files of a pod's service account."""
    account = tmp_path / "account"
    account.mkdir()
    certificate, key = own_certificate(tmp_path)
    (account / "ca.crt").write_bytes(certificate.read_bytes())
    (account / "token").write_text("t0ken\n")
    (account / "namespace").write_text("team")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append((self.path, self.headers["Authorization"]))
            data = json.dumps(server.answer).encode()
            self.send_response(server.status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.answer, server.status, server.account = [], {}, 200, account
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.server_port))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setattr(workflow, "ACCOUNT_FOLDER", account)
    yield server
    server.shutdown()
    server.server_close()


def own_certificate(folder):
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "tls.crt").write_bytes(made.public_bytes(pem))
    (folder / "tls.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "tls.crt", folder / "tls.key"


def test_the_workflow_is_read_as_the_pods_own_account_and_through_no_proxy(kubernetes, caplog):
    kubernetes.answer = {"status": {"nodes": run_of(*FIRST).nodes}}
    with caplog.at_level("INFO"):
        assert notify.main(["--status", status("RUNNING")]) == 0
    path = f"/apis/argoproj.io/v1alpha1/namespaces/team/workflows/{RUN}"
    assert kubernetes.asked == [(path, "Bearer t0ken")]
    assert "GATE_CLOSED (no model was exported: the gate after step evaluate" in caplog.text


def test_an_account_that_may_not_read_workflows_still_sends_what_is_known(kubernetes, caplog):
    kubernetes.status = 403
    with caplog.at_level("INFO"):
        assert notify.main(["--status", status("SUCCEEDED")]) == 0
    assert "Cannot read the workflow of the run (HTTP Error 403: Forbidden)" in caplog.text
    assert f"frcnn run {RUN}: SUCCEEDED" in caplog.text
