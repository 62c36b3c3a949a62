"""The bill of materials of an image: valid CycloneDX, with every package of the image and the hashes of the lock file."""

import pytest

from e2e.cluster import sbom
from e2e.cluster.progress import Failure
from tests.cyclonedx_schema import official_validator
from tests.documents import CHECKOUT

STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u13
Description: GNU C Library
 with a second line

Package: login
Status: install ok installed
Architecture: amd64
Version: 1:4.13+dfsg1-1

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""
GO = """\
/cache/versitygw: go1.26.6
\tpath\tgithub.com/versity/versitygw/cmd/versitygw
\tmod\tbuild\t(devel)
\tdep\tgithub.com/aws/smithy-go\tv1.22.0\th1:abc=
\tdep\tgolang.org/x/net\tv0.30.0
\t=>\tgolang.org/x/net\tv0.31.0\th1:def=
\tbuild\tCGO_ENABLED=0
"""
LOCK = (CHECKOUT / "requirements/operator.txt").read_text()
PYYAML = "Metadata-Version: 2.1\nName: PyYAML\nVersion: 6.0.3\n\nText\n"


def test_a_bom_is_valid_and_the_same_for_the_same_image() -> None:
    components = [*sbom.debian_components(STATUS), *sbom.python_components([PYYAML], LOCK), *sbom.go_modules(GO)]
    name = "flywheel.local/operator:dev-3f9a1c0b2d4e"

    found = sbom.image_bom(name, "sha256:" + "1" * 64, components)

    assert [error.message for error in official_validator().iter_errors(found)] == []
    assert found == sbom.image_bom(name, "sha256:" + "1" * 64, list(reversed(components)))
    assert found["serialNumber"] != sbom.image_bom(name, "sha256:" + "2" * 64, components)["serialNumber"]


def test_installed_debian_packages_are_listed() -> None:
    assert [each["purl"] for each in sbom.debian_components(STATUS)] == [
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=amd64&distro=bookworm",
        "pkg:deb/debian/login@1%3A4.13%2Bdfsg1-1?arch=amd64&distro=bookworm",
    ]


def test_python_packages_have_the_hashes_of_the_lock_file() -> None:
    [found] = sbom.python_components([PYYAML], LOCK)
    [files_of_it] = found["externalReferences"]
    block = LOCK.partition("pyyaml==6.0.3")[2].partition("\nrequests==")[0]

    assert (found["name"], found["version"], found["purl"]) == ("pyyaml", "6.0.3", "pkg:pypi/pyyaml@6.0.3")
    assert len(files_of_it["hashes"]) == block.count("--hash=sha256:")
    assert all(each["content"] in block for each in files_of_it["hashes"])


def test_a_package_that_nobody_locked_is_refused() -> None:
    with pytest.raises(Failure, match=r"'pyyaml 6\.0\.4' is in the image and not in its lock file"):
        sbom.python_components([PYYAML.replace("6.0.3", "6.0.4")], LOCK)


def test_the_modules_of_a_go_binary_are_listed_as_they_were_replaced() -> None:
    assert [(each["name"], each["version"]) for each in sbom.go_modules(GO)] == [
        ("stdlib", "go1.26.6"),
        ("github.com/aws/smithy-go", "v1.22.0"),
        ("golang.org/x/net", "v0.31.0"),
    ]
