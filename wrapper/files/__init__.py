"""Secrets as files: what a value asks for, and the files that are made of it."""
