"""Typed tables of data sets, and back."""
