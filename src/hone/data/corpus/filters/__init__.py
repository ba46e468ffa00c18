"""What a document must be like to be kept: a table of measures of a text, each with its bounds."""
