"""A level that rises and falls, and the real Prometheus and Alertmanager that rules about it are judged with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.support.backends import backend
from tests.support.backends.prometheus import Prometheus
from tests.support.backends.running import RunningProgram
from tests.support.last_sample import LastSample
from tests.support.polling import wait_until
from tests.support.ports import free_port

SCENARIO = """\
version: 2
kind: runnable
defaults: {{rate: 4, duration: {duration}, sink: {{type: file, path: {path}}}, labels: {{team: ours}}}}
scenarios:
  - signal_type: metrics
    name: level
    generator: {{type: sequence, values: [{values}], repeat: false}}
expect:
  alerts:
{alerts}
"""
RULES = {
    "LevelHigh": "level > 5",
    "LevelLow": "level < 5",
    "NeverEver": "level > 100",
    "AlwaysThere": "level < 100",
    "HighOfLate": "max_over_time(level[15s]) > 5",
}


@contextmanager
def level_in(directory: Path) -> Iterator[LastSample]:
    """Serve what the scenario writes, to be scraped."""
    served = LastSample(directory / "level.prom")
    try:
        yield served
    finally:
        served.close()


@contextmanager
def alertmanager_in(directory: Path) -> Iterator[str]:
    """Run a real Alertmanager; gives its address."""
    config = directory / "alertmanager.yml"
    config.write_text(yaml.safe_dump({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}))
    port = free_port()
    command = [
        backend("prometheus-alertmanager"),
        f"--config.file={config}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    url = f"http://127.0.0.1:{port}"
    running = RunningProgram(command, directory, lambda session: session.get(f"{url}/-/ready", timeout=10).ok)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        running.stop()


def prometheus(directory: Path, level: LastSample, alertmanager: str | None = None) -> Prometheus:
    """Start a real Prometheus with the rules, which scrapes the level."""
    rules = directory / "rules.yml"
    alerts = [{"alert": name, "expr": expression, "labels": {"severity": "page"}} for name, expression in RULES.items()]
    rules.write_text(yaml.safe_dump({"groups": [{"name": "levels", "rules": alerts}]}))
    scrape = {
        "job_name": "level",
        "honor_labels": True,
        "static_configs": [{"targets": [level.address]}],
    }
    more = {"rule_files": [str(rules)]}
    if alertmanager is not None:
        more["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    server = Prometheus(directory, scrape, **more)
    try:
        # It looks for its targets some seconds after it is ready, and would miss the first values.
        wait_until(lambda: server.query('up{job="level"}'), "Prometheus scrapes its target", 30)
    except AssertionError:
        server.stop()
        raise
    return server


def scenario(directory: Path, alerts: str, high: int = 26, duration: str = "8s") -> str:
    """A level that is 9 for so many ticks, four a second, and 1 from then on."""
    values = ", ".join(["9"] * high + ["1"] * 6)
    path = directory / "scenario.yaml"
    path.write_text(
        SCENARIO.format(path=directory / "level.prom", values=values, alerts=alerts, duration=duration),
    )
    return str(path)
