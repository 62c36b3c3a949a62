"""The cluster's certificates, made with openssl: one authority, and a pair for each part that speaks or listens."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from e2e.cluster.progress import Failure

EC_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
DAYS = "3650"
MADE = "identities.json"  # written last: where it lies, everything is whole


@dataclass(frozen=True)
class Identity:
    """`subject` is what RBAC sees (CN = user, O = group); a part with `names` may serve under them."""

    file: str
    subject: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path


def pair(folder: Path, file: str) -> Pair:
    return Pair(folder / f"{file}.crt", folder / f"{file}.key")


def make(folder: Path, identities: Sequence[Identity]) -> None:
    """Makes all of them, or nothing: a half-written authority would be found out much later, by a handshake."""
    if are_made(folder, identities):
        return
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.mkdir(parents=True, mode=0o700)
    authority(unfinished)
    for identity in identities:
        issue(unfinished, identity)
    service_account_key(unfinished)
    (unfinished / MADE).write_text(listed(identities))
    unfinished.rename(folder)


def are_made(folder: Path, identities: Sequence[Identity]) -> bool:
    made = folder / MADE
    return made.exists() and made.read_text() == listed(identities)


def listed(identities: Sequence[Identity]) -> str:
    return json.dumps([asdict(identity) for identity in identities], indent=1)


def authority(folder: Path) -> None:
    ca = pair(folder, "ca")
    openssl(
        *("req", "-x509", *EC_KEY, "-days", DAYS, "-subj", "/CN=flywheel-development-authority"),
        *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
        *("-keyout", ca.key, "-out", ca.certificate),
    )


def issue(folder: Path, identity: Identity) -> None:
    ca, made, request = pair(folder, "ca"), pair(folder, identity.file), folder / "request.csr"
    usages = "clientAuth,serverAuth" if identity.names else "clientAuth"
    extensions = folder / "extensions"
    alternative = f"subjectAltName={','.join(identity.names)}\n" if identity.names else ""
    extensions.write_text(f"extendedKeyUsage={usages}\n{alternative}")
    openssl("req", *EC_KEY, "-subj", identity.subject, "-keyout", made.key, "-out", request)
    openssl(
        *("x509", "-req", "-in", request, "-CA", ca.certificate, "-CAkey", ca.key, "-CAcreateserial"),
        *("-days", DAYS, "-extfile", extensions, "-out", made.certificate),
    )


def service_account_key(folder: Path) -> None:
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / "service-accounts.key")
    openssl("ec", "-in", folder / "service-accounts.key", "-pubout", "-out", folder / "service-accounts.pub")


def openssl(*words: str | Path) -> None:
    if shutil.which("openssl") is None:
        raise Failure("The program 'openssl' is not installed; install it (Debian: apt-get install openssl)")
    done = subprocess.run(["openssl", *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(
            f"'openssl {words[0]}' refused to make a certificate: {done.stderr.strip()}; look at the openssl version (3.0 or later)"
        )
