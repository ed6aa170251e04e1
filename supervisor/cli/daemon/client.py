"""A daemon as commands see it. Source: docs/http.md."""

import os
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec

from common.urls import shown_url
from supervisor.cli.failures import CommandError
from supervisor.cli.fetch import REDACTED, Fetched, FetchError, fetch

DEFAULT_URL: Final = "http://127.0.0.1:8080"
KEY_VARIABLE: Final = "SONDA_API_KEY"
TIMEOUT_SECS: Final = 35.0
"""More than a daemon lets a call take."""

Json = dict[str, Any]


class RefusedError(CommandError):
    """The daemon answered, and not with what was asked for.

    Attributes:
        status: of the answer.
        answer: its body; empty when that was no JSON object.
    """

    def __init__(self, message: str, status: int, answer: Json) -> None:
        super().__init__(message)
        self.status = status
        self.answer = answer


def daemon_at(url: str | None) -> "Daemon":
    """Return the daemon at `url`, or at the default address."""
    return Daemon(url or DEFAULT_URL)


@dataclass(frozen=True, slots=True)
class Daemon:
    """The daemon at `url`."""

    url: str

    def scenarios(self) -> list[Json]:
        """Return all scenarios in launch order."""
        listed: list[Json] = self.call("GET", "/scenarios")["scenarios"]
        return listed

    def matching(self, name_or_id: str) -> list[Json]:
        """Return the scenarios of that id, or of that name.

        Raises:
            CommandError: there are none.
        """
        listed = self.scenarios()
        found = [one for one in listed if name_or_id in (one["id"], one["name"])]
        if not found:
            names = ", ".join(sorted({one["name"] for one in listed})) or "<none>"
            raise CommandError(f"no scenario '{name_or_id}' on {shown_url(self.url, REDACTED)}; there are: {names}")
        return found

    def detail(self, scenario_id: str) -> Json:
        """Return the detail of a scenario."""
        return self.call("GET", f"/scenarios/{quote(scenario_id, safe='')}")

    def stats(self, scenario_id: str) -> Json:
        """Return the live telemetry of a scenario."""
        return self.call("GET", f"/scenarios/{quote(scenario_id, safe='')}/stats")

    def delete(self, scenario_id: str) -> Json:
        """Stop a scenario and remove it."""
        return self.call("DELETE", f"/scenarios/{quote(scenario_id, safe='')}")

    def post(self, body: bytes, content_type: str, query: str = "") -> Json:
        """Post a scenario body."""
        return self.call("POST", f"/scenarios{query}", body, content_type)

    def call(self, method: str, path: str, body: bytes | None = None, content_type: str | None = None) -> Json:
        """Return the JSON answer to a request.

        Raises:
            CommandError: there is no daemon, or its answer is not JSON.
            RefusedError: it answered with an error.
        """
        fetched = self.request(method, path, body, content_type)
        answer = _object(fetched.body)
        if fetched.status >= 400:
            raise RefusedError(_refusal_text(self.url, fetched, answer or {}), fetched.status, answer or {})
        if answer is None:
            raise CommandError(f"{shown_url(self.url, REDACTED)}{path} is no daemon of ours: its answer is not JSON")
        return answer

    def request(self, method: str, path: str, body: bytes | None = None, content_type: str | None = None) -> Fetched:
        """Return the answer to a request, whatever it is.

        Raises:
            CommandError: there is no daemon.
        """
        headers = [] if content_type is None else [("Content-Type", content_type)]
        key = os.environ.get(KEY_VARIABLE)
        if key:
            headers.append(("Authorization", f"Bearer {key}"))
        try:
            return fetch(f"{self.url.rstrip('/')}{path}", TIMEOUT_SECS, method, headers, body)
        except FetchError as exc:
            raise CommandError(
                f"no daemon at {shown_url(self.url, REDACTED)}: {exc}; start one with `sondad serve`, or name another "
                "with --url"
            ) from exc


def _object(body: bytes) -> Json | None:
    try:
        return msgspec.json.decode(body, type=Json)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _refusal_text(url: str, fetched: Fetched, answer: Json) -> str:
    if fetched.status == 401:
        return f"{shown_url(url, REDACTED)} wants an API key: set {KEY_VARIABLE}"
    if "conflicting_scenarios" in answer:
        names = ", ".join(f"{one['name']} ({one['id']})" for one in answer["conflicting_scenarios"])
        return f"{answer['error']}: {names}; --replace stops them first"
    return str(answer.get("detail") or answer.get("error") or f"the daemon answered {fetched.status} {fetched.reason}")
