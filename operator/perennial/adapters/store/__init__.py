"""The sample store in SQL: PostgreSQL in a cluster, SQLite in replay and unit tests."""
