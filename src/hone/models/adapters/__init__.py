"""Ways of tuning a model: all of it, parts of it, or an adapter beside it; the table is in ``table.py``."""
