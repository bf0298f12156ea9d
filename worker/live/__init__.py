"""A running worker seen from outside: its health, its figures, and why a contact is where it is. Read only."""
