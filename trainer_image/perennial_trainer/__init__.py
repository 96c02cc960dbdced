"""The training Job: rows in; an artifact, a report and a verdict's figures out."""
