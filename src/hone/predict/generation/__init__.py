"""Texts found by a writer: ``generate.py`` is read first."""
