"""Data sets as bytes: elements, whole headers, and files of PS3.10."""
