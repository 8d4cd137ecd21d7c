"""One request to the bridge: connections, certificates, when to ask again, and what a refusal means."""
