"""Uploads that lose nothing: several dialects, one engine. Keeps *durable* and *bounded*."""
