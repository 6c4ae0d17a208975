"""Ids in paths: unknown and malformed ids are not found, in every operation."""

import pytest
from fastapi.testclient import TestClient

from app.api.path_ids import PublicId
from app.core.errors import NotFoundError
from app.core.ids import IdPrefix
from tests.support.api import problem, submit

RESOURCES = {
    "/v1/jobs": IdPrefix.JOB,
    "/v1/batches": IdPrefix.BATCH,
    "/v1/uploads": IdPrefix.UPLOAD,
    "/v1/policies": IdPrefix.POLICY,
    "/v1/webhook-endpoints": IdPrefix.WEBHOOK_ENDPOINT,
}


@pytest.mark.parametrize("job_id", ["job_" + "0" * 32, "job_xyz", "0" * 32, "nonsense", "job_" + "g" * 32])
def test_unknown_job_is_not_found(api: TestClient, job_id: str) -> None:
    for method, path in [("GET", ""), ("GET", "/result"), ("GET", "/frames"), ("POST", ":cancel"), ("DELETE", "")]:
        problem(api.request(method, f"/v1/jobs/{job_id}{path}"), 404, "not_found")


@pytest.mark.parametrize(("path", "prefix"), RESOURCES.items())
def test_malformed_id_is_not_found_with_an_example(api: TestClient, path: str, prefix: IdPrefix) -> None:
    body = problem(api.get(f"{path}/nonsense"), 404, "not_found")
    assert f"An id looks like {prefix}_" in body["detail"]


def test_id_with_other_prefix_is_not_found(api: TestClient) -> None:
    job = submit(api)
    digits = job["id"].removeprefix("job_")
    problem(api.get(f"/v1/jobs/batch_{digits}"), 404, "not_found")
    problem(api.get(f"/v1/batches/{job['id']}"), 404, "not_found")
    problem(api.post(f"/v1/webhook-events/{job['id']}:replay"), 404, "not_found")
    assert api.get(f"/v1/jobs/job_{digits}").status_code == 200


@pytest.mark.parametrize("prefix", IdPrefix)
def test_only_an_id_of_the_prefix_is_parsed(prefix: IdPrefix) -> None:
    assert PublicId(prefix).parse(f"{prefix}_{7:032x}").int == 7
    for other in set(IdPrefix) - {prefix}:
        with pytest.raises(NotFoundError):
            PublicId(prefix).parse(f"{other}_{7:032x}")
