"""A policy for wsgw that prefers backends of its own zone."""
