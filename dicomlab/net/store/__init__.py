"""Store and storage commitment (PS3.4 annexes B and J)."""
