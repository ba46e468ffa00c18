"""Corpora: documents of many files, larger than memory, filtered, without duplicates, streamed in a seeded order."""
