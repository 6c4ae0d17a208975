"""Write a migration from the tables: ``make migration NAME=what_changes``."""

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from alembic import command

from app.db.migrations import make_config, migrate
from app.local.embedded_servers import embedded_postgres

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, embedded_postgres(Path(folder) / "postgres") as url:
        migrate(url)
        revision = datetime.now(UTC).strftime("%Y%m%d%H%M")
        command.revision(make_config(url), sys.argv[1], autogenerate=True, rev_id=revision)
