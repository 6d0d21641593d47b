"""De-identification and pseudonyms."""
