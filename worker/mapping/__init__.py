"""Other systems' records into events: a mapping file, compiled to a function."""
