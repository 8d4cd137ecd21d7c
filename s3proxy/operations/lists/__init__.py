"""Listings, with the sizes of the plaintext."""
