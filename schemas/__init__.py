"""What goes over the wire: events in, events out, and the documents generated from their models."""
