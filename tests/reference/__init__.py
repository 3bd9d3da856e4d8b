"""Oracles: every op again in plain NumPy float64, written from the published rules.

They share no code with ``csrc`` and are slow on purpose: each is meant to be read next to the paper
or the table of ``docs/conventions.md`` that it follows. Where the library computes in float32, an
oracle also says how far a float32 evaluation may lie from its own float64 one, so that no tolerance
in the tests is found by trial.
"""
