"""The exit handler: what it posts, and that nothing that goes wrong there changes how a run ended."""

import contextlib
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.notify import main as notify
from frcnn.console.logs import CONSOLE_FORMAT

ROOT = Path(__file__).parents[2]
FAILED = json.dumps(
    {
        "state": "FAILED",
        "pipelineJobResourceName": "projects/p/jobs/faster-rcnn-x7",
        "pipelineTaskName": "whole-way",
        "error": {"code": 9, "message": "step train failed"},
    }
)


@pytest.fixture
def webhook():
    """A server that keeps what it gets and answers `webhook.answer`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["Content-Length"])
            server.got.append((self.path, self.headers["Content-Type"], json.loads(self.rfile.read(length))))
            self.send_response(server.answer)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.got, server.answer = [], 200
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def url(server):
    return f"http://127.0.0.1:{server.server_port}/hooks/s3cret"


def test_the_runs_end_is_posted_as_json(webhook):
    assert notify.main(["--status", FAILED, "--webhook", url(webhook)]) == 0
    body = {
        "text": "frcnn run faster-rcnn-x7: FAILED (step train failed)",
        "run": "projects/p/jobs/faster-rcnn-x7",
        "state": "FAILED",
        "error": "step train failed",
    }
    assert webhook.got == [("/hooks/s3cret", "application/json", body)]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("no class <!channel>", "no class \u2039!channel\u203a"),
        ("[win](http://evil)", "(win)(http://evil)"),
        ("see @here", "see \uff20here"),
        ("bad\nfrcnn run x: SUCCEEDED\u202e", "bad\\nfrcnn run x: SUCCEEDED\\u202e"),
        ("a_b *c* {{7*7}} ${x}", "a_b *c* {{7*7}} ${x}"),
    ],
)
def test_names_and_errors_are_no_markup_and_one_line_in_a_chat(said, shown):
    status = json.dumps(
        {"state": "FAILED", "pipelineJobResourceName": "p/jobs/x7", "error": {"message": said}}
    )
    body = notify.message(status)
    assert body["text"] == f"frcnn run x7: FAILED ({shown})"
    assert body["error"] == said


def test_without_a_flag_the_url_of_the_secret_is_used(webhook, monkeypatch):
    # With the line break of the file that the secret was made from.
    monkeypatch.setenv("FRCNN_WEBHOOK", f"{url(webhook)}\n")
    assert notify.main(["--status", '{"state": "SUCCEEDED", "pipelineJobResourceName": "r"}']) == 0
    assert [body["text"] for _, _, body in webhook.got] == [
        "frcnn run r: SUCCEEDED (no step failed; the run shows whether a model was exported)"
    ]


def test_a_webhook_that_refuses_changes_nothing_and_the_url_is_not_logged(webhook, caplog):
    webhook.answer = 403
    assert notify.main(["--status", FAILED, "--webhook", url(webhook)]) == 0
    assert "Could not notify 127.0.0.1: HTTP 403 Forbidden" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:1/s3cret", "file:///etc/s3cret", "s3cret", "http://[s3cret", "http://a:s3cret/"],
)
def test_a_url_that_cannot_be_reached_changes_nothing(address, caplog):
    assert notify.main(["--status", FAILED, "--webhook", address]) == 0
    assert "Could not notify" in caplog.text


@pytest.mark.parametrize(
    "address",
    [
        *(
            "http://127.0.0.1:1/a s3cret",
            "https://127.0.0.1:s3cret/x",
            "http://127.0.0.1:1/s3cr\u00e9t/s3cret",
        ),
        *("http://u:s3cret\u2100@h/", "http://[s3cret]/x", "http://u:s3cret@127.0.0.1:1/", "s3cret"),
    ],
)
def test_no_part_of_a_url_beside_its_host_is_logged(address, caplog):
    assert notify.main(["--status", FAILED, "--webhook", address]) == 0
    assert "Could not notify" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_redirect_is_not_followed_since_the_message_would_get_lost(webhook, caplog):
    webhook.answer = 302
    assert notify.main(["--status", FAILED, "--webhook", url(webhook)]) == 0
    assert len(webhook.got) == 1
    assert "HTTP 302, a redirect, which is not followed" in caplog.text and "Notified" not in caplog.text


@pytest.fixture
def raw_server():
    """Starts servers that answer one request with given pieces of bytes."""
    with contextlib.ExitStack() as stack:

        def start(pieces, pause=0.0):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve():
                with contextlib.suppress(OSError), listener.accept()[0] as peer:
                    peer.recv(65536)
                    for piece in pieces:
                        peer.sendall(piece)
                        time.sleep(pause)

            threading.Thread(target=serve, daemon=True).start()
            return f"http://127.0.0.1:{listener.getsockname()[1]}/s3cret"

        yield start


@pytest.mark.parametrize("piece", [b"HTTP/1.1 100 Continue\r\n\r\n", b"H"])
def test_an_answer_that_never_ends_is_not_waited_for(raw_server, monkeypatch, caplog, piece):
    monkeypatch.setattr(notify, "TOTAL_SECONDS", 0.5)
    address = raw_server(itertools.repeat(piece, 1000), pause=0.05)
    assert notify.main(["--status", FAILED, "--webhook", address]) == 0
    assert "Could not notify 127.0.0.1: no answer within 0.5 s" in caplog.text


def test_a_large_answer_is_not_read(raw_server, caplog):
    caplog.set_level("INFO")
    address = raw_server([b"HTTP/1.1 200 OK\r\n\r\n", *[b"a" * 2**20] * 100])
    assert notify.main(["--status", FAILED, "--webhook", address]) == 0
    assert "Notified 127.0.0.1" in caplog.text


ESCAPES = "\x1b]0;title\x07\n12:00:00 INFO    a line of its own\u202e"


@pytest.mark.parametrize(
    "answer",
    [b"\x1b]0;t\x07\r\n\r\n", b"HTTP/1.1 500 \x1b[2J\x07%s\r\n\r\n" % (b"x" * 5000)],
)
def test_control_characters_from_elsewhere_are_escaped_and_text_is_cut(raw_server, answer):
    status = json.dumps(
        {"state": "FAILED", "pipelineJobResourceName": "r", "error": {"message": ESCAPES, "code": 1}}
    )
    flags = ["--status", status, "--webhook", raw_server([answer])]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "components.notify.main", *flags],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    lines = done.stderr.splitlines()
    assert done.returncode == 0 and len(lines) == 2
    assert all(line.isprintable() and len(line) < 300 for line in lines)
    assert r"(\x1b)0;title\x07\n12:00:00 INFO    a line of its own\u202e)" in lines[0]


@pytest.mark.parametrize("status", ["[" * 100000, '{"a":' * 100000])
def test_a_status_that_is_nested_too_deeply_changes_nothing(status):
    assert notify.main(["--status", status]) == 0
    assert notify.message(status)["state"] == "UNKNOWN"


@pytest.mark.parametrize("status", ["", "[]", "{}", '{"state": "FAILED"}', "null"])
def test_a_status_that_is_not_understood_is_passed_on(status, webhook):
    assert notify.main(["--status", status, "--webhook", url(webhook)]) == 0
    assert webhook.got[0][2]["state"] == "UNKNOWN"
    assert webhook.got[0][2]["error"] == f"cannot parse the status: {status}"


@pytest.mark.parametrize("name", ["pipelineJobResourceName", "pipeline_job_resource_name"])
def test_both_spellings_of_a_run_are_understood(name):
    """kfp's local runner writes names with underscores."""
    status = {name: "local-pipeline-7", "state": "FAILED", "error": {"message": "step train", "code": 1.0}}
    assert notify.message(json.dumps(status)) == {
        "text": "frcnn run local-pipeline-7: FAILED (step train)",
        "run": "local-pipeline-7",
        "state": "FAILED",
        "error": "step train",
    }


def test_its_log_lines_look_like_those_of_the_other_steps():
    done = subprocess.run(
        [sys.executable, "-P", "-m", "components.notify.main", "--status", FAILED],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d INFO    frcnn run faster-rcnn-x7: FAILED \(step train .*\n", done.stderr
    )
    assert notify.LOG_FORMAT == CONSOLE_FORMAT
