"""Argo CD's health checks, a Lua script for each kind, and the patch of its ConfigMap that installs them (docs/gitops.md).

Flux reads the same conditions without a script, since they follow kstatus.
"""

from collections.abc import Iterable
from dataclasses import fields

from flywheel.cli.yaml_text import dump_yaml
from flywheel.core.resource.api import GROUP
from flywheel.core.resource.kind import AnyKind

CONFIG_MAP_PATH = "docs/gitops/argocd-cm.yaml"
# Lua 5.1 without libraries is what Argo CD runs by default, so the script needs none.
SCRIPT = """\
-- Health of {kind} for Argo CD.
local health = {{{reasons}}}
local result = {{status = "Progressing", message = "Waiting for the operator"}}
if obj.status == nil or obj.status.conditions == nil then
  return result
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  return result
end
local conditions = {{}}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end
local ready = conditions.Ready
if ready == nil then
  return result
end
result.message = ready.message
if health[ready.reason] ~= nil then
  result.status = health[ready.reason]
elseif conditions.Stalled ~= nil and conditions.Stalled.status == "True" then
  result.status = "Degraded"
elseif ready.reason == "Suspended" then
  result.status = "Suspended"
elseif ready.status == "True" then
  result.status = "Healthy"
end
return result
"""


def health_script(kind: AnyKind) -> str:
    """Returns the Lua script, which reads `obj` and returns status and message."""
    table = {
        reason: field.name.capitalize() for field in fields(kind.health) for reason in getattr(kind.health, field.name)
    }
    reasons = ", ".join(f'{reason} = "{status}"' for reason, status in sorted(table.items()))
    return SCRIPT.format(kind=kind.api.kind, reasons=reasons)


def script_path(kind: AnyKind) -> str:
    """Returns the path of a kind's script in the checkout, as in Argo CD's own folder resource_customizations."""
    return f"docs/gitops/{GROUP}/{kind.api.kind}/health.lua"


def config_map_patch(kinds: Iterable[AnyKind]) -> str:
    """Returns the patch of ConfigMap argocd-cm."""
    scripts = {f"resource.customizations.health.{GROUP}_{kind.api.kind}": health_script(kind) for kind in kinds}
    return dump_yaml({"data": scripts})
