"""What is written about the figures is so: documentation, alert rules and dashboard name those that are served."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from tests.live.support import Stand
from worker.commands import _live, group
from worker.live.figures import Figures
from worker.runtime.address import Address, read_address
from worker.runtime.errors import SettingsError
from worker.runtime.settings import load

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")
ALERTS: Any = YAML(typ="safe").load(ROOT / "deploy" / "prometheus" / "alerts.yaml")
DASHBOARD: Any = json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text(encoding="utf-8"))
COMPOSE: Any = YAML(typ="safe").load(ROOT / "deploy" / "compose.yaml")
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [each["expr"] for panel in PANELS for each in panel["targets"]]
LABELS_OF_PROMETHEUS = {"job", "instance", "le"}


def served() -> dict[str, set[str]]:
    """Every figure by the name that it is asked for under, with its labels, of a worker that has done everything."""
    stand = Stand().ready()
    metrics = stand.metrics
    metrics.restore_left, metrics.keys, metrics.read_until_ms = {0: 1}, {0: 1}, {0: 1}
    metrics.moves[("lead", "mql")] = metrics.outputs["t"] = metrics.corrections["mql"] = metrics.breaches["mql"] = 1
    metrics.dead_letters["too-late"] = metrics.refused[0] = 1
    figures = Figures(
        metrics, stand.health, stand.clock, stand.engine.plan.stages, {"lifecycle": "10ex"}, ROOT / "nowhere"
    )
    found: dict[str, set[str]] = {"lifecycle_state_bytes": set()}  # served where there is a store on a disk
    for family in figures.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_figure_is_documented_with_its_labels_and_nothing_else_is() -> None:
    rows = re.findall(r"^\| `([a-z_]+)(?:\{([a-z,]+)\})?` \| (.+) \|$", DOCUMENT, re.MULTILINE)
    told = {f"lifecycle_{name}": set(labels.split(",")) if labels else set() for name, labels, _ in rows}
    there = served()
    told["lifecycle_info"] = there["lifecycle_info"]  # its labels are told in words
    for part in ("_bucket", "_count", "_sum"):
        told[f"lifecycle_transaction_seconds{part}"] = {"le"} if part == "_bucket" else set()
    del told["lifecycle_transaction_seconds"]
    assert told == there


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_alerts_and_dashboard_ask_for_what_is_served(expression: str) -> None:
    there = served()
    names = re.findall(r"\b(?:lifecycle|process)_[a-z_]+", expression)
    assert names
    for name in names:
        assert name in there or name == "process_resident_memory_bytes", name
    known = set[str]().union(*(there.get(name, set()) for name in names)) | LABELS_OF_PROMETHEUS
    for labels in re.findall(r"by \(([^)]*)\)", expression):
        assert {label.strip() for label in labels.split(",")} <= known
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_shows_labels_that_it_has(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    said = " ".join(rule["annotations"].values())
    kept = re.findall(r"by \(([^)]*)\)", rule["expr"])
    labels = {label.strip() for each in kept for label in each.split(",")} if kept else {"instance", "job"}
    assert set(re.findall(r"\$labels\.([a-z_]+)", said)) <= labels
    assert {"summary", "description"} == rule["annotations"].keys()


def test_panels_of_the_dashboard_are_whole_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert all(panel["description"] and panel["targets"] for panel in PANELS)


def test_the_compose_file_asks_the_worker_where_it_listens() -> None:
    worker = COMPOSE["services"]["worker"]
    address = read_address(worker["environment"]["LIFECYCLE_HTTP"])
    (published,) = worker["ports"]
    assert published == f"127.0.0.1:{address.port}:{address.port}"
    asked = re.findall(r"http://127\.0\.0\.1:(\d+)(/[a-z]+)", " ".join(worker["healthcheck"]["test"]))
    assert asked == [(str(address.port), "/readyz")]


@pytest.mark.parametrize(
    ("given", "meant", "loopback"),
    [
        ("9464", Address("127.0.0.1", 9464), True),
        (":9464", Address("127.0.0.1", 9464), True),
        ("localhost:9464", Address("localhost", 9464), True),
        ("[::1]:9464", Address("::1", 9464), True),
        ("127.0.0.2:1", Address("127.0.0.2", 1), True),
        ("0.0.0.0:9464", Address("0.0.0.0", 9464), False),
        ("[::]:0", Address("::", 0), False),
        ("worker.internal:65535", Address("worker.internal", 65_535), False),
    ],
)
def test_an_address_is_this_machine_s_only_unless_told_otherwise(given: str, meant: Address, loopback: bool) -> None:
    found = read_address(given)
    assert (found, found.loopback) == (meant, loopback)
    assert read_address(str(found)) == found


@pytest.mark.parametrize(
    "given", ["", "localhost", "host:", "host:x", "host:65536", "::1:80", "[::1]", "http://a:1", "²"]
)
def test_what_is_no_address_is_refused_by_the_setting_s_name(given: str) -> None:
    with pytest.raises(SettingsError, match="setting http: expected HOST:PORT"):
        load({"lifecycle": "10ex", "broker": "embedded:log.db", "http": given})


def test_the_address_comes_from_the_environment_and_the_file_as_others_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "worker.toml"
    file.write_text('lifecycle = "10ex"\nbroker = "embedded:log.db"\nhttp = "9000"\n')
    assert load({}, file).http == "127.0.0.1:9000"
    monkeypatch.setenv("LIFECYCLE_HTTP", "9001")
    assert load({}, file).http == "127.0.0.1:9001"
    assert load({"http": "9002"}, file).http == "127.0.0.1:9002"


def test_without_the_extra_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_live, "find_spec", lambda name: None)
    arguments = ["run", "-l", "10ex", "--broker", f"embedded:{tmp_path / 'log.db'}", "--http", "0"]
    result = CliRunner().invoke(group, [*arguments, "--log-level", "error"])
    assert result.exit_code == 1
    assert result.stderr == "Error: --http needs three more libraries: pip install 'lifecycle-worker[http]'\n"
    assert not (tmp_path / "log.db").exists()
