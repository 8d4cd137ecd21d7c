"""The store behind the proxy: connections, credentials, what it can do."""
