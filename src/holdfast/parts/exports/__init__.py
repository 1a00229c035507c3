"""Exports: rows from anywhere, in any format, in little memory. Keeps *bounded* and *released*."""
