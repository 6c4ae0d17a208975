"""Declarative base, engine, sessions, the database clock and advisory locks."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import DateTime, Engine, Enum, MetaData, create_engine, func, make_url, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker


class Base(DeclarativeBase):
    """Base of all tables. Constraints get names, so that a migration can address them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
    }


def enum_column(kind: type[StrEnum]) -> Enum:
    """Stored as text with its value; a check in Python, so that a new word needs no migration."""
    return Enum(
        kind, native_enum=False, length=32, values_callable=lambda members: [member.value for member in members]
    )


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


def db_now(session: Session) -> datetime:
    """The database's clock, the only one that leases are measured by."""
    now: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return now


def advisory_lock(session: Session, name: str) -> None:
    """Until the transaction ends, nobody else has the lock of this name; the SHA-256 of a clip guards its file."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def find_schema_version(session: Session) -> str | None:
    """The newest migration that has run. Raises where the database does not answer."""
    if session.scalar(select(func.to_regclass("alembic_version"))) is None:
        return None
    version: str | None = session.scalar(text("SELECT version_num FROM alembic_version"))
    return version
