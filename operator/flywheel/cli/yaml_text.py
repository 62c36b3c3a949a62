"""Manifests as YAML."""

from typing import Any

import yaml


class _NoAliasDumper(yaml.SafeDumper):
    """Writes no anchors, which are hard to read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dump_yaml(value: Any) -> str:
    """Returns YAML in the order of the data, wrapped at 120 characters."""
    return yaml.dump(value, Dumper=_NoAliasDumper, sort_keys=False, width=120, allow_unicode=True)
