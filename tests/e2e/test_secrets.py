"""What nobody may read: the daemon's environment, and the secrets of other scenarios; in no answer and in no log."""

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.support.filling import body_of, steady
from tests.support.live_server import COMMAND, LiveServer
from tests.support.polling import wait_until
from tests.support.processes import title_of

SERVE = (COMMAND.replace("sonda-server", "sondad"), "serve")
ENVIRONMENT = {
    name: f"canary{index}"
    for index, name in enumerate(
        [
            "SONDA_VAR_TENANT",
            "VICTORIAMETRICS_URL",
            "PLAIN",
            "AWS_SECRET_ACCESS_KEY",
            "GITHUB_TOKEN",
            "PGPASSWORD",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "SESSION_COOKIE",
            "SENTRY_DSN",
            "DATABASE_URL",
            "PROXY_AUTH",
            "PATH_TO_NOTHING",
        ]
    )
}


def texts(server: LiveServer) -> Iterator[str]:
    """All that a client or an operator can read."""
    yield server.log()
    for path in (
        *("/scenarios", "/scenarios?stats=1", "/scenarios/metrics", "/sd/prometheus"),
        *("/metrics?own=1", "/daemon", "/ready"),
    ):
        yield server.get(path).text
    for one in server.get("/scenarios").json()["scenarios"]:
        for part in ("", "/stats", "/metrics"):
            yield server.get(f"/scenarios/{one['id']}{part}").text
    for process in server.descendants():
        yield title_of(process)


@pytest.mark.parametrize(
    ("command", "flags", "readable"),
    [
        (SERVE, (), {"SONDA_VAR_TENANT"}),
        (
            SERVE,
            ("--allow-env", "PLAIN", "--allow-env", "VICTORIA*"),
            {"SONDA_VAR_TENANT", "PLAIN", "VICTORIAMETRICS_URL"},
        ),
        ((COMMAND,), (), {"SONDA_VAR_TENANT", "PLAIN", "VICTORIAMETRICS_URL", "PATH_TO_NOTHING"}),
        ((COMMAND,), ("--allow-env", "PLAIN"), {"SONDA_VAR_TENANT", "PLAIN"}),
    ],
)
def test_posted_bodies_read_what_is_listed(
    start_server: StartServer, command: tuple[str, ...], flags: tuple[str, ...], readable: set[str]
) -> None:
    """Through labels, faults and defaults, in JSON that is launched and YAML that is not: nothing else comes back."""
    server = start_server(*flags, command=command, environment=ENVIRONMENT)
    answers = []
    for name, reference in product(ENVIRONMENT, ("${%s}", "${%s:-nothing}")):
        text = reference % name
        labelled = body_of(steady("up", labels={"from": text}, isolation="shared"))
        for body in (labelled, body_of(steady(f"no name {text}"))):
            answers.append(server.post(body).text)
            answers.append(server.post_yaml(json.dumps(body), "/scenarios?dry_run=true").text)
    for one in server.get("/scenarios").json()["scenarios"]:
        server.wait_for_events(one["id"])
    seen = "".join([*answers, *texts(server)])
    assert {name for name, value in ENVIRONMENT.items() if f'{value}"' in seen or f"{value}\\" in seen} == readable
    assert not [value for name, value in ENVIRONMENT.items() if name not in readable and f"{value}\n" in seen]
    for process in server.descendants():
        assert "canary" not in " ".join(process.environ().values())


SECRET = "hush"
SINKS: list[dict[str, Any]] = [
    {"type": "http_push", "url": "http://127.0.0.1:9/?token=hush1&a=hush2", "headers": {"apikey": "hush3"}},
    {
        "type": "http_push",
        "url": "http://me:hush4@127.0.0.1:9/",
        "headers": {"X-Auth-Key": "hush5", "Cookie": "a=hush6"},
    },
    {"type": "http_push", "url": "http://hush7@127.0.0.1:9/", "headers": {"Authorization": "Bearer hush8"}},
    {"type": "loki", "url": "http://me:hush9@127.0.0.1:9/?tenant=hush10"},
    {
        "type": "otlp_http",
        "url": "http://me:hush11@127.0.0.1:9",
        "signal_type": "metrics",
        "headers": {"x-key": "hush12"},
    },
    {"type": "remote_write", "url": "http://me:hush13@127.0.0.1:9/write?key=hush14"},
]
MALFORMED = [
    "http://me:hush/20@127.0.0.1:9/",
    "http://me:hush21@127.0.0.1:99999/?token=hush22",
    "http://me:hush23@/?token=hush24",
    "ftp://me:hush25@example.org/?token=hush26",
    "me:hush27@example.org?token=hush28",
]
ENCODERS = {"otlp_http": {"type": "otlp"}, "remote_write": {"type": "remote_write"}}


def test_secrets_of_a_scenario_are_shown_to_nobody(shared_server: LiveServer) -> None:
    """Neither in what is told about it, nor in why it fails, nor in why it was refused."""
    server = shared_server
    answers = []
    for sink in SINKS:
        encoder = {"encoder": ENCODERS[sink["type"]]} if sink["type"] in ENCODERS else {}
        entry = steady("up", sink=sink, **encoder)
        if sink["type"] == "loki":
            entry = {
                "signal_type": "logs",
                "name": "words",
                "rate": 20,
                "log_generator": {"type": "template", "templates": [{"message": "hello"}]},
                "sink": sink,
            }
        for path in ("/scenarios?dry_run=true", "/scenarios"):
            answer = server.post(body_of(entry), path)
            assert answer.status_code in (200, 201), answer.text
            answers.append(answer.text)
    for url in MALFORMED:
        answer = server.post(body_of(steady("up", sink={"type": "http_push", "url": url})))
        assert answer.status_code in (400, 422), url
        answers.append(answer.text)
    for one in server.get("/scenarios").json()["scenarios"]:
        wait_until(lambda one=one: server.stats(one["id"])["last_sink_error"], "the sink has failed")  # type: ignore[misc]
    wait_until(lambda: len(server.log_lines("sink errors in last 60s")) >= len(SINKS), "the log tells of each")
    shown = [*answers, *texts(server)]
    assert [text for text in shown if SECRET in text] == []
