"""Engines, batching and the predictor: one road for the command line, the Python call and the service."""
