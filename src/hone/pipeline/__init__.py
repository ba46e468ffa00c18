"""The recipe and its run. A newcomer reads ``run.py`` first."""
