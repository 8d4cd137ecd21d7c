"""What is in the store: whole objects and multipart ones, opened, and their ETags and conditions."""
