"""Rows: read, checked, split and cached; memory-mapped Arrow from the first day."""
