"""Modality performed procedure steps (PS3.4 annex F)."""
