"""Retrieve: what is asked for, into the cache, by C-GET or C-MOVE (PS3.4 C.4.2, C.4.3)."""
