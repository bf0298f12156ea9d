"""A worker on generated traffic, without a broker: what `lifecycle demo` shows."""
