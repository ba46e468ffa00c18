"""Search in texts: by embeddings, by words, by both. An index is a directory made once, as a bundle is."""
