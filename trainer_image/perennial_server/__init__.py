"""Serves one model version: the Open Inference Protocol V2, records, outcomes and shadow pairs."""
