"""How fast a bundle answers on this machine, beside what else could run it."""
