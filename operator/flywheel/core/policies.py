"""The chart's ValidatingAdmissionPolicies, each with the guarantee that only it enforces (docs/security.md)."""

POLICY_GUARANTEES = {
    "flywheel-approval": "spec.approval of a ModelVersion is written only by users with the verb approve",
    "flywheel-promotion": "only users with the verb approve end, bypass or delete a Model with promotion: Approval",
    "flywheel-served-version": "a ModelVersion that is in use is not deleted",
    "flywheel-needed-feature-set": "a FeatureSet that a champion needs is not deleted",
    "flywheel-pods": "nobody else makes or changes pods with Flywheel's labels",
    "flywheel-workloads": "nobody else makes or changes Jobs and Deployments with Flywheel's labels",
    "flywheel-exec": "nobody enters a container with the store's credentials without the right to read them",
    "flywheel-secrets": "a resource names only Secrets and PersistentVolumeClaims that its writer may read",
    "flywheel-placement": "a placement that the chart's values do not allow is refused when it is written",
    "flywheel-serving-env": "an environment variable that Flywheel's own server does not take is refused when it is written",
}
