"""Attributes of modality performed procedure steps."""
