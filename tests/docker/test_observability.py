"""Dashboard and alerts: they ask for metrics that there are."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from server.metrics import Metrics

DOCKER = Path(__file__).parents[2] / "docker"
DASHBOARD = json.loads((DOCKER / "grafana" / "dashboards" / "auricle.json").read_text())
ALERTS = DOCKER / "prometheus" / "alerts.yml"
METRIC = re.compile(r"\b(?:auricle|process)_\w+\b(?!\s*=)")


def exported() -> set[str]:
    text = Metrics(SimpleNamespace(models=())).exposition().decode()
    names: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)", text, re.MULTILINE):
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


def queries() -> list[str]:
    sys.path.insert(0, str(DOCKER / "checks"))
    try:
        from queries import dashboard_queries
    finally:
        sys.path.pop(0)
    return [expression for _, expression in dashboard_queries("5m")]


def test_every_query_names_metrics_of_the_service():
    for query in queries():
        asked = set(METRIC.findall(query))
        assert asked, query
        assert asked <= exported(), query


def test_every_metric_of_the_service_is_on_the_dashboard():
    shown = {re.sub(r"_bucket$", "", name) for query in queries() for name in METRIC.findall(query)}
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported() if name.startswith("auricle_")}
    assert {name for name in ours if not name.endswith("_created")} - shown == set()


def test_every_alert_names_metrics_of_the_service():
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    for rule in group["rules"]:
        assert set(METRIC.findall(rule["expr"])) <= exported(), rule["alert"]


def test_panels_have_titles_and_places_of_their_own():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert all(0 <= x < 24 for x, _ in cells)
    assert all(panel["title"] for panel in panels)


@pytest.fixture
def promtool():
    path = shutil.which("promtool")
    if path is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    return path


def test_prometheus_takes_its_configuration_and_the_alerts_fire_when_they_should(promtool):
    for command in (
        ("check", "config", "prometheus.yml"),
        ("check", "config", "cluster.yml"),
        ("test", "rules", "alerts_test.yml"),
    ):
        done = subprocess.run([promtool, *command], cwd=ALERTS.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_query_of_the_dashboard_is_promql(promtool, tmp_path):
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries())]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
