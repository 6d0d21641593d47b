"""Frames to stored and modality values, and between transfer syntaxes."""
