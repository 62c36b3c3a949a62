"""Messages of the two gRPC protocols that the server speaks; `generate.sh` writes them from the .proto files."""
