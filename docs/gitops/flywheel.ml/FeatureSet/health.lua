-- Written by 'make generate' from the code; do not edit.
-- Health of FeatureSet for Argo CD.
local health = {}
local result = {status = "Progressing", message = "Waiting for the operator"}
if obj.status == nil or obj.status.conditions == nil then
  return result
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  return result
end
local conditions = {}
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
