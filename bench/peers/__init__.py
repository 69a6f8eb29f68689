"""Adapters: the same small job for each library, run as programs (see ``harness.py``)."""
