"""The package's errors are one tree, and its module's docstring shows all of it; what broke a connection is read off by kind."""

import errno
import importlib
import inspect
import pkgutil
import socket
import ssl

import pytest
from botocore.exceptions import EndpointConnectionError
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import NewConnectionError, ProtocolError

import flywheel_runtime
from flywheel_runtime.contract import errors


def exception_classes() -> set[type[BaseException]]:
    """The exception classes that the package's modules define."""
    names = [each.name for each in pkgutil.walk_packages(flywheel_runtime.__path__, "flywheel_runtime.")]
    # Modules of the plugin need MLflow, which is not installed here; it raises MLflow's own errors.
    names = [name for name in names if not name.startswith("flywheel_runtime.mlflow_plugin.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    classes = {value for module in modules for value in vars(module).values() if inspect.isclass(value)}
    return {
        each for each in classes if issubclass(each, BaseException) and each.__module__.startswith("flywheel_runtime.")
    }


def test_every_error_of_the_package_is_in_the_tree_of_the_docstring() -> None:
    found = exception_classes()

    assert {each.__name__ for each in found if not issubclass(each, errors.FlywheelError)} == set()
    assert {each.__name__ for each in found if each.__name__ not in (errors.__doc__ or "")} == set()


def connection_error(host: str, cause: OSError) -> NewConnectionError:
    """The error of urllib3 for `cause`, which names the host."""
    error = NewConnectionError(HTTPSConnection(host), f"Failed to establish a new connection: {cause}")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("host", ["store.corp", "certificates.corp", "disclosed.org", "timeouts.corp", "reset.corp"])
@pytest.mark.parametrize(
    ("cause", "problem"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "connection refused"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "its name is not known"),
        (TimeoutError("timed out"), "timed out"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "connection lost"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "connection lost"),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), "its certificate is not trusted"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no route to it"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "its network is unreachable"),
    ],
)
def test_the_name_of_a_host_is_no_connection_problem(host: str, cause: OSError, problem: str) -> None:
    error = connection_error(host, cause)

    assert errors.connection_problem(error) == problem
    of_store = EndpointConnectionError(endpoint_url=f"https://{host}/bucket", error=error)
    assert errors.connection_problem(of_store) == problem


def test_a_problem_of_no_known_kind_is_the_text_of_the_error() -> None:
    error = ProtocolError("Connection broken:\n  3 bytes read")

    assert errors.connection_problem(error) == "Connection broken: 3 bytes read"
