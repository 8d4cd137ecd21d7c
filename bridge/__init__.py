"""The bridge: decides who may read which secret, fetches it from OpenBao, records it, and answers with a region image."""
