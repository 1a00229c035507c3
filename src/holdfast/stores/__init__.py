"""Stores: small protocols (`blobs`, `ledger`), and what keeps them: disk, S3, SQLite, PostgreSQL, memory."""
