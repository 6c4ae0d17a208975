"""Database engine: its errors contain no parameters of clients."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError


def test_database_error_hides_parameters(engine: Engine) -> None:
    with pytest.raises(SQLAlchemyError) as error, engine.connect() as connection:
        connection.execute(text("SELECT CAST(:secret AS integer)"), {"secret": "whsec_canary"})
    assert "[SQL parameters hidden" in str(error.value)
