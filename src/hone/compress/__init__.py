"""From a bundle to a smaller or faster one, with what that cost beside it."""
