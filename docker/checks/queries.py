"""The dashboard's queries. Out: each panel's title with its PromQL, Grafana's variables filled in."""

import json
from pathlib import Path

DASHBOARD = Path(__file__).parents[1] / "grafana" / "dashboards" / "auricle.json"


def dashboard_queries(rate_interval: str) -> list[tuple[str, str]]:
    """Title and expression, in the panels' order."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [
        (panel["title"], target["expr"].replace("$__rate_interval", rate_interval).replace("$instance", ".*"))
        for panel in panels
        for target in panel.get("targets", ())
    ]
