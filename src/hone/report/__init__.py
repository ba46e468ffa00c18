"""What stages found: JSON, one self-contained HTML page, and text for a terminal; words in English and Chinese."""
