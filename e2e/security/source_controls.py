"""Controls that are a piece of a source or of the chart, the text without each, and the tests that fail then.

`python3 -m e2e.security source` puts each text in the place of the control in a copy of the checkout, and runs its tests there (patched_copy.py).
Controls that are a whole function or constant are in code_controls.py, which needs no copy.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceControl:
    """`text` is found once in `file`, and `replacement` is the same without the control."""

    name: str
    file: str
    text: str
    replacement: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


SOURCE_CONTROLS = (
    SourceControl(
        "each response of the reader needs its right",
        "images/reader/flywheel_reader/access/rights.py",
        "        if not await self.is_allowed(caller, verb, resource, namespace, name):\n",
        "        if False:\n",
        ("tests/reader/test_rights.py::test_every_other_right_opens_nothing",),
    ),
    SourceControl(
        "data needs a verb of its own",
        "images/reader/flywheel_reader/call.py",
        "await self.require(resource, name, DATA_VERB)",
        "await self.require(resource, name)",
        ("tests/reader/test_rights.py::test_every_other_right_opens_nothing",),
    ),
    SourceControl(
        "values in documents of a Dataset need read-data",
        "images/reader/flywheel_reader/endpoints/datasets.py",
        '    if await call.is_allowed("read-data", "datasets", call.path["name"]):\n',
        "    if True:\n",
        ("tests/reader/test_rights.py::test_values_of_the_data_in_documents_need_read_data",),
    ),
    SourceControl(
        "a token that is not accepted opens nothing",
        "images/reader/flywheel_reader/access/callers.py",
        "        if isinstance(found, str):\n            raise Unauthorized(found)\n",
        "        if isinstance(found, str):\n            found = Caller(key, token, {'user': 'system:admin', 'groups': ['system:masters']})\n",
        ("tests/reader/test_rights.py::test_without_a_good_token_nothing_is_open",),
    ),
    SourceControl(
        "an accepted token is not believed beyond its end",
        "images/reader/flywheel_reader/access/callers.py",
        "    return max(0.0, min(ACCEPTED_SECONDS, expires - time.time()))\n",
        "    return ACCEPTED_SECONDS if expires else 0.0\n",
        ("tests/reader/access/test_callers.py::test_an_accepted_token_is_not_believed_beyond_its_end",),
    ),
    SourceControl(
        "a refusal does not say whether a trial exists",
        "images/reader/flywheel_reader/endpoints/tracking/trials.py",
        "    if kinds == frozenset(RESOURCES):\n",
        "    if record is None:\n",
        ("tests/reader/test_trials.py::test_who_may_get_one_experiment_reads_its_trials_alone",),
    ),
    SourceControl(
        "bytes of a model are those that were verified",
        "images/reader/flywheel_reader/endpoints/model_versions.py",
        'digest = ((await call.object(RESOURCE, name)).get("status") or {}).get("digest")',
        'digest = (await call.object(RESOURCE, name))["spec"]["source"]["artifact"]["digest"]',
        ("tests/reader/test_rights.py::test_a_version_that_is_not_verified_opens_no_artifact_that_its_spec_names",),
    ),
    SourceControl(
        "one address has a share of the reader's connections",
        "images/reader/flywheel_reader/server/connections.py",
        ">= self._max_of_peer:",
        ">= self._max:",
        ("tests/reader/server/test_connections.py::test_one_peer_has_a_share_and_busy_connections_stay",),
    ),
    SourceControl(
        "heavy work is done in turn among namespaces",
        "images/reader/flywheel_reader/fair_slots.py",
        "chosen = min(possible, key=self._last_turns)",
        "chosen = possible[0]",
        ("tests/reader/test_fair_slots.py::test_a_namespace_with_many_requests_delays_another_by_one",),
    ),
    SourceControl(
        "rows are decoded by what they may take",
        "images/reader/flywheel_reader/tables/parquet_sizes.py",
        "(FIXED_BYTES + max(chunk.longest for chunk in chunks))",
        "FIXED_BYTES",
        ("tests/reader/tables/test_parquet_sizes.py::test_one_long_text_in_every_row_is_decoded_in_small_batches",),
    ),
    SourceControl(
        "the reader's account may only read",
        "charts/flywheel/templates/_store.tpl",
        'append $statements (include "flywheel.storeStatement" (dict "accounts" $accounts "actions" (list "s3:GetObject")',
        'append $statements (include "flywheel.storeStatement" (dict "accounts" $accounts "actions" $objects',
        ("tests/runtime/store/test_accounts.py::test_the_readers_account_does_nothing_else",),
    ),
    SourceControl(
        "a file of a trial is no page of the reader",
        "images/reader/flywheel_reader/responses.py",
        "    \"Content-Security-Policy\": \"default-src 'none'; sandbox\",\n",
        "",
        ("tests/reader/test_bad_input.py::test_hostile_names_are_json_and_files_are_no_pages",),
    ),
    SourceControl(
        "what is unpacked is bounded",
        "images/reader/flywheel_reader/tracking/log.py",
        "decompressor.decompress(packed, limit)",
        "decompressor.decompress(packed)",
        ("tests/reader/test_bad_input.py::test_is_an_error_with_a_sentence",),
    ),
    SourceControl(
        "a service does not choose the audience of its tokens",
        "operator/flywheel/client/transport/tokens.py",
        "wanted.own if wanted.is_own else self._trusted_audience(wanted, service, is_named)",
        "wanted.own if wanted.is_own else wanted.declared[0]",
        (
            "tests/client/test_service_tokens.py::test_no_token_is_requested_for_an_audience_that_the_service_chose",
            "tests/client/test_service_tokens.py::test_an_audience_of_the_cluster_is_refused_also_where_the_user_gives_it",
        ),
    ),
    SourceControl(
        "where several services serve a model the user names one",
        "operator/flywheel/client/transport/model_services.py",
        "    if len(ours) > 1:\n",
        "    if False:\n",
        ("tests/client/test_service_tokens.py::test_two_services_of_a_model_are_told_apart_by_the_user",),
    ),
    SourceControl(
        "the address of a service in the cluster is built from its name",
        "operator/flywheel/client/session.py",
        'UrlEndpoint(f"http://{host}:{SERVER_PORT}", token, self.pool)',
        'UrlEndpoint(str(service["status"]["url"]), token, self.pool)',
        ("tests/client/test_service_tokens.py::test_in_a_pod_a_token_goes_where_the_name_leads_and_not_where_the_status_says",),
    ),
    SourceControl(
        "a program of the cluster runs here only if the user says so",
        "operator/flywheel/cli/run.py",
        "    if step.is_own_code:\n        return\n",
        "    return\n",
        ("tests/client/training/test_local_step.py::test_a_program_of_the_cluster_runs_only_if_the_user_says_so",),
    ),
    SourceControl(
        "a program of the cluster gets no credentials of the environment",
        "operator/flywheel/client/training/local_run.py",
        "if step.is_own_code or name in step.secret_variables or",
        "if True or",
        ("tests/client/training/test_local_step.py::test_a_program_of_the_cluster_gets_no_credential_of_the_users_environment",),
    ),
    SourceControl(
        "no log is stored with a Secret that cannot be masked",
        "images/runtime/flywheel_runtime/commands/collect/main_log.py",
        "[name for name in names if name not in env]:\n",
        "[name for name in names if False]:\n",
        ("tests/runtime/commands/collect/test_main_log.py::test_a_log_is_not_stored_if_a_secret_of_main_is_unknown",),
    ),
    SourceControl(
        "a field for a Secret that the policy does not know is noticed",
        "crds/inferenceservices.flywheel.ml.yaml",
        "                  hmac:\n",
        "                  hmacSecret: {type: string}\n                  hmac:\n",
        ("tests/apiserver/test_policies.py::test_every_field_that_names_a_secret_or_a_volume_is_in_these_tables",),
    ),
    SourceControl(
        "every change of a spec counts all names again",
        "charts/flywheel/templates/policies/secrets.yaml",
        "request.operation == 'CREATE' || object.spec != oldObject.spec",
        "request.operation == 'CREATE'",
        ("tests/apiserver/test_policies.py::test_a_change_of_the_spec_counts_all_names_again",),
    ),
    SourceControl(
        "the operator reports a policy that is missing",
        "operator/flywheel/engine/policy_check.py",
        "        if not in_force:\n",
        "        if False:\n",
        ("tests/engine/test_policy_check.py::test_a_policy_that_does_not_deny_is_named_with_its_guarantee",),
    ),
    SourceControl(
        "the operator has its rights in the watched namespaces alone",
        "charts/flywheel/templates/operator/clusterrole.yaml",
        '{{- range $namespace := include "flywheel.watched" . | fromJsonArray | default (list "") }}',
        '{{- range $namespace := list "" }}',
        ("tests/test_chart.py::test_the_operator_may_write_in_watched_namespaces_alone",),
    ),
    SourceControl(
        "a liveness probe ends a main that outstays its timeout",
        "operator/flywheel/core/pods/job.py",
        '        **({"livenessProbe": deadline_probe(step.timeout)} if step.timeout else {}),\n',
        "",
        ("tests/core/pods/test_job.py::test_the_kubelet_ends_a_main_that_watch_could_not_stop",),
    ),
    SourceControl(
        "main does not mount the token with which collect reads its log",
        "operator/flywheel/core/pods/job.py",
        '            {"name": "tmp", "mountPath": "/tmp", "subPath": "main"},\n',
        '            {"name": "tmp", "mountPath": "/tmp", "subPath": "main"},\n            *account_mounts(step.track),\n',
        ("tests/core/pods/test_job.py::test_only_collect_of_a_tracked_step_has_a_token",),
    ),
    SourceControl(
        "step pods may read logs and nothing else",
        "charts/flywheel/files/rules.yaml",
        "  resources:\n  - pods/log\n  verbs:\n",
        "  resources:\n  - pods\n  - pods/log\n  verbs:\n",
        ("tests/test_chart.py::test_a_step_pod_may_read_logs_of_its_namespace_alone",),
    ),
    SourceControl(
        "collect keeps the port of main's probe",
        "images/runtime/flywheel_runtime/commands/collect/main_observer.py",
        "        server.detach()\n",
        "        server.close()\n",
        ("tests/runtime/commands/collect/test_main_observer.py::test_main_cannot_listen_where_its_probe_is_sent",),
    ),
    SourceControl(
        "the role of a container stays as it was found first",
        "images/runtime/flywheel_runtime/contract/processes.py",
        "            if container not in self._roles and (role := self._find_role(processes)) is not None:\n",
        "            if (role := self._find_role(processes)) is not None:\n",
        ("tests/runtime/contract/test_processes.py::test_a_role_once_found_stays_whatever_main_does_to_its_processes",),
    ),
    SourceControl(
        "watch follows no links",
        "images/runtime/flywheel_runtime/commands/watch/readable_files.py",
        "os.stat(name, dir_fd=folder, follow_symlinks=False)",
        "os.stat(name, dir_fd=folder)",
        (
            "tests/runtime/commands/watch/test_readable_files.py::test_links_pipes_and_what_they_lead_to_are_left_alone",
        ),
    ),
    SourceControl(
        "a status has the place of a row, not its values",
        "images/runtime/flywheel_runtime/commands/batch/score.py",
        "({last.reason})",
        "({last.reason}: {last.message})",
        (
            "tests/runtime/commands/batch/test_failures.py::test_a_shard_with_too_many_row_errors_ends_at_once_and_leaves_them",
        ),
    ),
    SourceControl(
        "the chart refuses one key for several namespaces",
        "charts/flywheel/templates/_store.tpl",
        "(gt (len $.Values.namespaces) 1)",
        "false",
        (
            "tests/test_chart.py::test_one_key_of_an_external_store_for_several_namespaces_is_refused_unless_it_is_named",
        ),
    ),
    SourceControl(
        "two generations of keys are valid",
        "charts/flywheel/templates/_store.tpl",
        "{{- if gt $newest 1 }}{{ sub $newest 1 }} {{ end }}{{ $newest }}",
        "{{- $newest }}",
        ("tests/runtime/store/test_accounts.py::test_the_key_before_the_rotated_one_is_still_good",),
    ),
    SourceControl(
        "a request has a time limit",
        "images/serving/flywheel_serving/infer/model_loading.py",
        "Concurrency(max_calls, seconds, inline=False,",
        "Concurrency(max_calls, inline=False,",
        (
            "tests/serving/infer/test_time_limit.py::test_stuck_requests_end_at_their_limit_and_the_health_port_tells_it_once",
        ),
    ),
    SourceControl(
        "a call on the event loop is at most twice as large as one that was short",
        "images/serving/flywheel_serving/infer/runner.py",
        "self._inline and size <= self._inline_bytes.get(shapes, 0)",
        "self._inline",
        (
            "tests/serving/infer/test_runner.py::test_a_call_runs_on_the_event_loop_only_if_a_thread_computed_half_as_much_quickly",
        ),
    ),
    SourceControl(
        "outputs are bounded",
        "images/serving/flywheel_serving/model/onnx_model.py",
        "        if size > self._max_output_bytes:\n",
        "        if False:\n",
        ("tests/serving/infer/test_limits.py::test_outputs_beyond_the_limit_are_refused_and_the_server_goes_on",),
    ),
    SourceControl(
        "a name of two types counts as whole",
        "images/serving/flywheel_serving/workers/kernels.py",
        "{name for name, datatype in declared if datatype not in REAL_TYPES} | {b\"\"}",
        '{b""}',
        (
            "tests/serving/workers/test_kernels.py::test_a_name_that_is_declared_twice_or_is_no_text_hides_no_division",
        ),
    ),
    SourceControl(
        "the server unpickles nothing of a worker",
        "images/serving/flywheel_serving/workers/frames.py",
        "    content = orjson.loads(",
        '    content = __import__("pickle").loads(',
        ("tests/serving/workers/test_frames.py::test_a_damaged_message_is_an_error",),
    ),
    SourceControl(
        "waiting requests of the client with the most connections make room",
        "images/serving/flywheel_serving/http/connection_table.py",
        "        if waiting is None or peer == newest.peer:\n",
        "        if True:\n",
        (
            "tests/serving/http/test_connection.py::test_slow_bodies_of_two_clients_make_room_for_a_third",
            "tests/serving/rpc/test_service.py::test_calls_that_wait_for_their_client_make_room_for_anothers",
        ),
    ),
    SourceControl(
        "bytes of the client with the most make room",
        "images/serving/flywheel_serving/http/body_budget.py",
        "            if not self._evict_oldest(above=held):\n",
        "            if True:\n",
        (
            "tests/serving/http/test_connection.py::test_bytes_of_slow_bodies_make_room_for_another_clients",
            "tests/serving/http/test_connection.py::test_responses_that_are_not_read_make_room_for_another_clients_bytes",
            "tests/serving/http/test_connection.py::test_heads_without_an_end_make_room_for_another_clients_bytes",
        ),
    ),
    SourceControl(
        "the health port has probes alone",
        "images/serving/flywheel_serving/server.py",
        "            probes = HttpServer(HealthProbes(dataplane), HEALTH_LIMITS)\n",
        "            probes = self._http_server()\n",
        ("tests/serving/infer/test_time_limit.py::test_the_health_port_has_nothing_else",),
    ),
    SourceControl(
        "the headers of a request are bounded",
        "images/serving/flywheel_serving/http/parser.py",
        "        if self._head_bytes > MAX_HEAD_BYTES or self._header_count > MAX_HEADERS:\n",
        "        if False:\n",
        ("tests/serving/http/test_parser.py::test_more_headers_than_the_limit_are_refused",),
    ),
    SourceControl(
        "a body has one buffer",
        "images/serving/flywheel_serving/http/parser.py",
        "        elif isinstance(self._body, bytearray):\n            self._body += body\n",
        '        elif isinstance(self._body, bytearray):\n            self.__dict__.setdefault("parts", []).append(body)\n',
        ("tests/serving/http/test_parser.py::test_a_body_of_tiny_chunks_takes_the_memory_that_is_counted",),
    ),
    SourceControl(
        "keys of a silent issuer expire",
        "images/serving/flywheel_serving/auth/jwks.py",
        "        if self._clock() - self._published_at > MAX_AGE_SECONDS:\n",
        "        if False:\n",
        ("tests/serving/auth/test_jwks.py::test_keys_expire_while_the_issuer_is_down_and_return_with_it",),
    ),
    SourceControl(
        "the sink checks the names that the server sends",
        "images/serving/flywheel_serving/prediction_log/sink/writer.py",
        '        if not BOOT_ID.fullmatch(str(greeting["boot"])):\n',
        "        if False:\n",
        (
            "tests/serving/prediction_log/test_recorder.py::test_the_sink_ends_what_is_no_message_and_serves_the_next_connection",
        ),
    ),
    SourceControl(
        "external data of a model is refused",
        "images/serving/flywheel_serving/model/onnx_file.py",
        "        if tensor.external_data or tensor.data_location:\n",
        "        if False:\n",
        (
            "tests/serving/model/test_onnx_file.py::test_external_weights_are_loaded_by_onnxruntime_and_refused_here",
        ),
    ),
    SourceControl(
        "a simple POST of another origin is refused",
        "images/serving/flywheel_serving/rest/cors.py",
        '    if request.method != "POST" or not origin or origin in origins or ANY_ORIGIN in origins:\n',
        "    if True:\n",
        ("tests/serving/rest/test_cors.py::test_a_simple_post_of_another_origin_does_not_reach_the_model",),
    ),
    SourceControl(
        "of a report of watch only numbers are read",
        "images/runtime/flywheel_runtime/contract/config/watch.py",
        "[_number(usage.get(name)) for name in",
        "[usage.get(name) for name in",
        ("tests/runtime/commands/collect/test_main_observer.py::test_a_forged_report_says_nothing",),
    ),
    SourceControl(
        "one client has three quarters at most of all connections, calls and watches",
        "images/serving/flywheel_serving/http/connection_table.py",
        "        if len(self._by_peer[connection.peer]) > self._max_of_peer:\n",
        "        if False:\n",
        (
            "tests/serving/rpc/test_service.py::test_watches_of_health_leave_room_for_other_calls",
            "tests/serving/rpc/test_rpc_guard.py::test_reviews_of_one_client_leave_room_for_anothers",
        ),
    ),
    SourceControl(
        "one client has all calls of the model but one",
        "images/serving/flywheel_serving/infer/runner.py",
        "< max(1, self._max_calls - 1)",
        "< self._max_calls",
        ("tests/serving/infer/test_time_limit.py::test_a_client_with_stuck_requests_leaves_room_for_others",),
    ),
    SourceControl(
        "large bodies are decoded in turn for all clients",
        "images/serving/flywheel_serving/rest/large_bodies.py",
        "        self._waiting.move_to_end(peer)\n",
        "",
        ("tests/serving/rest/test_large_bodies.py::test_clients_take_turns",),
    ),
    SourceControl(
        "tokens are reviewed in turn for all clients",
        "images/serving/flywheel_serving/auth/review_queue.py",
        "            self._waiting.move_to_end(peer)\n",
        "",
        ("tests/serving/auth/test_review_queue.py::test_peers_take_turns",),
    ),
    SourceControl(
        "fetch brings the named files of an artifact alone",
        "images/runtime/flywheel_runtime/commands/fetch/from_store.py",
        " for file in files if not paths or file.path in paths]",
        " for file in files]",
        ("tests/runtime/commands/fetch/test_fetch.py::test_of_an_artifact_only_the_named_files_are_brought",),
    ),
    SourceControl(
        "tokens in use are renewed first",
        "images/serving/flywheel_serving/auth/review_queue.py",
        "        if is_renewal:\n",
        "        if False:\n",
        ("tests/serving/auth/test_review_queue.py::test_a_renewal_comes_first",),
    ),
    SourceControl(
        "a verdict on a token counts for its verb alone",
        "images/serving/flywheel_serving/auth/authenticator.py",
        "hashlib.sha256(salt + verb.encode()) for verb",
        "hashlib.sha256(salt) for verb",
        ("tests/serving/auth/test_authenticator.py::test_a_verdict_counts_for_its_verb_alone",),
    ),
    SourceControl(
        "posting labels needs its own verb",
        "images/serving/flywheel_serving/auth/kubernetes_review.py",
        '            "verb": verb,\n',
        '            "verb": "get",\n',
        ("tests/serving/auth/test_kubernetes_review.py::test_labels_need_a_verb_of_their_own",),
    ),
    SourceControl(
        "posting labels needs its own claims",
        "images/serving/flywheel_serving/auth/jwt_review.py",
        "self._config.label_claims if verb == LABEL_VERB else ()",
        "()",
        ("tests/serving/auth/test_jwt_review.py::test_labels_need_claims_of_their_own",),
    ),
    SourceControl(
        "labels of one client leave room for those of others",
        "images/serving/flywheel_serving/prediction_log/labels.py",
        "MAX_PENDING_BYTES_OF_PEER = MAX_PENDING_BYTES // 2",
        "MAX_PENDING_BYTES_OF_PEER = MAX_PENDING_BYTES",
        ("tests/serving/prediction_log/test_labels.py::test_one_client_cannot_fill_the_room_of_the_others",),
    ),
    SourceControl(
        "the probability of a label has a floor",
        "images/serving/flywheel_serving/prediction_log/labels.py",
        "not MIN_PROBABILITY <= probability <= 1",
        "not 0 < probability <= 1",
        ("tests/serving/prediction_log/test_labels.py::test_a_label_of_another_form_is_refused",),
    ),
    SourceControl(
        "no drawn label outweighs all others",
        "images/runtime/flywheel_runtime/monitoring/statistics/horvitz_thompson.py",
        "MAX_WEIGHT = 20.0",
        "MAX_WEIGHT = 1e9",
        ("tests/runtime/monitoring/labels/test_performance.py::test_one_label_with_the_least_probability_in_each_window_hides_no_drop",),
    ),
    SourceControl(
        "clients do not know the random numbers of their rows",
        "operator/flywheel/client/labels/label_sampling.py",
        'f"{salt}\\n{row}\\n{id}"',
        'f"{row}\\n{id}"',
        ("tests/client/labels/test_label_sampling.py::test_random_numbers_are_uniform_and_the_same_every_time",),
    ),
    SourceControl(
        "no logged text is a formula in a file of rows to label",
        "operator/flywheel/client/labels/queue_file.py",
        """text.lstrip("'").startswith(FORMULAS)""",
        "False",
        ("tests/cli/read/test_label_rows.py::test_a_text_that_a_spreadsheet_would_compute_is_a_text",),
    ),
    SourceControl(
        "no group of logged rows is in the status of a monitor",
        "images/runtime/flywheel_runtime/monitoring/fairness/fairness_analysis.py",
        "ObservedSubject(SIGNAL, column, version,",
        "ObservedSubject(SIGNAL, f'{column} {result.rates[0].group}', version,",
        ("tests/runtime/commands/monitor/test_fairness.py::test_a_group_that_is_called_positive_less_often_is_found",),
    ),
    SourceControl(
        "labels of drawn rows are tested by the probabilities of the draw",
        "images/runtime/flywheel_runtime/monitoring/labels/join.py",
        "        return self.sample.weights\n",
        "        return None\n",
        ("tests/runtime/monitoring/labels/test_performance.py::test_drawn_labels_are_tested_by_their_weights_so_that_no_biased_sample_alarms",),
    ),
)  # fmt: skip
