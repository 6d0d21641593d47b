"""Instances written: derived ones, originals, changed ones, file-sets."""
