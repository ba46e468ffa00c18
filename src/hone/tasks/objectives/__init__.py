"""What is learned of texts that nobody labeled: objectives of pretraining, which stop at the loss."""
