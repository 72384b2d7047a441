"""Starts Debian's Prometheus and Alertmanager for a test."""

import json
import re
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from tests.observability.files import OBSERVABILITY, PROMETHEUS, RULE_FILES

PROMETHEUS_PROGRAM, ALERTMANAGER_PROGRAM = "prometheus", "prometheus-alertmanager"
WAIT_SECONDS = 90


class Server:
    """A program that listens on a free port of the loopback until the block ends; `folder` holds its data and log."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        self.address = wait_for(self._listening)
        self.client = httpx.Client(base_url=f"http://{self.address}", trust_env=False, timeout=30)
        wait_for(lambda: self.client.get("/-/ready").status_code == 200)

    def _listening(self) -> str | None:
        found = re.search(r'msg="Listening on" address=(\S+)', self._log.read_text(errors="replace"))
        if found is None and self._process.poll() is not None:
            raise RuntimeError(self._log.read_text(errors="replace"))
        return found[1] if found else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self._process.terminate()
        self._process.wait(timeout=30)


class RunningAlertmanager(Server):
    """Alertmanager on the configuration of the repository."""

    def __init__(self, folder: Path) -> None:
        configuration = OBSERVABILITY / "alertmanager/alertmanager.yml"
        command = [ALERTMANAGER_PROGRAM, f"--config.file={configuration}", f"--storage.path={folder}"]
        super().__init__([*command, "--web.listen-address=127.0.0.1:0", "--cluster.listen-address="], folder)

    def tell(self, *alerts: dict[str, str]) -> None:
        """Alerts by their labels, as Prometheus would send them."""
        self.client.post("/api/v2/alerts", json=[{"labels": labels} for labels in alerts]).raise_for_status()

    def alerts(self) -> list[dict[str, Any]]:
        """What it knows of."""
        found: list[dict[str, Any]] = self.client.get("/api/v2/alerts").raise_for_status().json()
        return found


class RunningPrometheus(Server):
    """Prometheus on the configuration and rules of the repository, once a second, for one service named `service`."""

    def __init__(self, folder: Path, alertmanager: RunningAlertmanager) -> None:
        self.alertmanager = alertmanager
        self._targets = folder / "targets.json"
        configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
        configuration["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
        configuration["rule_files"] = [str(folder / path.name) for path in RULE_FILES]
        configuration["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager.address]}]}]
        job = next(it for it in configuration["scrape_configs"] if it["job_name"] == "ouija")
        del job["static_configs"]
        job["file_sd_configs"] = [{"files": [str(self._targets)], "refresh_interval": "1s"}]
        configuration["scrape_configs"] = [job]
        for path in RULE_FILES:  # nobody waits here for two minutes
            (folder / path.name).write_text(path.read_text(encoding="utf-8").replace("for: 2m", "for: 1s"))
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
        command = [PROMETHEUS_PROGRAM, f"--config.file={folder / 'prometheus.yml'}"]
        command += [f"--storage.tsdb.path={folder / 'data'}", "--web.listen-address=127.0.0.1:0"]
        super().__init__([*command, "--enable-feature=exemplar-storage"], folder)

    def scrape(self, url: str) -> None:
        """Where the service is from now on; its instance is the same one."""
        target = {"targets": [url.removeprefix("http://")], "labels": {"instance": "service"}}
        part = self._targets.with_suffix(".part")
        part.write_text(json.dumps([target]), encoding="utf-8")
        part.rename(self._targets)

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now."""
        answer = self.client.post("/api/v1/query", data={"query": expression}).json()
        assert answer["status"] == "success", (expression, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def value(self, expression: str) -> float:
        """The one value of an expression; -1 if there is none."""
        found = self.ask(expression)
        assert len(found) <= 1, (expression, found)
        return float(found[0]["value"][1]) if found else -1

    def by(self, label: str, expression: str) -> dict[str, float]:
        """The values of an expression by a label."""
        return {it["metric"].get(label, ""): float(it["value"][1]) for it in self.ask(expression)}

    def samples(self, selector: str) -> list[tuple[str, float]]:
        """Every sample of a series: when, as it was told, and its value."""
        (series,) = self.ask(f"{selector}[1h]")
        return [(f"{at:.3f}", float(value)) for at, value in series["values"]]

    def exemplars(self, selector: str) -> list[dict[str, Any]]:
        """Those of the last hour; at least one."""
        now = time.time()
        asked = {"query": selector, "start": now - 3600, "end": now}
        answer = self.client.get("/api/v1/query_exemplars", params=asked).raise_for_status().json()
        found = [it for series in answer["data"] for it in series["exemplars"]]
        assert found, selector
        return found


def wait_for(result: Any) -> Any:
    """What the function gives, once it gives something; the test fails after `WAIT_SECONDS` without."""
    give_up_at = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < give_up_at:
        if found := result():
            return found
        time.sleep(0.1)
    raise AssertionError(f"nothing for {WAIT_SECONDS} s")
