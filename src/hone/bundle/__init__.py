"""The bundle: one immutable, digested directory that goes through every stage. Imports no torch."""
