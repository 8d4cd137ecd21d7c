"""The S3 proxy: seals objects on their way to a store that must not read them, and opens them on the way back."""
