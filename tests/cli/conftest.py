"""The cluster on loopback that tests of commands use."""

from tests.client.conftest import cluster as cluster
