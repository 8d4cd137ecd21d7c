"""Multipart uploads, and reading what they made."""
