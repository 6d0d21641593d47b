"""What is asked of a peer or a folder: keys, and the identifiers made of them."""
