"""Query and worklist: questions to a peer, and a table of matches (PS3.4 C.4.1, annex K)."""
