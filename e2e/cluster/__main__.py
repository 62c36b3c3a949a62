"""The verbs of the development cluster; from the repository's root: python3 -m e2e.cluster up"""

import argparse
import json
import sys
from pathlib import Path

from e2e.cluster import apiserver, buildah, cluster, golang, images, paths, sbom
from e2e.cluster.files import remove
from e2e.cluster.progress import Failure, announce


def up(arguments: argparse.Namespace) -> None:
    """start the cluster, or find it running"""
    cluster.up(cluster.chosen())
    announce(f"The cluster is up: export KUBECONFIG={cluster.chosen().kubeconfig}")


def down(arguments: argparse.Namespace) -> None:
    """end the cluster and everything in it; --force even if other checkouts share it"""
    cluster.down(cluster.chosen(), even_if_shared=arguments.force)


def status(arguments: argparse.Namespace) -> None:
    """say what runs, who shares it and where everything is"""
    picked = cluster.chosen()
    facts: dict[str, object] = dict(cluster.describe(picked))
    if picked.kind == "native":
        from e2e.cluster import native

        facts |= native.state()
    print(json.dumps(facts, indent=1))


def build(arguments: argparse.Namespace) -> None:
    """build the pinned Go modules and nothing else; needs no root"""
    golang.build_all()


def build_images(arguments: argparse.Namespace) -> None:
    """build the images that changed, bring them to the cluster, and write their digests and SBOMs into .cluster"""
    picked = cluster.chosen()
    if picked.kind == "current":
        raise Failure(
            "CLUSTER=current has no way to take images; push them to your registry and name them in the chart's values"
        )
    if picked.kind == "kind":
        from e2e.cluster import kind

        kind.build()
        images.remember(kind.load())
        sbom.write_all({}, docker=True)
        return
    from e2e.cluster import containerd, native, packages

    native.require_root()

    packages.install()
    images.build_natively()
    digests = containerd.load_images()
    images.remember(digests)
    with images.exclusive_build(), buildah.storage_mounted():
        sbom.write_all(digests, docker=False)


def clean(arguments: argparse.Namespace) -> None:
    """end the cluster and remove every cache; the next start takes minutes"""
    picked = cluster.chosen()
    if picked.kind == "native":
        from e2e.cluster import native

        native.clean()
    else:
        cluster.down(picked, even_if_shared=True)
    remove(paths.cache())
    remove(paths.DOT_CLUSTER)


def apiserver_up(arguments: argparse.Namespace) -> None:
    """start only etcd and kube-apiserver, without root; prints the kubeconfig's path"""
    print(apiserver.up(arguments.folder).kubeconfig)


def apiserver_down(arguments: argparse.Namespace) -> None:
    """end what apiserver-up started"""
    apiserver.down(arguments.folder)


VERBS = {
    "up": up,
    "down": down,
    "status": status,
    "build": build,
    "images": build_images,
    "clean": clean,
    "apiserver-up": apiserver_up,
    "apiserver-down": apiserver_down,
}


def parse() -> argparse.Namespace:
    verbs = "\n".join(f"  {name:<16}{verb.__doc__}" for name, verb in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="python3 -m e2e.cluster",
        description=cluster.__doc__,
        epilog=f"verbs:\n{verbs}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=VERBS, metavar="verb")
    parser.add_argument(
        "--force", action="store_true", help="down: also for the other checkouts that share the cluster"
    )
    parser.add_argument(
        "--folder", type=Path, default=paths.DOT_CLUSTER / "apiserver", help="apiserver-up, apiserver-down"
    )
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    try:
        VERBS[arguments.verb](arguments)
    except Failure as failure:
        print(failure.report(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.exit(code)
