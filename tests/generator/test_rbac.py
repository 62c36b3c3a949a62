"""No more rights than the kinds ask for."""

from dataclasses import replace

from flywheel.core.resource.api import CRON_JOB, DATASET, POD
from flywheel.core.resource.kind import AnyKind
from generator import rbac
from tests.core.toy import KIND


def verbs(group: str, resource: str, *kinds: AnyKind) -> set[str]:
    """What the operator may do with a resource."""
    return {
        verb
        for rule in rbac.operator_rules(kinds or (KIND,))
        if rule.group == group and resource in rule.resources
        for verb in rule.verbs
    }


def test_what_users_write_is_read_and_only_its_status_is_written() -> None:
    assert verbs("flywheel.ml", "toys") == {"get", "list", "watch"}
    assert verbs("flywheel.ml", "toys/status") == {"patch"}


def test_what_a_kind_owns_is_made_and_removed() -> None:
    assert verbs("batch", "jobs") == {"get", "list", "watch", "create", "patch", "delete"}
    assert verbs("apps", "deployments") == set()


def test_what_a_kind_makes_and_does_not_own_is_never_deleted() -> None:
    assert verbs("flywheel.ml", DATASET.plural) == {"create", "patch"}


def test_what_a_kind_may_remove_is_deleted_and_nothing_more() -> None:
    assert verbs("flywheel.ml", DATASET.plural, replace(KIND, makes=(), removes=(DATASET,))) == {"delete"}


def test_pods_are_patched_only_where_a_kind_touches_them() -> None:
    assert verbs("", "pods") == {"get", "list", "watch"}
    assert verbs("", "pods", replace(KIND, patches=(POD,))) == {"get", "list", "watch", "patch"}


def test_only_kinds_with_a_schedule_may_complete_ticks() -> None:
    without = replace(KIND, owns=tuple(api for api in KIND.owns if api != CRON_JOB))

    assert verbs("batch", "jobs/status") == {"patch"}
    assert verbs("batch", "jobs/status", without) == set()


def test_no_wildcard_and_no_secret() -> None:
    tables = (
        rbac.operator_rules((KIND,)),
        rbac.own_namespace_rules(),
        rbac.view_rules((KIND,)),
        rbac.edit_rules((KIND,)),
        rbac.server_token_rules(),
        rbac.server_access_rules(),
        rbac.caller_rules(),
    )
    words = {word for table in tables for rule in table for word in (rule.group, *rule.resources, *rule.verbs)}

    assert "*" not in words
    assert "secrets" not in words
    assert not words & {"pods/exec", "escalate", "bind", "impersonate"}


def test_viewers_may_not_write() -> None:
    assert {verb for rule in rbac.view_rules((KIND,)) for verb in rule.verbs} == {"get", "list", "watch"}


def test_a_server_may_create_two_reviews_and_nothing_else() -> None:
    rules = (*rbac.server_token_rules(), *rbac.server_access_rules())

    assert {(resource, verb) for rule in rules for resource in rule.resources for verb in rule.verbs} == {
        ("tokenreviews", "create"),
        ("localsubjectaccessreviews", "create"),
    }


def test_a_caller_may_get_services_and_list_none() -> None:
    [rule] = rbac.caller_rules()

    assert (rule.group, rule.resources, rule.verbs) == ("flywheel.ml", ("inferenceservices",), ("get",))
