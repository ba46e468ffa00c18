"""Text as people write it: words with character offsets, word shapes, BIO tags."""
