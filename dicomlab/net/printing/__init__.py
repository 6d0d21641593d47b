"""Print: films, their boxes, and the printer (PS3.4 annex H)."""
