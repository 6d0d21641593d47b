"""Planes to labelled stacks."""
