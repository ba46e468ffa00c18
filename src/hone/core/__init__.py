"""Errors, settings, plugin tables, measures and lineage: what every floor above stands on. Imports no torch."""
