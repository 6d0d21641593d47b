"""What is to be sent or written: instances, wherever they are."""
