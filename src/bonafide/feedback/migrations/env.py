"""Alembic's way in: it migrates what it is handed, under a lock of PostgreSQL's where it is that."""

from alembic import context
from sqlalchemy import text

from bonafide.feedback.tables import Base

LOCK = 7_110_030  # any number that nobody else locks

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata)
with context.begin_transaction():
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    context.run_migrations()
