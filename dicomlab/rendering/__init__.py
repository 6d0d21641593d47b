"""Images as a printer or a screen takes them."""
