"""Which checks the configuration knows. Pure.

Source: examples/relay.yaml; docs/relay.md, "Starting and stopping one client".
"""

from supervisor.relay.checks.state import CheckState, Key
from supervisor.relay.config.records import CheckSettings, Config


def check_of(config: Config, key: Key) -> CheckSettings | None:
    """Return the configured check of a (client, check) pair."""
    client = config.clients.get(key[0])
    return client.checks.get(key[1]) if client is not None else None


def ttl_secs_of(config: Config, key: Key) -> float | None:
    """Return after how many seconds without an update the check is stale, None for never."""
    check = check_of(config, key)
    return check.ttl_secs if check is not None else None


def is_known(config: Config, key: Key, state: CheckState) -> bool:
    """Return whether stored state still belongs to a check that may report."""
    clients = config.clients
    if check_of(config, key) is not None:
        return True
    if state.via is None:
        # A child without an entry of its own reports the checks of its relay.
        return key[0] not in clients and any(
            parent.kind == "relay" and key[1] in parent.checks for parent in clients.values()
        )
    if state.via == "":
        return config.relay.mode == "pure" and config.relay.pure.accept_unknown
    parent = clients.get(state.via)
    return parent is not None and parent.accept_unknown
