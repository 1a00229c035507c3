"""The rules. Pure: no await, clock, randomness, file, socket or logger; what they need comes in as arguments."""
