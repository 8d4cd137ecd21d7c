"""Ground that the components share: errors, identities, references and the binary formats.

Nothing is imported here. The wrapper pays for every import at every launch, so callers name the module they need.
"""
