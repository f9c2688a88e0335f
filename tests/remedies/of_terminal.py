"""The remedies of `python -m runs`."""

from __future__ import annotations

from tests.remedies.row import Row

_MEMORY = "tests/unit/runs/test_remedies.py"
_KEYS = "tests/unit/runs/test_remedies_of_keys.py"
_DOCTOR = "tests/unit/runs/test_remedies_of_doctor.py"
_CHAT = "tests/unit/runs/test_remedies_of_chat.py"
_BUCKET = "tests/unit/runs/test_remedies_of_a_bucket.py"
_REAP = "tests/provider/test_remedies_of_reap.py"
_LEDGER = "tests/provider/test_no_machine_is_lost.py"

_PULL = "tests/unit/runs/commands/test_pull_model.py"

_NAMED = f"{_MEMORY}::test_a_command_that_a_message_names_answers_about_the_same_bucket"
_OFFERED = f"{_MEMORY}::test_a_run_that_a_message_offers_can_be_named_as_it_stands_there"
_OPTIONS = f"{_MEMORY}::test_options_that_contradict_each_other_lead_on_as_the_message_says"
_RM = f"{_MEMORY}::test_rm_leads_from_its_list_to_the_deletion"
_SOURCED = (
    f"{_DOCTOR}::"
    "test_a_shell_that_is_half_in_the_local_world_is_in_it_after_the_source_that_is_told"
)
_KNOWN = f"{_REAP}::test_what_the_stack_knows_is_given_back_or_forgotten_by_the_words_that_are_told"
_LISTED = f"{_REAP}::test_the_commands_that_a_list_ends_in_are_typed_with_its_ids"
_STRANGERS = (
    f"{_REAP}::test_machines_that_the_doctor_does_not_know_are_listed_by_the_command_it_names"
)
_NO_CHAT = f"{_CHAT}::test_without_a_chat_the_commands_that_are_named_answer_about_the_same_run"
_PROMPT = f"{_CHAT}::test_a_prompt_that_is_missing_is_said_as_the_message_asks"
_AGAIN = (
    f"{_BUCKET}::"
    "test_the_doctor_that_is_named_tells_of_the_bucket_and_the_same_again_does_when_it_is_well"
)
_SOURCE = (
    "tests/unit/localcloud/test_dev_stack.py::"
    "test_after_the_source_that_is_printed_pulumi_finds_its_state_its_stack_and_its_plugins"
)
_UP = "tests/e2e/test_main_job.py::test_a_run_trains_lands_in_the_bucket_and_is_given_back"
_RENTED_ANEW = f"{_LEDGER}::test_a_machine_that_somebody_deleted_is_rented_anew_by_a_plain_update"


_ENDED = "tests/provider/test_ended_runs.py"


_STILL = (
    f"{_ENDED}::test_whatever_looks_at_a_run_that_has_ended_says_that_its_machine_is_still_rented"
)


ROWS: tuple[Row, ...] = (
    Row(module="runs.rented", words="python -m runs stop {}", carried_out_by=_STILL),
    Row(
        module="runs.commands.reap",
        words=". Say --yes.",
        carried_out_by=f"{_ENDED}::test_a_schedule_gives_back_what_succeeded_and_nothing_else",
    ),
    Row(
        module="runs.reaping",
        words="else say --failed",
        carried_out_by=f"{_ENDED}::test_a_schedule_gives_back_what_succeeded_and_nothing_else",
    ),
    Row(
        module="runs.cli",
        words="To go on, stop the run once more",
        carried_out_by="tests/provider/test_stop.py"
        "::test_ctrl_c_takes_the_order_back_and_the_same_again_goes_on",
    ),
    Row(
        module="runs.checks",
        words="half of a local world",
        carried_out_by=_DOCTOR
        + "::test_a_shell_with_addresses_and_no_mark_is_in_the_real_world_once_they_are_unset",
    ),
    Row(module="runs.checks", words="source .local/env again", carried_out_by=_SOURCED),
    Row(module="runs.checks", words="which sets them all anew", carried_out_by=_SOURCED),
    Row(module="runs.checks", words="make up, then", carried_out_by=_SOURCED),
    Row(
        module="runs.checks",
        words="--bucket was given",
        no_remedy="says what was asked for, no remedy",
    ),
    Row(module="runs.checks", words="or install Pulumi", carried_out_by=_SOURCE),
    Row(
        module="runs.checks",
        words="or set a token",
        carried_out_by=f"{_DOCTOR}::test_a_cloudflare_token_that_is_missing_is_set",
    ),
    Row(module="runs.checks", words="look with", carried_out_by=_STRANGERS),
    Row(module="runs.checks", words="of another stack", carried_out_by=_STRANGERS),
    Row(
        module="runs.checks",
        words="NAME` and",
        carried_out_by=_DOCTOR
        + "::test_a_registry_that_refuses_lets_in_after_the_commands_that_are_told",
    ),
    Row(
        module="runs.checks",
        words="`pulumi config set --secret {}`",
        carried_out_by=_DOCTOR
        + "::test_a_wandb_key_that_is_refused_is_replaced_by_the_command_that_is_told",
    ),
    Row(
        module="runs.checks",
        words="gone, starting",
        carried_out_by=_DOCTOR
        + "::test_a_machine_that_does_not_answer_is_told_of_by_the_status_that_is_named",
    ),
    Row(
        module="runs.cli",
        words="Look at training runs",
        no_remedy="the help, which says what each option is",
    ),
    Row(
        module="runs.cli",
        words="Look again",
        carried_out_by=_MEMORY + "::test_after_ctrl_c_the_command_that_is_named_looks_on",
    ),
    Row(
        module="runs.commands.doctor",
        words="say --report too",
        carried_out_by="tests/contract/test_vendor_report.py"
        "::test_a_report_is_written_to_another_file_when_that_is_said",
    ),
    Row(module="runs.cli", words="is worth repeating", no_remedy="a line of the help"),
    Row(
        module="runs.commands.again",
        words="no stack is named",
        carried_out_by="tests/unit/runs/commands/test_again.py::test_a_stack_has_to_be_named",
    ),
    Row(module="runs.cli", words="Delete what a run left", no_remedy="a line of the help"),
    Row(
        module="runs.cli",
        words="list again with",
        carried_out_by=_REAP + "::test_after_ctrl_c_the_list_that_is_named_shows_what_became_of_it",
    ),
    Row(module="runs.commands.chat", words="Say --prompt too", carried_out_by=_PROMPT),
    Row(module="runs.commands.chat", words="no status_url", carried_out_by=_NO_CHAT),
    Row(module="runs.commands.chat", words="no prompt", carried_out_by=_PROMPT),
    Row(module="runs.commands.pull", words="no artefact is like", carried_out_by=_NAMED),
    Row(
        module="runs.commands.pull",
        words="copies its checkpoints",
        carried_out_by=_PULL
        + "::test_a_run_of_an_older_release_has_its_checkpoints_copied_by_the_command_that_is_told",
    ),
    Row(module="runs.commands.pull", words="no model was finished", carried_out_by=_NAMED),
    Row(
        module="runs.commands.pull",
        words="contradict",
        carried_out_by=_PULL + "::test_of_the_model_and_a_part_one_is_said",
    ),
    Row(
        module="runs.commands.pull",
        words="name a folder",
        carried_out_by=_MEMORY + "::test_a_file_in_the_way_of_a_copy_gives_way_to_a_folder",
    ),
    Row(
        module="runs.commands.pull",
        words="as it was left",
        carried_out_by=_MEMORY
        + "::test_what_the_bucket_does_not_hold_as_it_was_left_is_sought_among_all_artefacts",
    ),
    Row(
        module="runs.commands.pull",
        words="has no manifest",
        carried_out_by=_MEMORY + "::test_what_has_no_manifest_is_copied_when_the_option_is_said",
    ),
    Row(
        module="runs.commands.reap",
        words="no deployment id or token id is",
        carried_out_by=f"{_REAP}::test_the_list_that_is_named_shows_what_can_be",
    ),
    Row(
        module="runs.commands.reap",
        words="no state was asked: name",
        carried_out_by=f"{_REAP}::test_no_state_is_asked_until_a_stack_is_named",
    ),
    Row(
        module="runs.commands.reap",
        words="Nothing was done",
        carried_out_by="tests/provider/test_reap.py::test_a_token_is_revoked_by_its_id_and_a_second_time_is_no_error",
    ),
    Row(module="runs.commands.reap", words="reap ID --yes", carried_out_by=_LISTED),
    Row(module="runs.commands.reap", words="To forget a rental", carried_out_by=_LISTED),
    Row(module="runs.commands.rm", words="which run?", carried_out_by=_RM),
    Row(module="runs.commands.rm", words="Where no verdict", carried_out_by=_RM),
    Row(module="runs.commands.rm", words=" and, as the run", carried_out_by=_RM),
    Row(
        module="runs.commands.rm",
        words="Nothing was deleted",
        carried_out_by=_MEMORY
        + "::test_a_run_with_a_verdict_is_deleted_by_the_one_word_that_is_asked_for",
    ),
    Row(module="runs.commands.rm", words="still declares this run", carried_out_by=_RENTED_ANEW),
    Row(
        module="runs.commands.quote",
        words="Name it: --stack",
        carried_out_by="tests/contract/test_runs_quote.py::"
        "test_what_a_run_has_cost_counts_where_stack_and_bucket_tell_it_and_is_said_where_not",
    ),
    Row(
        module="runs.extending",
        words="--extend needs the stack",
        carried_out_by="tests/provider/test_automatic_hours.py::"
        "test_extend_without_a_stack_or_hours_that_it_allows_is_refused",
    ),
    Row(
        module="runs.extending",
        words="--extend buys nothing",
        carried_out_by="tests/provider/test_automatic_hours.py::"
        "test_extend_without_a_stack_or_hours_that_it_allows_is_refused",
    ),
    Row(
        module="runs.commands.watch", words="while it is still billed", carried_out_by=_RENTED_ANEW
    ),
    Row(module="runs.commands.watch", words="still rented and billed", carried_out_by=_UP),
    Row(module="runs.commands.watch", words="The whole output", carried_out_by=_NAMED),
    Row(
        module="runs.download.puller",
        words="Name another folder",
        carried_out_by=_MEMORY + "::test_a_disk_without_room_gives_way_to_another_folder_or_a_part",
    ),
    Row(
        module="runs.inventory",
        words="CLOUDFLARE_API_TOKEN",
        carried_out_by=_REAP + "::test_a_token_of_cloudflare_that_is_missing_is_set_or_is_a_stacks",
    ),
    Row(
        module="runs.machines",
        words="no io.net key",
        carried_out_by=_REAP + "::test_a_key_of_io_net_that_is_missing_is_set_or_is_a_stacks",
    ),
    Row(module="runs.model_client", words="no answer from", carried_out_by=_NO_CHAT),
    Row(
        module="runs.model_client",
        words="refused the access token",
        carried_out_by=_CHAT
        + "::test_a_token_that_is_refused_is_another_after_the_update_that_is_told",
    ),
    Row(module="runs.model_client", words="keeps no chat", carried_out_by=_NO_CHAT),
    Row(module="runs.model_client", words="is not ready", carried_out_by=_NO_CHAT),
    Row(module="runs.model_client", words="to the chat", carried_out_by=_NO_CHAT),
    Row(
        module="runs.reaping",
        words="no live machine",
        carried_out_by=f"{_REAP}::test_the_list_that_is_named_shows_what_can_be",
    ),
    Row(module="runs.reaping", words="gives it back and forgets it", carried_out_by=_KNOWN),
    Row(module="runs.reaping", words="says how it is forgotten", carried_out_by=_KNOWN),
    Row(
        module="runs.reaping",
        words="which {} rented",
        carried_out_by=_REAP + "::test_a_rental_of_another_account_is_seen_with_that_accounts_key",
    ),
    Row(
        module="runs.same_place",
        words="(?P<runs>",
        no_remedy="the pattern that finds commands in messages",
    ),
    Row(module="runs.source.bucket", words="has not come that far", carried_out_by=_NAMED),
    Row(
        module="runs.source.bucket",
        words="nothing answers at",
        carried_out_by=_BUCKET + "::test_an_address_where_nobody_is_gives_way_to_one_that_is_set",
    ),
    Row(module="runs.source.bucket", words="in bucket {}: {}, at {}", carried_out_by=_AGAIN),
    Row(
        module="runs.source.bucket",
        words="there is no bucket",
        carried_out_by="tests/program/test_program.py::test_a_missing_bucket_is_made_first_and_then_adopted",
    ),
    Row(module="runs.source.bucket", words="refused the key", carried_out_by=_AGAIN),
    Row(module="runs.source.bucket", words="the server answered", carried_out_by=_AGAIN),
    Row(module="runs.source.run_lookup", words="is the ledger", carried_out_by=_NAMED),
    Row(
        module="runs.source.run_lookup",
        words="has written nothing",
        carried_out_by=_REAP
        + "::test_a_run_that_has_written_nothing_has_the_machine_that_reap_shows",
    ),
    Row(module="runs.source.run_lookup", words="starts the stack's runs", carried_out_by=_NAMED),
    Row(module="runs.source.run_lookup", words="  --run {}", carried_out_by=_OFFERED),
    Row(module="runs.source.run_lookup", words="tells more", carried_out_by=_NAMED),
    Row(module="runs.source.selector", words="names more than a bucket", carried_out_by=_OPTIONS),
    Row(module="runs.source.selector", words="no run of that stack", carried_out_by=_OPTIONS),
    Row(module="runs.source.selector", words="is no run prefix", carried_out_by=_OPTIONS),
    Row(module="runs.source.selector", words="no run in it", carried_out_by=_OPTIONS),
    Row(module="runs.source.selector", words="two buckets", carried_out_by=_OPTIONS),
    Row(module="runs.source.selector", words="Leave --stack out", carried_out_by=_OPTIONS),
    Row(
        module="runs.source.source",
        words="that stack's bucket is",
        carried_out_by=_REAP + "::test_of_two_options_that_mean_two_buckets_either_alone_is_asked",
    ),
    Row(
        module="runs.source.source",
        words="no bucket: the stack",
        carried_out_by=_KEYS + "::test_a_stack_that_tells_no_bucket_gives_way_to_one_that_is_named",
    ),
    Row(
        module="runs.source.source",
        words="the address that was given",
        carried_out_by=_KEYS
        + "::test_an_address_of_another_account_is_read_with_the_variable_that_is_told",
    ),
    Row(
        module="runs.source.source",
        words="no Cloudflare account",
        carried_out_by=_KEYS + "::test_an_account_is_told_by_either_variable_that_is_named",
    ),
    Row(module="runs.source.source", words="  --run {}", carried_out_by=_OFFERED),
    Row(
        module="runs.source.source",
        words="no key for the bucket",
        carried_out_by=f"{_KEYS}::test_each_key_that_is_named_opens_the_bucket",
    ),
    Row(
        module="runs.source.source",
        words="TRAINSTACK_STACK, beside",
        carried_out_by=f"{_KEYS}::test_each_key_that_is_named_opens_the_bucket",
    ),
    Row(
        module="runs.source.token_check",
        words="cannot check the Cloudflare token: no answer",
        carried_out_by=_KEYS + "::test_a_cloudflare_that_does_not_answer_is_one_that_is_started",
    ),
    Row(
        module="runs.source.token_check",
        words="needs its account",
        carried_out_by=_KEYS + "::test_an_accounts_token_is_taken_once_its_account_is_told",
    ),
    Row(
        module="runs.source.stack",
        words="not on PATH",
        carried_out_by=f"{_KEYS}::test_without_pulumi_a_bucket_that_is_named_does",
    ),
    Row(
        module="runs.source.stack",
        words="Select a stack",
        carried_out_by=f"{_KEYS}::test_without_a_stack_one_is_named_or_a_bucket",
    ),
    Row(
        module="runs.source.stack",
        words="something else than JSON",
        carried_out_by=_KEYS
        + "::test_a_program_that_is_no_pulumi_gives_way_to_the_one_before_it_on_the_path",
    ),
    Row(
        module="runs.tokens",
        words="revokes it",
        carried_out_by=_LEDGER + "::test_no_token_outlives_its_run_whether_a_state_knows_it_or_not",
    ),
    Row(
        module="runs.view.panel",
        words="more: python",
        carried_out_by=_MEMORY + "::test_more_runs_than_fit_are_all_in_the_status_that_is_named",
    ),
    Row(
        module="runs.cli",
        words="Interrupted. The same again goes on",
        carried_out_by="tests/contract/test_runs_bucket.py::test_a_cut_copy_goes_on_where_it_was",
    ),
    Row(
        module="runs.cli",
        words="Some of it may be deleted",
        carried_out_by=f"{_BUCKET}::test_a_deletion_that_was_interrupted_goes_on_with_the_same_again",
    ),
    Row(
        module="runs.commands.reap",
        words="Run the same again",
        carried_out_by="tests/provider/test_reap.py::"
        "test_who_does_not_answer_is_told_and_hides_no_machine",
    ),
    Row(
        module="runs.download.puller",
        words="Copy again",
        carried_out_by="tests/contract/test_runs_bucket.py::test_a_cut_copy_goes_on_where_it_was",
    ),
    Row(
        module="runs.model_client",
        words="Ask again",
        carried_out_by="tests/unit/runs/test_model_client.py::"
        "test_a_question_that_is_asked_again_is_answered",
    ),
    Row(
        module="runs.reaping",
        words="Look again then",
        carried_out_by="tests/unit/runs/test_reaping.py::"
        "test_an_intent_is_looked_at_again_once_no_machine_can_come_of_it",
    ),
    Row(
        module="runs.rentals",
        words="Try the same again",
        carried_out_by="tests/provider/test_reap.py::"
        "test_who_does_not_answer_is_told_and_hides_no_machine",
    ),
    Row(
        module="runs.source.bucket",
        words="It is damaged, or a newer",
        carried_out_by=f"{_BUCKET}::test_a_record_that_was_damaged_is_read_once_it_is_whole",
    ),
    Row(
        module="runs.source.bucket",
        words="tells no time",
        carried_out_by=f"{_BUCKET}::test_an_address_where_nobody_is_gives_way_to_one_that_is_set",
    ),
    Row(
        module="runs.source.bucket",
        words="address of the whole account",
        carried_out_by="tests/contract/test_runs_bucket.py::"
        "test_a_bucket_that_is_not_at_the_address_is_told_by_every_command",
    ),
    Row(
        module="runs.source.source",
        words="bring the stack up first",
        carried_out_by="tests/unit/runs/test_remedies_of_chat.py::"
        "test_a_token_that_is_refused_is_another_after_the_update_that_is_told",
    ),
    Row(
        module="runs.source.token_check",
        words="Try again in a minute",
        carried_out_by=f"{_BUCKET}::test_a_cloudflare_that_is_busy_is_asked_again",
    ),
)
