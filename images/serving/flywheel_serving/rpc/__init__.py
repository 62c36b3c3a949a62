"""The protocol over gRPC: messages (`codec`), the service (`service`), health checking (`health`)."""
