"""The bridge: decides who may read which secret, reads it from OpenBao, records it, answers with a region image."""
