"""otel push, against real OTLP receivers on loopback."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys

import certifi
import pytest
import support_team
from support_cli import PACKAGE_PARENT, call, environment, ok, refused, start, write_log
from support_otlp import PATIENCE, RECEIVERS, over_http, plain

DEAD = "http://127.0.0.1:9"  # the port of 'discard', where nobody listens
ENDED = 22
"""Attempts of the team's job that have ended."""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in os.environ:
        if name.startswith("OTEL_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(params=list(RECEIVERS))
def receiver(request):
    with RECEIVERS[request.param]() as found:
        yield found


@pytest.fixture
def http():
    with over_http() as found:
        yield found


@pytest.fixture
def log(store):
    return support_team.write(store, "r")


def push(receiver, *more):
    return "otel", "push", "--endpoint", receiver.url, "--protocol", receiver.protocol, *more


def append(path, kind, agent, number, **fields):
    """Append an event as a writer of another tool would, dated now."""
    from prodigy_git.record import clock

    who = {"agent_id": agent, "session_id": agent, "item_id": f"item-{number}", "attempt": 1}
    told = {"id": f"{kind}-{agent}", "timestamp": clock.stamp(clock.now()), "type": kind, **who}
    with path.open("a") as stream:
        stream.write(json.dumps({**told, **fields}) + "\n")


def test_a_push_is_a_trace_with_a_span_for_each_attempt(receiver, log, store):
    before = {p: p.read_bytes() for p in store.rglob("*") if p.is_file()}
    done = start(*push(receiver, "--job", "review", "--header", "X-Key=a=b c", "--json"))
    out, err = done.communicate(timeout=PATIENCE)
    assert (done.returncode, err) == (0, "")
    told = json.loads(out)
    assert (told["jobs"], told["spans"], told["rejected"]) == (1, ENDED + 1, 0)
    assert {headers["x-key"] for headers in receiver.headers} == {"a=b c"}
    assert receiver.resources[0]["service.name"] == "prodigy-git"
    assert receiver.resources[0]["prodigy.repo"] == "r"
    assert len({span.span_id for span in receiver.spans}) == len(receiver.spans) == ENDED + 1
    assert len({span.trace_id for span in receiver.spans}) == 1
    named = receiver.named()
    root, first, failed = named["job review"], named["agent agent-00"], named["agent agent-13"]
    assert root.parent_span_id == b""
    assert {s.parent_span_id for s in receiver.spans if s is not root} == {root.span_id}
    assert [event.name for event in first.events] == ["commit", "commit"]
    subjects = [plain(event.attributes)["prodigy.commit.subject"] for event in first.events]
    assert subjects == [support_team.HOSTILE, "Step 2 of item 0"]
    assert (first.status.code, failed.status.code) == (0, 2)
    assert failed.status.message == "cannot lock ref 'refs/heads/x'"
    (linked,) = named["agent agent-03"].links
    assert linked.span_id == named["agent agent-20"].span_id
    (metrics,) = receiver.metrics
    assert told["points"] == sum(len(points) for _, points in metrics.values())
    kind, points = metrics["prodigy.items"]
    assert kind == "gauge"
    states = {dict(key)["prodigy.item.state"]: point.as_int for key, point in points.items()}
    assert states == {"pending": 7, "in_progress": 5, "completed": 10, "dead": 3, "failed": 0}
    kind, points = metrics["prodigy.attempt.duration"]
    assert kind == "histogram"
    assert sorted((p.count, p.sum) for p in points.values()) == [(10, 17400), (12, 4380)]
    assert before == {p: p.read_bytes() for p in store.rglob("*") if p.is_file()}


def test_a_second_push_says_the_same_again(receiver, log):
    for _ in "12":
        ok(*push(receiver, "--all-repos"))
    half = len(receiver.spans) // 2
    assert receiver.spans[:half] == receiver.spans[half:]
    one, two = receiver.metrics
    for name, (_, points) in one.items():
        for key, point in points.items():
            point.time_unix_nano = two[name][1][key].time_unix_nano
    assert one == two
    (point, *_) = one["prodigy.commits"][1].values()
    assert (point.as_int, point.start_time_unix_nano) == (
        27,
        receiver.named()["job review"].start_time_unix_nano,
    )


@pytest.mark.parametrize("protocol", list(RECEIVERS))
def test_an_endpoint_that_is_away_is_one_line(log, protocol, monkeypatch):
    monkeypatch.setattr("prodigy_git.views.telemetry.pushing._PATIENCE", (0.01,))
    said = refused("otel", "push", "--all-repos", "--endpoint", DEAD, "--protocol", protocol)
    assert "http://127.0.0.1:9" in said
    assert "does not answer" in said
    assert "Connection refused" in said


def test_an_endpoint_that_is_busy_is_asked_again(receiver, log):
    receiver.failures = [503]
    receiver.retry_after = "0"
    ok(*push(receiver, "--all-repos"))
    assert receiver.refused == 1
    assert len(receiver.spans) == ENDED + 1


@pytest.mark.parametrize(("status", "word"), [(401, "UNAUTH"), (404, "UNIMPL"), (400, "INVALID")])
def test_an_endpoint_that_refuses_is_asked_once(receiver, log, status, word):
    receiver.failures = [status, status]
    said = refused(*push(receiver, "--all-repos"))
    assert "refuses the traces" in said
    assert (str(status) if receiver.protocol != "grpc" else word) in said
    assert receiver.refused == 1


def test_what_is_rejected_of_a_request_is_said(receiver, log):
    receiver.rejected = 3
    done = call(*push(receiver, "--all-repos", "--json"))
    assert (done.code, done.json["rejected"]) == (1, 6)
    assert "3 spans rejected: too old\\x1b[2J\n" in done.err
    assert "3 data points rejected" in done.err


def test_following_survives_an_endpoint_that_is_away(receiver, log):
    receiver.failures = [503] * 3
    with start(*push(receiver, "--all-repos", "--follow", "--interval", "1s")) as child:
        receiver.wait(lambda: len(receiver.spans) >= ENDED and receiver.metrics)
        append(log, "AgentFailed", "agent-15", 15, error="killed")
        receiver.wait(lambda: "agent agent-15" in receiver.named())
        # Begun, so not sent yet; what ends just before the end is.
        append(log, "AgentCompleted", "agent-16", 16, commits=[support_team.sha("16/0")])
        child.send_signal(signal.SIGTERM)  # INT is ignored by what a script starts with '&'
        out, err = child.communicate(timeout=PATIENCE)
    assert (child.returncode, out) == (130, "")
    assert receiver.refused == 3
    assert err.count("nothing is lost, it is tried again") == 1
    assert err.count("the endpoint accepts again") == 1
    assert err.endswith("interrupted\n")
    assert "Traceback" not in err
    names = [span.name for span in receiver.spans]
    assert len({span.span_id for span in receiver.spans}) == len(names) == ENDED + 2
    assert "agent agent-16" in names
    assert "job review" not in names  # it has not ended
    (counts,) = (p for _, p in [receiver.metrics[-1]["prodigy.active_attempts"]])
    assert [point.as_int for point in counts.values()] == [3]


def test_following_ends_with_what_it_could_not_send(log):
    with start(
        "otel", "push", "--all-repos", "--follow", "--endpoint", DEAD, "--interval", "1s"
    ) as child:  # fmt: skip
        assert "does not answer" in child.stderr.readline()
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 1
    assert f"{ENDED} spans were not accepted" in err.splitlines()[-1]


def test_following_sends_a_job_when_it_ends_and_gives_up_what_is_at_fault(http, store):
    told = {"type": "JobStarted", "timestamp": "2025-01-11T12:00:00Z"}
    path = write_log(store, "r", "j", "events-20250111.jsonl", told)
    http.failures = [400]
    with start(*push(http, "--all-repos", "--follow", "--interval", "1s", "--only", "traces")) as p:
        append(path, "AgentCompleted", "a", 1)
        assert "1 given up" in p.stderr.readline()
        append(path, "JobCompleted", "-", 0)
        http.wait(lambda: http.spans)
        append(path, "AgentCompleted", "b", 1)
        http.wait(lambda: len(http.spans) > 1)
        p.send_signal(signal.SIGTERM)
        p.communicate(timeout=PATIENCE)
    assert p.returncode == 1
    assert [span.name for span in http.spans][:2] == ["job j", "agent b"]
    assert http.metrics == []


def test_following_with_metrics_alone_counts_what_comes(http, log):
    with start(
        *push(http, "--all-repos", "--follow", "--interval", "1s", "--only", "metrics")
    ) as p:
        http.wait(lambda: http.metrics)
        append(log, "AgentFailed", "agent-15", 15, error="killed")

        def failed():
            _, points = http.metrics[-1]["prodigy.attempts"]
            return max(point.as_int for point in points.values()) == 13

        http.wait(failed)
        p.send_signal(signal.SIGTERM)
        p.communicate(timeout=PATIENCE)
    assert p.returncode == 130
    assert http.spans == []


def test_the_standard_variables_hold_and_options_win(http, log, monkeypatch):
    for name, value in {
        "ENDPOINT": http.url + "/", "HEADERS": "x-a=one,x-b=two%20words", "COMPRESSION": "gzip",
        "PROTOCOL": "http/protobuf", "METRICS_ENDPOINT": http.url + "/v1/metrics",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    ok("otel", "push", "--all-repos", "--header", "X-A=three")
    assert {h["content-encoding"] for h in http.headers} == {"gzip"}
    assert {(h["x-a"], h["x-b"]) for h in http.headers} == {("three", "two words")}
    assert http.resources[0]["service.name"] == "mine"
    assert http.resources[0]["deployment.environment.name"] == "test"
    assert len(http.metrics) == 1
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", DEAD)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", DEAD)
    ok("otel", "push", "--all-repos", "--endpoint", http.url + "/v1/traces")
    assert len(http.metrics) == 2
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    assert "http/json" in refused("otel", "push", "--all-repos")


@pytest.mark.parametrize(
    ("protocol", "name", "value"),
    [
        ("grpc", "COMPRESSION", "bzip"),
        ("grpc", "TRACES_CERTIFICATE", "/nowhere.pem"),
        ("http/protobuf", "CERTIFICATE", "/nowhere.pem"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_one_line(log, monkeypatch, protocol, name, value):
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    assert value in refused(
        "otel", "push", "--all-repos", "--endpoint", DEAD, "--protocol", protocol
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_tls_with_a_certificate_of_ones_own(log, tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
         certificate, "-days", "1", "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setattr("prodigy_git.views.telemetry.pushing._PATIENCE", ())
    # requests would let this one win over what the exporter sets.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    with over_http(context) as receiver:
        assert "CERTIFICATE_VERIFY_FAILED" in refused(*push(receiver, "--all-repos"))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(certificate))
        ok(*push(receiver, "--all-repos"))
    assert len(receiver.spans) == ENDED + 1


def test_the_filters_choose_attempts_and_only_a_signal(http, log):
    ok(*push(http, "--all-repos", "--agent", "agent-10", "--only", "traces"))
    names = ["job review", *3 * ["agent agent-10"]]
    assert [span.name for span in http.spans] == names
    http.spans.clear()
    ok(*push(http, "--all-repos", "--agent", "nobody"))
    assert http.spans == []
    assert len(http.metrics) == 1
    ok(*push(http, "--all-repos", "--since", "30m", "--only", "traces"))
    assert {span.name for span in http.spans} == {
        "job review", "agent agent-13", "agent agent-14",
    }  # fmt: skip
    assert "--type" in refused(*push(http, "--type", "AgentFailed"), code=2)


def test_a_damaged_log_of_several_dialects(http, store):
    stamp = '"timestamp":"2025-01-11T12:00:0'
    write_log(
        store, "r", "j", "events-20250111.jsonl",
        "{" + stamp + '1Z","event":{"event_type":"agent_started","agent_id":"a"}}',
        "no event at all",
        "{" + stamp + '3Z","type":"agent_failed","agent_id":"a","error":"x\\ud800"}',
        '{"AgentCompleted":{"agent_id":"b"}}',
    )  # fmt: skip
    done = ok(*push(http, "--all-repos"))
    assert ":2: not an event" in done.err
    assert {span.name for span in http.spans} == {"job j", "agent a", "agent b"}
    assert http.named()["agent a"].status.message == "x\ufffd"
    assert http.named()["agent b"].end_time_unix_nano == 1736596803 * 10**9


def test_nothing_to_send_is_no_error(http, repo):
    assert ok(*push(http), cwd=repo).out.startswith("0 spans and 0 data points of 0 jobs")
    assert http.headers == []


@pytest.mark.parametrize("more", [["--json"], []])
def test_a_dry_run_prints_and_sends_nothing(log, more):
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from prodigy_git.cli import main; main(sys.argv[1:])"
    )
    # Without the extra, too.
    done = subprocess.run(
        [sys.executable, "-c", code, "otel", "push", "--all-repos", "--dry-run", *more],
        env=environment(PYTHONPATH=PACKAGE_PARENT), capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    if more:
        told = [json.loads(line) for line in lines]
        assert sum(one["signal"] == "traces" for one in told) == ENDED + 1
        assert len(told[0]["trace_id"]) == 32
        assert told[1]["parent_id"] == told[0]["span_id"]
    else:
        assert sum(line.startswith("span\t") for line in lines) == ENDED + 1
        assert any("prodigy.items" in line and line.endswith("dead 3") for line in lines)
    done = subprocess.run(
        [sys.executable, "-c", code, "otel", "push"],
        env=environment(PYTHONPATH=PACKAGE_PARENT), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "pip install '.[otel]'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--header", "no value"], 2),
        (["--header", "a=b\r\nX: y"], 2),
        (["--header", "a=ü"], 2),
        (["--interval", "0s"], 2),
        (["--follow", "--json"], 2),
        (["--endpoint", "127.0.0.1"], 1),
        (["--endpoint", "ftp://127.0.0.1"], 1),
        (["--endpoint", "http://127.0.0.1:99999"], 1),
        (["--endpoint", "http://127.0.0.1/\x1b[2J"], 1),
    ],
)
def test_what_cannot_be_meant_is_refused(more, code):
    assert "\x1b" not in refused("otel", "push", "--all-repos", *more, code=code)


def test_a_password_is_not_shown(http, log):
    url = http.url.replace("//", "//user:secret@")
    http.failures = [401]
    assert "secret" not in refused("otel", "push", "--all-repos", "--endpoint", url)
    done = ok("otel", "push", "--all-repos", "--endpoint", url, "--json")
    assert "secret" not in done.out
    assert http.headers[-1]["authorization"].startswith("Basic ")
