"""What `load` gives, and what can be done with it."""
