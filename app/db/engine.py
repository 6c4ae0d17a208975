"""Declarative base, engine, sessions, the database clock and advisory locks."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import DateTime, Engine, Enum, MetaData, create_engine, func, make_url, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

_PUBLIC_URL = "public_url"


class Base(DeclarativeBase):
    """Base of all tables. A naming convention names the constraints, so that migrations can refer to them."""

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
    """Make a column type that stores an enum as text. Python checks the values, so a new member needs no migration."""
    return Enum(
        kind, native_enum=False, length=32, values_callable=lambda members: [member.value for member in members]
    )


def make_engine(database_url: str, *, pool_size: int = 20) -> Engine:
    """Make an engine for a ``postgresql://`` URL with the psycopg 3 driver."""
    url = make_url(database_url).set(drivername="postgresql+psycopg")
    # 5 s to connect: if Postgres does not answer, a request must fail with 503 instead of hanging.
    # hide_parameters: they contain secrets and client data, which must not reach a log in an error message.
    return create_engine(
        url, pool_size=pool_size, pool_pre_ping=True, hide_parameters=True, connect_args={"connect_timeout": 5}
    )


def make_sessions(engine: Engine, *, public_url: str = "") -> sessionmaker[Session]:
    """Make a session factory. Objects stay readable after the commit, because services return them.

    Args:
        engine: Connects to the database.
        public_url: Begin of the links in webhook events that are stored with these sessions.
    """
    return sessionmaker(engine, expire_on_commit=False, info={_PUBLIC_URL: public_url})


def make_link(session: Session, path: str) -> str:
    """Return the link to a path of the API, for a webhook event."""
    public_url: str = session.info.get(_PUBLIC_URL, "")
    return public_url + path


def db_now(session: Session) -> datetime:
    """Return the time of the database. Leases use no other clock."""
    now: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return now


def advisory_lock(session: Session, name: str) -> None:
    """Lock a name until the end of the transaction. The lock of a clip's file is named by its SHA-256."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def find_schema_version(session: Session) -> str | None:
    """Return the newest applied migration, or None for an empty database.

    Raises:
        sqlalchemy.exc.OperationalError: The database does not answer.
    """
    if session.scalar(select(func.to_regclass("alembic_version"))) is None:
        return None
    version: str | None = session.scalar(text("SELECT version_num FROM alembic_version"))
    return version
