"""A model server in its own process."""

from tests.serving.conftest import flight_server as flight_server
from tests.serving.conftest import flights as flights
