"""A daemon as commands see it. Source: docs/http.md."""

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from common.urls import shown_url
from supervisor.cli.failures import CommandError
from supervisor.cli.fetch import REDACTED, Fetched, FetchError, fetch
from supervisor.host.daemon_address import API_KEY_VARIABLE, DEFAULT_URL, TIMEOUT_SECS

JsonObject = dict[str, Any]


class DaemonRefusedError(CommandError):
    """The daemon answered, and not with what was asked for.

    Attributes:
        status: of the answer.
        answer: its body; empty when that was no JSON object.
    """

    def __init__(self, message: str, status: int, answer: JsonObject) -> None:
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

    def scenarios(self) -> list[JsonObject]:
        """Return all scenarios in launch order."""
        listed: list[JsonObject] = self.call("GET", "/scenarios")["scenarios"]
        return listed

    def matching(self, name_or_id: str | None) -> list[JsonObject]:
        """Return the scenarios of that id, or of that name; all for None.

        Raises:
            CommandError: there are none.
        """
        return self._matching(self.scenarios(), name_or_id)

    def figures(self, name_or_id: str | None = None) -> list[JsonObject]:
        """Return id, name and live telemetry of the scenarios of that id or name, or of all, by one request.

        Raises:
            CommandError: there are none of that id or name, or the daemon is of a version without figures in its list.
        """
        listed = self._matching(self.call("GET", "/scenarios?stats=1")["scenarios"], name_or_id)
        if any("stats" not in one for one in listed):
            raise CommandError(f"{shown_url(self.url, REDACTED)} is older than this command: it lists no figures")
        return [{"id": one["id"], "name": one["name"], **one["stats"]} for one in listed]

    def _matching(self, listed: list[JsonObject], name_or_id: str | None) -> list[JsonObject]:
        if name_or_id is None:
            return listed
        found = [one for one in listed if name_or_id in (one["id"], one["name"])]
        if not found:
            names = ", ".join(sorted({one["name"] for one in listed})) or "<none>"
            raise CommandError(f"no scenario '{name_or_id}' on {shown_url(self.url, REDACTED)}; there are: {names}")
        return found

    def detail(self, scenario_id: str) -> JsonObject:
        """Return the detail of a scenario."""
        return self.call("GET", f"/scenarios/{quote(scenario_id, safe='')}")

    def patch(self, scenario_id: str, body: bytes, content_type: str) -> JsonObject:
        """Change a scenario."""
        return self.call("PATCH", f"/scenarios/{quote(scenario_id, safe='')}", body, content_type)

    def delete(self, scenario_id: str) -> JsonObject:
        """Stop a scenario and remove it."""
        return self.call("DELETE", f"/scenarios/{quote(scenario_id, safe='')}")

    def post(self, body: bytes, content_type: str, query: str = "") -> JsonObject:
        """Post a scenario body."""
        return self.call("POST", f"/scenarios{query}", body, content_type)

    def call(self, method: str, path: str, body: bytes | None = None, content_type: str | None = None) -> JsonObject:
        """Return the JSON answer to a request.

        Raises:
            CommandError: there is no daemon, or its answer is not JSON.
            RefusedError: it answered with an error.
        """
        fetched = self.request(method, path, body, content_type)
        answer = _object(fetched.body)
        if fetched.status >= 400:
            raise DaemonRefusedError(_refusal_text(self.url, fetched, answer or {}), fetched.status, answer or {})
        if answer is None:
            raise CommandError(f"{shown_url(self.url, REDACTED)}{path} is no daemon of ours: its answer is not JSON")
        return answer

    def request(self, method: str, path: str, body: bytes | None = None, content_type: str | None = None) -> Fetched:
        """Return the answer to a request, whatever it is.

        Raises:
            CommandError: there is no daemon.
        """
        headers = [] if content_type is None else [("Content-Type", content_type)]
        key = os.environ.get(API_KEY_VARIABLE)
        if key:
            headers.append(("Authorization", f"Bearer {key}"))
        try:
            return fetch(f"{self.url.rstrip('/')}{path}", TIMEOUT_SECS, method, headers, body)
        except FetchError as exc:
            raise CommandError(
                f"no daemon at {shown_url(self.url, REDACTED)}: {exc}; start one with `sondad serve`, or name another "
                "with --url"
            ) from exc


def _object(body: bytes) -> JsonObject | None:
    try:
        return msgspec.json.decode(body, type=JsonObject)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _refusal_text(url: str, fetched: Fetched, answer: JsonObject) -> str:
    if fetched.status == 401:
        if os.environ.get(API_KEY_VARIABLE):
            return f"{shown_url(url, REDACTED)} does not accept the API key of {API_KEY_VARIABLE}"
        return f"{shown_url(url, REDACTED)} wants an API key: set {API_KEY_VARIABLE}"
    if "conflicting_scenarios" in answer:
        names = ", ".join(f"{one['name']} ({one['id']})" for one in answer["conflicting_scenarios"])
        return f"{answer['error']}: {names}; --replace stops them first"
    return str(answer.get("detail") or answer.get("error") or f"the daemon answered {fetched.status} {fetched.reason}")
