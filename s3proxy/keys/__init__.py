"""Keys: policies, the KEKs that they name, bucket keys and the keyring."""
