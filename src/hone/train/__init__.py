"""The one loop, and the stages that run it."""
