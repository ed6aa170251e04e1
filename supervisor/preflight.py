"""Warnings about a plan that is legal and probably not meant.

Source: HTTP contract, section 8; sinks contract, section 13.
"""

from common.plan import Plan
from common.specs import HttpPush, Kafka, Loki, OtlpGrpc, RemoteWriteSink, SinkSpec, Tcp, Udp, kind_of
from common.urls import mask_userinfo

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_ADVICE = (
    "this host resolves to the sonda-server container's own loopback, not your host. Use a Docker Compose service name "
    "(e.g. `victoriametrics:8428`) or a Kubernetes Service DNS name instead. See docs/deployment/endpoints.md."
)


def warnings(plan: Plan) -> list[str]:
    """Return one text for every destination that is the daemon's own loopback, in entry order."""
    return [
        f"scenario entry '{entry.plan.name}' sink `{kind_of(entry.plan.sink)}` targets `{mask_userinfo(target)}` — "
        f"{_ADVICE}"
        for entry in plan.entries
        for target in _targets(entry.plan.sink)
        if host_of(target).lower() in _LOOPBACK
    ]


def host_of(target: str) -> str:
    """Return the host that a URL or `host:port` names; empty when it names none."""
    text = target.strip()
    if "://" in text:
        text = text.partition("://")[2]
    for delimiter in "/?#":
        text = text.partition(delimiter)[0]
    text = text.rpartition("@")[2]
    if text.startswith("["):
        host, bracket, _ = text[1:].partition("]")
        return host if bracket else ""
    return text.rpartition(":")[0] if ":" in text else text


def _targets(sink: SinkSpec) -> list[str]:
    match sink:
        case HttpPush(url=target) | Loki(url=target) | RemoteWriteSink(url=target):
            return [target]
        case OtlpGrpc(endpoint=target) | Tcp(address=target) | Udp(address=target):
            return [target]
        case Kafka(brokers=brokers):
            return [broker.strip() for broker in brokers.split(",") if broker.strip()]
        case _:
            return []
