"""Controls that are code, how each is removed, and the tests that fail then.

No product has a switch that removes them. `python3 -m e2e.security` runs the tests of each control in a process of its own, in which the plugin
`e2e.security.removal` has replaced it: a test that still passes does not show that the control is what stops the attack.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path


@dataclass(frozen=True)
class CodeControl:
    """`target` is the module and the attribute of what is replaced, as in `flywheel.core.names:child`."""

    name: str
    target: str
    replacement: object
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


def _returns(value: object) -> Callable[..., object]:
    return lambda *_, **__: value


def _open_whatever_is_there(path: object) -> BufferedReader:
    return Path(str(path)).open("rb")


CODE_CONTROLS = (
    CodeControl(
        "values of Secrets are masked in the log of main",
        "flywheel_runtime.commands.collect.main_log:mask_text", lambda text, _masked, _deadline: text,
        ("tests/runtime/commands/collect/test_main_log.py::test_values_of_secrets_are_masked",),
    ),
    CodeControl(
        "the operator refuses another namespace's folder",
        "flywheel.core.pods.store_access:source_refusal", _returns(None),
        ("tests/kinds/dataset/test_decide.py::test_a_check_of_what_is_not_the_namespaces_own_starts_no_pod",),
    ),
    CodeControl(
        "fetch refuses another namespace's folder",
        "flywheel_runtime.store.installation:is_inside", _returns(True),
        ("tests/runtime/store/test_installation.py::test_other_places_are_not_read",),
    ),
    CodeControl(
        "folders are compared by whole parts of the key",
        "flywheel_runtime.store.installation:is_inside", lambda uri, folder: uri.startswith(folder),
        ("tests/runtime/store/test_installation.py::test_a_place_is_inside_a_folder_by_whole_parts_of_its_key",),
    ),
    CodeControl(
        "a batch writes into its namespace's folder alone",
        "flywheel_runtime.store.installation:is_inside",
        _returns(True),
        ("tests/runtime/store/test_installation.py::test_outputs_are_written_nowhere_else",),
    ),
    CodeControl(
        "a batch does not write into Flywheel's own folders",
        "flywheel_runtime.store.installation:RESERVED_FOLDERS",
        (),
        ("tests/runtime/store/test_installation.py::test_every_folder_of_the_products_own_is_reserved",),
    ),
    CodeControl(
        "what has credentials is another user than main",
        "flywheel.core.pods.pod_spec:CREDENTIALS_USER_ID", 65532,
        (
            "tests/core/pods/test_job.py::test_main_and_watch_are_another_user_than_what_has_credentials",
            "tests/kinds/inferenceservice/logging/test_prediction_logging.py::test_the_sink_alone_has_the_keys_and_another_user_than_the_server",
        ),
    ),
    CodeControl(
        "a workload identity is for the containers with credentials",
        "flywheel.core.pods.store_secret:identity_annotations", _returns({}),
        ("tests/core/pods/test_job.py::test_a_workload_identity_is_only_for_the_containers_with_credentials",),
    ),
    CodeControl(
        "a pod is believed by the uid of its controller",
        "flywheel.engine.cache.store:Store._is_made_by", _returns(True),
        ("tests/engine/cache/test_store.py::test_a_pod_is_believed_where_the_resource_made_what_controls_it",),
    ),
    CodeControl(
        "the operator finds the store's Secret and forbidden placements in a spec",
        "flywheel.core.resource.restrictions:find_violation", _returns(None),
        ("tests/core/resource/test_restrictions.py::test_the_stores_secret_is_found_in_every_field",),
    ),
    CodeControl(
        "a forbidden spec starts no pod",
        "flywheel.engine.apply.restricted_plan:restrict_plan", lambda _resource, plan, *_: plan,
        (
            "tests/engine/apply/test_restricted_plan.py::test_a_forbidden_spec",
            "tests/engine/apply/test_restricted_plan.py::test_servers_of_before_go_on_and_a_new_service_does_not_start",
            "tests/engine/apply/test_restricted_plan.py::test_a_spec_that_becomes_forbidden_replaces_no_server_and_follows_no_version",
        ),
    ),
    CodeControl(
        "variables of our server are an allow-list",
        "flywheel.kinds.inferenceservice.environment:refused_names", _returns(()),
        ("tests/kinds/inferenceservice/test_decide.py::test_a_new_service_with_a_variable_that_is_not_allowed_gets_no_server",),
    ),
    CodeControl(
        "a version that is named needs its approval",
        "flywheel.core.resource.model_reference:require_approval", lambda _namespace, resolved, _cluster: resolved,
        ("tests/kinds/inferenceservice/test_observe.py::test_a_version_that_is_named_needs_the_approval_that_its_model_asks_for",),
    ),
    CodeControl(
        "commands of ours import nothing from their folder",
        "flywheel.core.pods.pod_spec:module_command", lambda module: ("python3", "-u", "-m", module),
        ("tests/core/pods/test_pod_spec.py::test_a_command_of_ours_imports_nothing_from_its_folder_its_environment_or_its_home",),
    ),
    CodeControl(
        "steps are bounded by default",
        "flywheel.core.pods.bounds:bound_resources", lambda resources, _settings: resources,
        ("tests/core/pods/test_bounds.py::test_defaults_fill_what_is_not_named_key_by_key",),
    ),
    CodeControl(
        "servers are bounded by default",
        "flywheel.core.pods.bounds:bound_server_resources", lambda resources, _settings: resources,
        ("tests/kinds/inferenceservice/test_children.py::test_a_server_is_bounded_where_its_spec_does_not_bound_it",),
    ),
    CodeControl(
        "memory without a limit is capped",
        "flywheel_runtime.contract.cgroup:memory_limit_bytes", _returns(1 << 60),
        ("tests/runtime/contract/test_cgroup.py::test_memory_without_a_limit_is_capped",),
    ),
    CodeControl(
        "a main that ends itself has failed after some attempts",
        "flywheel.kinds.experiment.trials:MAX_KILLED_ATTEMPTS", 1000,
        ("tests/kinds/experiment/test_life.py::test_a_main_that_ends_itself_each_time_has_failed_after_three_attempts",),
    ),
    CodeControl(
        "collect compares the report of watch with its own clock",
        "flywheel_runtime.commands.collect.main_observer:MainObserver._compare_with_clock", _returns(None),
        ("tests/runtime/commands/collect/test_main_observer.py::test_a_report_that_denies_a_timeout_is_not_believed",),
    ),
    CodeControl(
        "a result without its Job counts only if it is older than the upgrade",
        "flywheel_runtime.commands.collect.results:ResultStore._result_of_earlier_release",
        lambda self: self.store.result(self.attempt.earlier_result_key),
        (
            "tests/runtime/commands/collect/test_earlier_results.py::test_a_result_of_an_earlier_release_counts_if_it_is_older_than_the_upgrade",
        ),
    ),
    CodeControl(
        "what others can change is opened without following links",
        "flywheel_runtime.contract.safe_files:ConfinedPath.open", _open_whatever_is_there,
        (
            "tests/runtime/commands/collect/test_checkpoints.py::test_a_folder_that_becomes_a_link_after_it_was_listed_gives_nothing_away",
            "tests/runtime/commands/collect/test_collect.py::test_a_folder_that_becomes_a_link_after_it_was_listed_gives_nothing_away",
            "tests/runtime/commands/fetch/test_from_volume.py::test_a_file_that_becomes_a_link_is_not_hashed",
            "tests/runtime/commands/batch/test_volume.py::test_a_link_between_the_check_of_a_path_and_its_opening_is_not_followed",
            "tests/runtime/contract/test_safe_files.py::test_what_becomes_a_link_after_it_was_listed_is_not_opened",
        ),
    ),
    CodeControl(
        "links lead nowhere outside of a volume",
        "flywheel_runtime.contract.safe_files:ConfinedPath.resolve",
        lambda root, path: importlib.import_module("flywheel_runtime.contract.safe_files").ConfinedPath.from_file((root / path).resolve()),
        ("tests/runtime/commands/batch/test_volume.py::test_a_link_that_leaves_the_volume_is_not_followed",),
    ),
    CodeControl(
        "messages have no values of the data",
        "flywheel_runtime.datasets.anomalies:Anomaly.text", lambda self, **_: self.message.replace("{values}", self.values),
        ("tests/runtime/commands/check/test_anomalies.py::test_values_of_the_data_stay_out_of_the_status",),
    ),
    CodeControl(
        "a status has values only of a Dataset that shows them",
        "flywheel_runtime.models.test_set:TestSet.shows_values", property(_returns(True)),
        (
            "tests/runtime/commands/evaluate/test_evaluate.py::test_the_status_has_the_value_of_a_slice_only_if_the_dataset_shows_values",
            "tests/runtime/commands/gates/test_gates.py::test_values_of_groups_stay_out_of_the_status",
        ),
    ),
    CodeControl(
        "the text of an unforeseen error stays in the log",
        "flywheel_runtime.contract.errors:describe_fault", lambda error: f"{type(error).__name__}: {error}",
        (
            "tests/runtime/contract/test_step.py::test_a_fault_of_a_step_quotes_no_value_and_the_log_has_it",
            "tests/runtime/commands/gates/test_gates.py::test_the_fault_of_a_gate_quotes_no_value",
        ),
    ),
    CodeControl(
        "the last line of a step of ours is not quoted",
        "flywheel.core.diagnosis.pod_status:runs_our_command", _returns(False),
        ("tests/core/diagnosis/test_outcome.py::test_the_last_line_of_a_step_of_ours_may_be_a_row_and_is_not_quoted",),
    ),
    CodeControl(
        "link-local addresses are refused",
        "flywheel_runtime.transport.hosts:is_blocked", _returns(False),
        (
            "tests/runtime/store/test_foreign.py::test_an_endpoint_that_a_rotated_secret_names_is_checked_too",
            "tests/runtime/commands/fetch/test_from_http.py::test_addresses_that_no_list_opens",
        ),
    ),
    CodeControl(
        "a login goes to allowed hosts alone",
        "flywheel_runtime.transport.hosts:_named", _returns(True),
        ("tests/runtime/commands/fetch/test_from_postgresql.py::test_a_host_that_is_not_allowed_gets_no_login",),
    ),
    CodeControl(
        "the SQL of a source is read-only",
        "flywheel_runtime.commands.fetch.databases.postgresql:_begin", _returns(None),
        ("tests/runtime/commands/fetch/test_from_postgresql.py::test_a_query_cannot_leave_its_read_only_transaction",),
    ),
    CodeControl(
        "ONNX files are read before onnxruntime reads them",
        "flywheel_serving.model.onnx_file:_ModelGuard.check", _returns(None),
        (
            "tests/serving/model/test_onnx_file.py::test_a_model_that_grows_when_it_is_loaded_is_refused",
        ),
    ),
    CodeControl(
        "models with partial kernels are computed in workers",
        "flywheel_serving.workers.kernels:unsafe_operator", _returns(""),
        ("tests/serving/workers/test_kernels.py::test_any_other_model_is_computed_in_workers",),
    ),
    CodeControl(
        "requests share calls only of models that treat rows apart",
        "flywheel_serving.model.row_independence.proof:graph_row_mixing", _returns(""),
        ("tests/serving/model/test_row_independence.py::test_a_model_that_mixes_rows_for_one_secret_value_is_not_proven",),
    ),
    CodeControl(
        "room is reserved for clients with few requests",
        "flywheel_serving.infer.admission:Admission._is_reserved", _returns(False),
        (
            "tests/serving/infer/test_admission.py::test_a_client_that_fills_the_limit_keeps_no_other_out",
            "tests/serving/infer/test_admission.py::test_while_a_queue_stands_there_is_room_for_clients_that_did_not_cause_it",
        ),
    ),
    CodeControl(
        "idle connections of the largest client make room",
        "flywheel_serving.http.connection_table:ConnectionTable._evict_idle", _returns(False),
        ("tests/serving/http/test_connection_table.py::test_the_idlest_connection_of_the_largest_peer_makes_room",),
    ),
    CodeControl(
        "a client whose tokens are refused is slowed",
        "flywheel_serving.auth.review_queue:RefusalBudgets.count", _returns(0.0),
        ("tests/serving/auth/test_authenticator.py::test_made_up_tokens_are_slowed_and_a_known_token_is_not",),
    ),
    CodeControl(
        "clients of gRPC are distinguished by address",
        "flywheel_serving.peers:peer_of_rpc", _returns(""),
        ("tests/serving/rpc/test_rpc_guard.py::test_made_up_tokens_of_one_client_delay_no_other_client",),
    ),
    CodeControl(
        "heads are counted among the bytes of a client",
        "flywheel_serving.http.parser:RequestParser.held_bytes", property(_returns(0)),
        ("tests/serving/http/test_parser.py::test_a_head_without_an_end_is_counted_with_its_headers",),
    ),
    CodeControl(
        "large bodies are bounded by the memory",
        "flywheel_serving.rest.large_bodies:LargeBodies.is_large", _returns(False),
        ("tests/serving/rest/test_large_bodies.py::test_what_is_decoded_value_by_value_is_bounded",),
    ),
    CodeControl(
        "outputs are kept and tried for hours",
        "flywheel_runtime.commands.collect.patience:Patience.is_left", property(_returns(False)),
        ("tests/runtime/commands/collect/test_patience.py::test_outputs_wait_for_a_store_that_is_away_and_are_uploaded_when_it_is_back",),
    ),
    CodeControl(
        "a download writes below its folder alone",
        "flywheel.client.downloads:confine", lambda folder, name: folder / name,
        (
            "tests/client/test_downloads.py::test_no_name_leaves_the_folder",
            "tests/client/test_downloads.py::test_no_link_is_followed",
        ),
    ),
    CodeControl(
        "a list of files has the digest of the status",
        "flywheel.client.downloads:check_manifest", _returns(None),
        ("tests/client/objects/test_live_model.py::test_a_list_that_is_not_the_artifacts_is_not_read",),
    ),
    CodeControl(
        "a token is sent to private or encrypted addresses alone",
        "flywheel.client.transport.endpoints:check_url", lambda url, _setting: url,
        ("tests/client/test_access.py::test_no_token_is_sent_where_others_could_read_it",),
    ),
    CodeControl(
        "a token that opens the cluster is not sent to a model server",
        "flywheel.client.transport.tokens:Tokens._check_file_token", _returns(None),
        ("tests/client/test_service_tokens.py::test_a_token_of_a_file_that_opens_the_cluster_is_not_sent",),
    ),
    CodeControl(
        "servers of an earlier spec get no token that others accept",
        "flywheel.client.transport.model_services:_describe_change", _returns(""),
        ("tests/client/test_service_tokens.py::test_servers_of_an_earlier_spec_get_no_token_that_others_accept",),
    ),
    CodeControl(
        "no variable of a pipeline loads other code here",
        "flywheel.client.training.local_step:_is_unsafe", _returns(False),
        ("tests/client/training/test_local_step.py::test_no_variable_of_a_pipeline_loads_other_code_here",),
    ),
    CodeControl(
        "a file of an imported model is one of the model's",
        "flywheel.cli.mlflow_import.model_manifests:confine_file", lambda folder, name, _model: folder / name,
        ("tests/cli/mlflow_import/test_model_manifests.py::test_a_file_that_is_not_the_models_is_refused",),
    ),
    CodeControl(
        "an error of the client has no control characters",
        "flywheel.client.errors:escape_lines", lambda text: text,
        ("tests/client/test_access.py::test_the_text_of_an_error_does_not_control_the_terminal",),
    ),
    CodeControl(
        "control characters do not reach the terminal",
        "flywheel.cli.output:escape_controls", lambda text: text,
        ("tests/cli/read/test_list_trials.py::test_hostile_names_do_not_reach_the_terminal",),
    ),
    CodeControl(
        "a receipt that was changed is told so",
        "flywheel.client.receipts.document:_changes", _returns([]),
        (
            "tests/client/receipts/test_receipt_check.py::test_a_changed_part_is_named",
            "tests/client/receipts/test_receipt_check.py::test_a_changed_head_is_named",
        ),
    ),
    CodeControl(
        "a chain of audit records in a receipt is verified",
        "flywheel.client.receipts.receipt_check:chain_faults", _returns(()),
        ("tests/client/receipts/test_receipt_check.py::test_a_change_that_restates_the_digests_contradicts_another_part",),
    ),
)  # fmt: skip
