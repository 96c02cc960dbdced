"""The operator's own controllers over recorded history: simulated cluster and clock, real trainings (ADR 8)."""
