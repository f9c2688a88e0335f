"""The remedies of what runs in `pulumi up` and on the rented machine."""

from __future__ import annotations

from tests.remedies.row import Row

CONFIG = "tests/unit/components/config/test_config_commands.py::"
E2E = "tests/e2e/test_main_job.py::"
FIRST = "tests/provider/test_first_hours.py::"
NEXT_OFFER = f"{FIRST}test_the_next_update_takes_the_next_offer_up_to_so_many_attempts"
REAP = "tests/provider/test_reap.py::"
REMEDY = "tests/provider/test_remedies.py::"
RENTAL = "tests/provider/test_remedies_of_rentals.py::"
SHELL = "tests/unit/components/config/test_remedies.py::"
KILLED = "tests/program/test_interrupted.py::"
UPSTREAM = "tests/unit/components/test_upstream_check.py::"
PREFLIGHT = "tests/unit/components/test_preflight.py::"

RESTART = "tests/provider/test_restart.py::"
AFTER_A_SAVE = "tests/provider/test_restart_after_a_save.py::"
IN_TIME = "tests/provider/test_restart_in_time.py::"
DONE = f"{RENTAL}test_what_a_refusal_says_is_done_and_the_next_update_works"
DAEMON_TOLD = (
    "tests/unit/runs/test_remedies_of_doctor.py::"
    "test_what_is_wrong_with_a_docker_daemon_is_told_with_its_remedy"
)
RUN_AGAIN = f"{RENTAL}test_an_update_that_is_said_to_be_run_again_works_then"
MENDED_BY_ITS_COMMAND = f"{CONFIG}test_the_command_that_a_refused_config_names_mends_it"

BARE = "tests/container/test_bare_container.py::"
WORDS = "tests/unit/components/test_remedies_in_words.py::"
EDGE = "tests/unit/container/contract/test_edge.py::"
ASKED_AGAIN = f"{WORDS}test_a_vendor_that_could_not_be_asked_is_asked_again"
OPENED = (
    "tests/contract/test_runs_bucket.py::"
    "test_a_wrong_key_no_bucket_and_no_server_are_three_different_answers"
)


def row(module: str, words: str, test: str) -> Row:
    return Row(module=module, words=words, carried_out_by=test)


ROWS: tuple[Row, ...] = (
    row(
        "components.ionet.idle",
        "does not train, and bills",
        "tests/provider/test_stop.py::"
        "test_the_run_saves_and_writes_its_verdict_before_its_machine_is_given_back",
    ),
    row(
        "components.ionet.idle",
        "python -m runs stop",
        "tests/provider/test_stop.py::"
        "test_the_run_saves_and_writes_its_verdict_before_its_machine_is_given_back",
    ),
    row(
        "components.ionet.idle",
        "pulumi destroy",
        "tests/e2e/test_main_job.py::test_a_run_trains_lands_in_the_bucket_and_is_given_back",
    ),
    row(
        "container.supervisor.supervisor",
        "python -m runs stop {} --bucket {}",
        "tests/provider/test_ended_runs.py::"
        "test_whatever_looks_at_a_run_that_has_ended_says_that_its_machine_is_still_rented",
    ),
    row("components.build_failure", "its programs are of", DAEMON_TOLD),
    row("components.build_failure", "containerd store is at fault", DAEMON_TOLD),
    row("components.build_failure", "lets this user in", DAEMON_TOLD),
    row(
        "components.build_failure",
        "refused the base image",
        "tests/unit/runs/test_remedies_of_doctor.py::"
        "test_a_registry_that_refuses_lets_in_after_the_commands_that_are_told",
    ),
    row(
        "components.image_context",
        "could not be copied to",
        "tests/unit/components/test_image_context.py::"
        "test_a_context_that_cannot_be_written_is_one_message_whose_remedy_helps",
    ),
    row(
        "container.supervisor.bare",
        "or set RECIPE to one for the processor",
        f"{BARE}test_without_gpus_the_recipe_that_is_told_trains",
    ),
    row(
        "components.config.endpoints",
        "are two names of one key",
        f"{REMEDY}test_two_names_of_one_key_that_differ_are_refused_until_one_is_unset",
    ),
    row(
        "components.config.endpoints",
        "run `trainstack_leave`",
        f"{SHELL}test_a_paid_stack_works_in_a_shell_that_left_the_local_world",
    ),
    row(
        "components.config.endpoints",
        "run `source .local/env`",
        f"{SHELL}test_a_local_stack_works_in_a_shell_that_sourced_the_file",
    ),
    row(
        "components.config.endpoints",
        "is not set; set it, or",
        f"{CONFIG}test_a_key_that_is_not_in_the_environment_may_be_set_in_the_config",
    ),
    row("components.config.refusals", "unknown namespace", MENDED_BY_ITS_COMMAND),
    row(
        "components.config.refusals",
        "what lies within",
        f"{CONFIG}test_what_lies_within_a_key_is_set_by_its_path",
    ),
    row(
        "components.config.settings",
        "must be stored encrypted",
        MENDED_BY_ITS_COMMAND,
    ),
    row("components.config.settings", "--secret {}:wandbApiKey", MENDED_BY_ITS_COMMAND),
    row("components.ionet.change", "Set trainstack:durationHours back", DONE),
    row(
        "components.ionet.client",
        "io.net refused the API key",
        f"{REMEDY}test_a_refused_key_is_mended_by_the_variable_whatever_the_stacks_config_has",
    ),
    row("components.ionet.cost", "Raise trainstack:maxCostUsd", DONE),
    row(
        "components.ionet.hours_told",
        "it tells the run, and buys nothing twice",
        "tests/provider/test_process.py::"
        "test_a_run_that_cannot_be_told_of_more_hours_is_told_by_the_next_update",
    ),
    row(
        "container.supervisor.hours_watch",
        "To buy more hours",
        "tests/provider/test_process.py::"
        "test_a_run_is_told_until_when_its_machine_is_paid_and_of_more_hours",
    ),
    row(
        "components.ionet.credentials",
        "Ask for fewer hours",
        f"{REMEDY}test_credentials_that_end_too_early_last_for_fewer_hours_or_are_renewed",
    ),
    row("components.ionet.ending", "h are over, and its run has not ended", DONE),
    row(
        "components.ionet.engine_watchdog",
        "run the same command again",
        f"{KILLED}test_an_engine_that_was_killed_leaves_a_lock_which_the_told_commands_open",
    ),
    row(
        "components.ionet.market",
        "was chosen and is gone",
        f"{REMEDY}test_an_offer_that_is_gone_is_chosen_anew_by_the_next_update",
    ),
    row(
        "components.ionet.market",
        "quotes no price",
        f"{RENTAL}test_hours_that_nobody_quotes_are_set_back_or_bought_later",
    ),
    row(
        "components.ionet.plan_hours",
        "does not tell what was rented",
        f"{REMEDY}test_hours_of_a_rental_that_the_state_does_not_tell_are_set_back_or_bought_by_hand",
    ),
    row(
        "components.ionet.plan",
        "To have it at once raise trainstack:renew",
        f"{RESTART}test_what_a_live_machine_keeps_is_had_at_once_by_a_renewal",
    ),
    row(
        "components.ionet.plan",
        "is not what was planned any more",
        f"{RESTART}test_a_run_that_ended_while_its_restart_was_planned_is_left_as_it_is",
    ),
    row(
        "components.ionet.plan_restart",
        "has trained just this before",
        f"{RESTART}test_a_training_that_has_its_verdict_is_not_begun_again_by_changing_back",
    ),
    row(
        "components.ionet.rental.restart",
        "gave no sign of life in",
        f"{IN_TIME}test_a_container_that_gives_no_sign_of_life_is_waited_for_again",
    ),
    row(
        "components.ionet.rental.restart",
        "Its machine was told nothing",
        f"{IN_TIME}test_what_cannot_be_recorded_is_not_sent",
    ),
    row(
        "components.ionet.rental.restart",
        "it looks what became of the run",
        f"{RESTART}test_a_machine_that_ended_meanwhile_is_looked_for_by_the_next_update",
    ),
    row(
        "components.ionet.rental.restart",
        "it looks before it sends anything",
        f"{IN_TIME}test_a_vendor_that_is_silent_after_the_change_is_asked_by_the_next_update",
    ),
    row(
        "components.ionet.rental.restart",
        "io.net starts no other container",
        f"{RESTART}test_what_the_vendor_does_not_do_is_recorded_and_the_next_preview_offers_"
        "another_machine",
    ),
    *(
        row(
            module,
            words,
            f"{RESTART}test_a_bucket_that_refuses_is_asked_again_by_the_next_update_and_nothing_"
            "is_sent_twice",
        )
        for module, words in (
            ("components.ionet.restarting", "starts and buys nothing twice"),
            ("components.r2.life_signs", "it is not known whether its container trains"),
        )
    ),
    row(
        "components.ionet.restart_plan",
        "would not end in the",
        f"{RESTART}test_a_number_of_hours_that_is_too_low_is_refused_until_it_is_raised",
    ),
    row(
        "components.ionet.planned",
        "To train again: raise trainstack:rerun",
        f"{RENTAL}test_a_run_that_has_its_verdict_is_trained_again_when_rerun_is_raised",
    ),
    row(
        "components.ionet.provider",
        "`pulumi up` rents it anew",
        f"{RENTAL}test_a_machine_that_refresh_found_ended_is_rented_anew_by_a_plain_update",
    ),
    row(
        "components.ionet.deletion",
        "Nothing deletes what is kept but you",
        f"{REMEDY}test_the_farewell_names_the_command_that_deletes_what_is_kept",
    ),
    row(
        "components.ionet.readiness",
        "`pulumi up` waits again",
        f"{REMEDY}test_a_machine_without_heartbeat_is_waited_for_again_looked_into_or_given_back",
    ),
    row(
        "components.ionet.readiness",
        "answers, and does not train",
        f"{REMEDY}test_a_machine_that_answers_and_does_not_train_is_given_back_by_destroy",
    ),
    row(
        "components.ionet.readiness",
        "mend those, then run",
        "tests/provider/test_first_hours.py::"
        "test_an_image_that_cannot_be_pulled_is_no_attempt_and_makes_no_place_bad",
    ),
    row(
        "components.ionet.readiness",
        "before its first heartbeat",
        f"{REMEDY}test_a_machine_that_ended_before_its_first_heartbeat_is_rented_again_by_a_plain_update",
    ),
    row(
        "components.ionet.rental.stop",
        "0 asks the run nothing",
        "tests/provider/test_destroy.py::"
        "test_a_bound_that_is_no_time_is_refused_before_anything_is_done",
    ),
    row(
        "components.ionet.rental.close",
        "look what bills",
        f"{REMEDY}test_what_a_silent_bucket_hid_is_found_by_the_command_that_is_told",
    ),
    row("components.ionet.rental.first_hours", "and none worked", NEXT_OFFER),
    row("components.ionet.rental.first_hours", "Try the next offer", NEXT_OFFER),
    row(
        "components.ionet.rental.first_hours",
        "That were all",
        f"{FIRST}test_the_last_attempt_says_which_key_allows_another",
    ),
    row(
        "components.ledger.ledger",
        "Delete that object to forget it",
        f"{FIRST}test_a_bucket_whose_list_of_bad_places_is_damaged_rents_all_the_same",
    ),
    row(
        "components.ionet.rental.automatic",
        "raise trainstack:maxCostUsd",
        "tests/provider/test_automatic_hours.py::test_only_hours_that_the_budget_pays_are_bought",
    ),
    row("components.ionet.rental.extension", "When the other one is done", RUN_AGAIN),
    row("components.ionet.rental.extension", "Check the network", RUN_AGAIN),
    row(
        "components.ionet.rental.extension",
        "Raise trainstack:maxUsdPerGpuHour",
        "tests/provider/test_automatic_hours.py::"
        "test_the_price_of_a_gpus_hour_holds_for_extensions_too",
    ),
    row("components.ionet.rental.reserve", "asleep or too busy", RUN_AGAIN),
    row("components.ionet.rental.extend", "no clear answer to the extension", RUN_AGAIN),
    row(
        "components.ionet.stopping",
        "lets it go on from its newest checkpoint",
        f"{AFTER_A_SAVE}test_what_is_put_back_after_such_a_kill_goes_on_by_itself",
    ),
    row(
        "components.ionet.stopping",
        "Its run may have stopped",
        f"{AFTER_A_SAVE}test_an_order_that_cannot_be_taken_back_now_is_by_the_next_update",
    ),
    row(
        "components.ionet.rental.give_back",
        "may still bill. It stays",
        f"{RENTAL}test_a_machine_that_is_slow_to_end_is_gone_after_another_destroy",
    ),
    row(
        "components.ionet.rental.give_back",
        "of the account that rented it",
        f"{REMEDY}test_a_machine_that_no_account_shows_is_forgotten_by_what_is_told",
    ),
    row(
        "components.ionet.rental.others",
        "python -m runs reap {} --stack {} --yes",
        f"{REAP}test_the_command_that_up_tells_when_another_machine_lives_can_be_typed",
    ),
    row("components.ionet.rental.others", "it may live in another account", DONE),
    row(
        "components.ionet.rental.rent",
        "--clear-pending-creates",
        f"{KILLED}test_what_is_told_with_an_adopted_machine_ends_the_warning_of_an_interrupted_creation",
    ),
    row("components.ionet.rental.rent", "is not paid for again", DONE),
    row("components.ionet.rental.send", "looks for the name before it rents", RUN_AGAIN),
    row("components.ionet.rental.intent", "Finish it, then start anew", DONE),
    row("components.ionet.rental.intent", "not recorded could be lost", DONE),
    row("components.ionet.rental.intent", "When the other one is done", RUN_AGAIN),
    row(
        "components.ionet.run_tokens",
        "may be left, valid until they expire",
        f"{REMEDY}test_a_token_that_could_not_be_revoked_is_found_by_the_command_that_is_told",
    ),
    row(
        "components.ionet.session",
        "there is no io.net key",
        f"{REMEDY}test_a_missing_key_is_set_in_the_environment",
    ),
    row(
        "components.preflight",
        "refused the run's own credentials",
        f"{PREFLIGHT}test_refused_credentials_are_mended_as_it_is_told",
    ),
    row(
        "components.preflight",
        "W&B refused the key",
        f"{PREFLIGHT}test_a_refused_wandb_key_is_replaced_or_not_needed",
    ),
    row(
        "components.upstream_check",
        "Put it at a mirror and set trainstack:datasetMirror",
        f"{UPSTREAM}test_a_file_that_a_mirror_has_needs_no_upstream",
    ),
    row(
        "components.upstream_check",
        "Set trainstack:hubMirror to",
        f"{UPSTREAM}test_a_mirror_of_the_hub_that_has_them_ends_the_refusal",
    ),
    row(
        "components.r2.verdict_reader",
        "CLOUDFLARE_API_TOKEN is not set. Set it",
        "tests/unit/components/r2/test_verdict_reader.py::"
        "test_without_a_token_it_is_not_known_and_with_the_one_that_is_told_it_is",
    ),
    row(
        "container.contract.edge",
        "`make setup` makes .venv",
        "tests/unit/test_setup.py::test_what_an_installer_fails_by_is_one_line_and_the_next_one_repairs_it",
    ),
    row(
        "components.config.one_run",
        "`pulumi config set --path` sets the keys of one run.",
        f"{CONFIG}test_a_key_of_one_run_is_set_by_its_path",
    ),
    Row(
        module="components.config.one_run",
        words="(?P<set>",
        no_remedy="the pattern by which keys in messages are found",
    ),
    Row(
        module="container.recipes._nanochat_flags",
        words="--run=",
        no_remedy="a flag of nanochat's programs",
    ),
    row("components.ionet.client", "gave no answer to", ASKED_AGAIN),
    row("components.ionet.client", "gave no usable answer", ASKED_AGAIN),
    row(
        "components.ionet.offers",
        "it would fit: set trainstack:durationHours",
        "tests/unit/components/ionet/test_offers.py::"
        "test_the_hours_that_a_refusal_names_are_enough",
    ),
    row(
        "components.ionet.quote",
        "raise trainstack:maxUsdPerGpuHour",
        "tests/unit/components/ionet/test_quote.py::"
        "test_a_price_above_the_hours_cap_is_told_with_the_raise_that_helps",
    ),
    row(
        "components.ionet.offers",
        "widen trainstack:locations",
        f"{WORDS}test_where_there_is_no_room_wider_locations_have_some",
    ),
    row(
        "components.ledger.ledger",
        "Use the version",
        f"{WORDS}test_a_page_of_a_newer_release_is_read_by_the_release_that_wrote_it",
    ),
    row(
        "components.preflight",
        "could not be used for",
        f"{WORDS}test_a_bucket_that_was_not_reached_passes_the_preflight_once_it_is",
    ),
    row(
        "components.preflight",
        "Check trainstack:imageRepository",
        f"{WORDS}test_an_image_that_is_pushed_passes_the_preflight",
    ),
    row(
        "components.r2.cloudflare",
        "Choose another trainstack:bucket",
        f"{WORDS}test_a_name_that_is_taken_elsewhere_gives_way_to_another",
    ),
    row(
        "components.r2.bucket_check",
        "delete it, and Pulumi gets that",
        "tests/unit/components/r2/test_bucket_check.py::"
        "test_a_jurisdiction_that_the_installed_provider_refuses_makes_no_bucket",
    ),
    row("components.r2.cloudflare", "Check the network, then try again", ASKED_AGAIN),
    row("components.r2.cloudflare", "with {}. Try again.", ASKED_AGAIN),
    row(
        "components.r2.cloudflare",
        "Check trainstack:cloudflareAccountId",
        f"{WORDS}test_a_token_with_the_rights_that_are_named_is_taken",
    ),
    row(
        "components.r2.verdict_reader",
        "Use the version",
        f"{WORDS}test_a_verdict_is_read_by_the_release_that_wrote_it_and_with_a_key_that_may",
    ),
    row(
        "components.r2.verdict_reader",
        "Check CLOUDFLARE_API_TOKEN",
        f"{WORDS}test_a_verdict_is_read_by_the_release_that_wrote_it_and_with_a_key_that_may",
    ),
    row(
        "container.contract.edge",
        "Make room there",
        f"{EDGE}test_where_there_is_room_again_the_same_ends_well",
    ),
    Row(
        module="container.contract.edge",
        words="Make room within the quota",
        no_remedy="a quota takes root to set, and a file system that has them",
    ),
    row(
        "container.contract.edge",
        "ulimit -n",
        f"{EDGE}test_with_more_of_what_was_short_the_same_ends_well",
    ),
    row(
        "container.contract.edge",
        "not enough free memory",
        f"{EDGE}test_with_more_of_what_was_short_the_same_ends_well",
    ),
    row(
        "container.transport.network",
        "must be the address of an HTTP proxy",
        "tests/unit/components/test_http_session.py::test_what_can_be_followed_is_no_problem",
    ),
    row("container.transport.r2", "check the token and the bucket's name", OPENED),
    row("container.transport.r2", "its account and its jurisdiction", OPENED),
    row(
        "container.transport.r2",
        "set it, best by NTP",
        "tests/unit/container/transport/test_clock_of_the_operator.py::"
        "test_once_the_clock_is_right_the_same_is_answered",
    ),
    row(
        "container.nanochat.prepare",
        "set trainstack:hubMirror to a mirror",
        "tests/container/test_recipes_prepare.py::"
        "test_question_sets_come_from_the_hubs_mirror_also_where_nanochat_names_the_hub",
    ),
    row(
        "container.telemetry.notifier",
        "unless `pulumi destroy` gives it back",
        f"{E2E}test_a_run_trains_lands_in_the_bucket_and_is_given_back",
    ),
    row(
        "container.web.chat_page",
        "some seconds after the verdict",
        f"{E2E}test_a_run_trains_lands_in_the_bucket_and_is_given_back",
    ),
)
