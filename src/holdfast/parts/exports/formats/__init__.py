"""What rows become: the value grammar, and an encoder for each format."""
