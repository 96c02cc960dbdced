"""Decisions: pure, typed, no I/O, no clock."""
