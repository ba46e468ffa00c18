"""What is learned: each task encodes examples, collates rows, states its loss, decodes, joins and scores."""
