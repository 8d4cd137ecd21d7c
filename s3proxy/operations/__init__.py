"""What serves each operation of S3, over what is stored."""
