"""Engines and sessions. Nothing connects before the first query."""

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.orm import Session, sessionmaker


def make_engine(database_url: str, *, pool_size: int = 20) -> Engine:
    """An engine for ``postgresql://`` URLs, with the psycopg 3 driver."""
    url = make_url(database_url).set(drivername="postgresql+psycopg")
    # 5 s to connect: a request must rather fail with 503 than hang while Postgres is away.
    # Parameters are secrets and what clients say of their clips: no error may carry them into a log.
    return create_engine(
        url, pool_size=pool_size, pool_pre_ping=True, hide_parameters=True, connect_args={"connect_timeout": 5}
    )


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    """A factory of sessions. Objects stay readable after the commit: services return them."""
    return sessionmaker(engine, expire_on_commit=False)
