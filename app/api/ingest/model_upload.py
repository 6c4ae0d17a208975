"""Receive the archive of a model: streamed to disk, limited, its table checked before a worker gets it."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from uuid_utils.compat import uuid7

from app.api.ingest.body import read_body
from app.api.ingest.limits import make_limits
from app.api.resources import Resources
from app.core.errors import ModelTooLargeError, UnsupportedMediaError
from app.db.tables.models import ModelImport
from app.infra.durable_files import to_storage_error
from app.infra.model_archive import check_archive
from app.infra.model_imports import import_path

MEDIA_TYPE = "application/zip"
QueueImport = Callable[[UUID], Awaitable[ModelImport]]


async def receive_model(request: Request, resources: Resources, queue: QueueImport) -> ModelImport:
    """Store the archive in the body of a request and queue its import. An archive that is refused is deleted.

    Args:
        request: Body not read yet.
        resources: Resources of the process.
        queue: Queues the import of the archive that is stored under an id.

    Raises:
        UnsupportedMediaError: The body is no zip.
        ModelTooLargeError: The archive, or what it unpacks to, exceeds the limit.
        InvalidArchiveError: The archive is not that of a model.
        RequestTimeoutError: The client stopped sending.
        StorageFullError: The disk is full.
    """
    media_type, _ = parse_options_header(request.headers.get("content-type", ""))
    if media_type.decode("latin-1") != MEDIA_TYPE:
        raise UnsupportedMediaError(f"Send the zipped directory of a released model as {MEDIA_TYPE}.")
    settings, import_id = resources.settings, uuid7()
    path = import_path(settings.installed_models, import_id)
    try:
        await _receive(request, resources, path)
        await run_in_threadpool(check_archive, path, max_bytes=settings.model_max_bytes)
        return await queue(import_id)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def _receive(request: Request, resources: Resources, path: Path) -> None:
    max_bytes = resources.settings.model_max_bytes
    path.parent.mkdir(parents=True, exist_ok=True)
    received = 0
    with path.open("xb") as file:
        async for chunk in read_body(request, make_limits(resources.settings)):
            received += len(chunk)
            if received > max_bytes:
                raise ModelTooLargeError.of_limit(max_bytes)
            try:
                await run_in_threadpool(file.write, chunk)
            except OSError as error:
                raise to_storage_error(error) from error
