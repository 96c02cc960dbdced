"""What operator, trainer and server agree on: files, tables and names. Pydantic and nothing else."""
