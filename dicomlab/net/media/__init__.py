"""Media creation (PS3.4 annex S)."""
