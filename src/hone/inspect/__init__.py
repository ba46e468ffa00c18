"""What is in the data, and what training on it would cost. Changes nothing."""
