"""Perennial keeps prediction models fresh."""

__version__ = "0.1.0"
