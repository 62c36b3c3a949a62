"""Kubeconfigs with the certificates inside, so that the file alone is enough."""

import base64
from pathlib import Path

from e2e.cluster.certificates import Pair
from e2e.cluster.files import write_if_changed

TEMPLATE = """\
apiVersion: v1
kind: Config
clusters:
- name: flywheel
  cluster:
    server: {server}
    certificate-authority-data: {ca}
users:
- name: {user}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: flywheel
  context: {{cluster: flywheel, user: {user}}}
current-context: flywheel
"""


def render(server: str, ca: bytes, user: str, certificate: bytes, key: bytes) -> str:
    def encode(data: bytes) -> str:
        return base64.b64encode(data).decode()

    return TEMPLATE.format(server=server, ca=encode(ca), user=user, certificate=encode(certificate), key=encode(key))


def write(path: Path, server: str, ca: Path, user: str, pair: Pair) -> Path:
    text = render(server, ca.read_bytes(), user, pair.certificate.read_bytes(), pair.key.read_bytes())
    write_if_changed(path, text, mode=0o600)
    return path
