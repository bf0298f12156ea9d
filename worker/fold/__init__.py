"""The fold: a contact's history as a function of its events, the definition and the clock."""
