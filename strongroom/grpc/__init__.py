"""What a component with a front for gRPC stands on, beside ``strongroom.service``."""
