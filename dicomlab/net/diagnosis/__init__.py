"""What works with a peer, what does not, and what to do about it (SPEC 2)."""
