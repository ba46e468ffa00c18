"""Backbones, heads, and what they cost."""
