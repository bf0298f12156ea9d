"""Webhooks over HTTP onto a topic: verified, byte for byte as they came, answered once the log has them."""
