"""The remedies of what runs in `pulumi up` and on the rented machine."""

from __future__ import annotations

from tests.remedies.row import Row

CONFIG = "tests/unit/components/config/test_config_commands.py::"
E2E = "tests/e2e/test_main_job.py::"
LOST = "tests/provider/test_no_machine_is_lost.py::"
PROCESS = "tests/provider/test_process.py::"
REAP = "tests/provider/test_reap.py::"
REMEDY = "tests/provider/test_remedies.py::"
# Thousands of stories, in each of which every refusal that a command names is carried out.
STORIES = "tests/provider/test_stories.py::"

ANY_STORY = f"{STORIES}test_whatever_happens_no_machine_is_lost_doubled_or_left"
MENDED_BY_ITS_COMMAND = f"{CONFIG}test_the_command_that_a_refused_config_names_mends_it"
RENTED_ANEW = f"{E2E}test_a_machine_that_somebody_deleted_is_rented_anew_by_a_plain_update"
RENEWED = f"{E2E}test_a_run_that_is_renewed_goes_on_with_new_credentials_on_another_machine"
RENTED_ONCE = f"{PROCESS}test_create_rents_exactly_one_machine_however_the_vendor_answers"
EXTENDED_ONCE = f"{PROCESS}test_update_extends_once_however_often_it_is_called"


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
        "components.config.endpoints",
        "run `trainstack_leave`",
        f"{E2E}test_the_env_file_leaves_the_local_world_as_it_entered_it",
    ),
    row(
        "components.config.endpoints",
        "run `source .local/env`",
        "tests/e2e/test_printed_steps.py::"
        "test_each_step_that_start_prints_leaves_one_able_to_take_the_next",
    ),
    row(
        "components.config.endpoints",
        "is not set; set it, or",
        f"{CONFIG}test_a_key_that_is_not_in_the_environment_may_be_set_in_the_config",
    ),
    row("components.config.refusals", "removes it", MENDED_BY_ITS_COMMAND),
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
    row(
        "components.ionet.change",
        "Put the old value back; or raise",
        f"{REMEDY}test_an_old_key_put_back_is_no_change_and_a_new_one_goes_with_renew",
    ),
    row(
        "components.ionet.change",
        "Set trainstack:durationHours back",
        f"{REMEDY}test_hours_set_back_as_told_leave_the_machine_as_it_is",
    ),
    row(
        "components.ionet.client",
        "io.net refused the API key",
        f"{REMEDY}test_the_right_key_opens_what_a_wrong_one_did_not",
    ),
    row(
        "components.ionet.cost",
        "Raise trainstack:maxCostUsd",
        f"{REMEDY}test_a_raised_cap_or_fewer_hours_are_rented",
    ),
    row(
        "components.ionet.credentials",
        "Ask for fewer hours",
        f"{REMEDY}test_credentials_that_end_too_early_are_enough_for_fewer_hours_or_made_anew",
    ),
    row(
        "components.ionet.ending",
        "h are over, and its run has not ended",
        f"{LOST}test_hours_that_are_over_are_said_and_nothing_is_bought",
    ),
    row(
        "components.ionet.engine_watchdog",
        "run `pulumi up` again",
        f"{E2E}test_an_engine_killed_while_it_rents_leaves_one_machine_which_the_next_up_adopts",
    ),
    row(
        "components.ionet.market",
        "was chosen and is gone",
        f"{REMEDY}test_when_the_chosen_offer_is_gone_another_update_chooses_anew",
    ),
    row(
        "components.ionet.market",
        "quotes no price",
        f"{REMEDY}test_where_no_price_is_quoted_the_old_hours_leave_the_machine_running",
    ),
    row(
        "components.ionet.plan",
        "does not tell what was rented",
        f"{REMEDY}test_a_state_without_an_offer_is_left_alone_at_its_old_hours",
    ),
    row("components.ionet.plan", "To have it at once raise trainstack:renew", RENEWED),
    row(
        "components.ionet.plan",
        "To train again: raise trainstack:rerun",
        f"{PROCESS}test_diff_takes_a_raised_rerun_as_another_run_although_the_old_has_ended",
    ),
    row("components.ionet.provider", "`pulumi up` rents it anew", RENTED_ANEW),
    row(
        "components.ionet.provider",
        "Nothing deletes it but you",
        "tests/contract/test_runs_bucket.py::test_rm_shows_first_and_deletes_only_when_told_so",
    ),
    row(
        "components.ionet.readiness",
        "`pulumi up` waits again",
        f"{REMEDY}test_a_machine_without_a_heartbeat_is_waited_for_again_or_given_back",
    ),
    row(
        "components.ionet.readiness",
        "answers, and does not train",
        f"{PROCESS}test_delete_returns_when_the_machine_is_gone_and_can_be_called_again",
    ),
    row("components.ionet.readiness", "before its first heartbeat", RENTED_ANEW),
    row(
        "components.ionet.rental.close",
        "look what bills",
        f"{REAP}test_all_is_found_and_a_machine_given_back_though_the_state_is_lost",
    ),
    row("components.ionet.rental.extend", "too busy to extend", EXTENDED_ONCE),
    row("components.ionet.rental.extend", "no clear answer to the extension", EXTENDED_ONCE),
    row("components.ionet.rental.extend", "Check the network", EXTENDED_ONCE),
    row(
        "components.ionet.rental.give_back",
        "may still bill. It stays",
        f"{PROCESS}test_delete_returns_when_the_machine_is_gone_and_can_be_called_again",
    ),
    row(
        "components.ionet.rental.give_back",
        "of the account that rented it",
        f"{LOST}test_a_machine_that_nobody_shows_is_forgotten_by_a_deliberate_act",
    ),
    row(
        "components.ionet.rental.others",
        "python -m runs reap {} --stack {} --yes",
        f"{REAP}test_the_command_that_up_tells_when_another_machine_lives_can_be_typed",
    ),
    row(
        "components.ionet.rental.others",
        "it may live in another account",
        f"{REAP}test_what_this_account_does_not_show_is_only_forgotten_in_so_many_words",
    ),
    row(
        "components.ionet.rental.rent",
        "--clear-pending-creates",
        f"{E2E}test_an_engine_killed_while_it_rents_leaves_one_machine_which_the_next_up_adopts",
    ),
    row(
        "components.ionet.rental.rent",
        "is not paid for again",
        f"{PROCESS}test_diff_takes_a_raised_rerun_as_another_run_although_the_old_has_ended",
    ),
    row("components.ionet.rental.send", "looks for the name before it rents", RENTED_ONCE),
    row("components.ionet.rental.send", "Finish it, then start anew", ANY_STORY),
    row("components.ionet.rental.send", "not recorded could be lost", ANY_STORY),
    row("components.ionet.rental.send", "When the other one is done", ANY_STORY),
    row("components.ionet.rental.send", "too busy to rent", RENTED_ONCE),
    row(
        "components.ionet.run_tokens",
        "may be left, valid until they expire",
        f"{REAP}test_a_token_is_revoked_by_its_id_and_a_second_time_is_no_error",
    ),
    row(
        "components.ionet.session",
        "there is no io.net key",
        f"{REMEDY}test_the_right_key_opens_what_a_wrong_one_did_not",
    ),
    row("components.preflight", "refused the run's own credentials", RENEWED),
    row(
        "components.preflight",
        "W&B refused the key",
        "tests/unit/components/test_preflight.py::"
        "test_a_wandb_key_that_is_wrong_is_told_before_anything_is_rented",
    ),
    row(
        "components.r2.verdict_reader",
        "CLOUDFLARE_API_TOKEN is not set. Set it",
        f"{REMEDY}test_the_operators_token_tells_what_was_not_known_without_one",
    ),
    row(
        "container.contract.edge",
        "`make setup` makes .venv",
        "tests/unit/test_setup.py::test_what_an_installer_fails_by_is_one_line_and_the_next_one_repairs_it",
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
        "container.web.chat_page",
        "some seconds after the verdict",
        f"{E2E}test_a_run_trains_lands_in_the_bucket_and_is_given_back",
    ),
)
