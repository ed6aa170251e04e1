"""GET /sd/prometheus: a target for each scenario that emits numbers."""

import pytest

from tests.support.http_app import MINIMAL_YAML, AppClient

LOGS = """\
version: 2
scenarios:
  - signal_type: logs
    name: app
    rate: 1
    log_generator: {type: template, templates: [{message: hello}]}
    encoder: {type: json_lines}
    sink: {type: memory}
"""


def test_each_scenario_is_a_target_at_the_address_that_was_asked(client: AppClient) -> None:
    """Its own path, and labels by which it is known; logs have no numbers."""
    (alone,) = client.launch()
    (named,) = client.launch("scenario_name: outage\n" + MINIMAL_YAML)
    client.launch(LOGS)
    answer = client.get("/sd/prometheus", headers={"Host": "10.0.0.7:8080"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == [
        {
            "targets": ["10.0.0.7:8080"],
            "labels": {
                "__metrics_path__": f"/scenarios/{scenario_id}/metrics",
                "__param_mode": "snapshot",
                "id": scenario_id,
                "name": "up",
                **more,
            },
        }
        for scenario_id, more in ((alone, {}), (named, {"scenario_name": "outage"}))
    ]


def test_scenarios_are_selected_as_in_a_scrape(client: AppClient) -> None:
    """By state and by label; how they are scraped is asked for."""
    (first,) = client.launch(MINIMAL_YAML.replace("name: up,", "name: up, labels: {job: shop},"))
    (second,) = client.launch()
    client.plane.finish(second)

    def ids(query: str) -> list[str]:
        return [group["labels"]["id"] for group in client.get(f"/sd/prometheus?{query}").json]

    assert ids("label=job:shop") == ids("include_state=running") == [first]
    assert ids("include_state=finished") == [second]
    (group, _) = client.get("/sd/prometheus?mode=drain").json
    assert group["labels"]["__param_mode"] == "drain"


@pytest.mark.parametrize("query", ["mode=recent", "mode=drain&mode=drain", "include_state=gone", "label=x"])
def test_what_cannot_be_used_is_refused_in_words(client: AppClient, query: str) -> None:
    """As other reads do."""
    answer = client.get(f"/sd/prometheus?{query}")
    assert (answer.status_code, answer.json["error"]) == (400, "bad_request")
    assert query.partition("=")[0] in answer.json["detail"]
