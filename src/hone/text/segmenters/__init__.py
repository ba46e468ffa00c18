"""Chinese words: how text that is written without spaces is cut into them."""
