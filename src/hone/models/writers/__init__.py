"""Models that write, one token at a time: ``writer.py`` says what a writer is, ``make.py`` finds the one of a model."""
