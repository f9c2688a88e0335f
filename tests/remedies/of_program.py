"""The remedies of what runs in `pulumi up` and on the rented machine."""

from __future__ import annotations

from tests.remedies.row import Row

_CONFIG = "tests/unit/components/config/test_remedies.py"
_ENGINE = "tests/program/test_interrupted.py"
_MACHINES = "tests/provider/test_no_machine_is_lost.py"
_PREFLIGHT = "tests/unit/components/test_preflight.py"
_PROVIDER = "tests/provider/test_remedies_of_the_provider.py"
_RENTALS = "tests/provider/test_remedies.py"
_TYPED = f"{_CONFIG}::test_the_commands_of_a_refused_config_mend_it"
_DONE = f"{_RENTALS}::test_what_a_refusal_says_is_done_and_the_next_update_works"
_AGAIN = f"{_RENTALS}::test_an_update_that_is_said_to_be_run_again_works_then"
_FLAG = "an argument of the program that a stage starts"


def _of(package: str, *rows: tuple[str, str, str]) -> tuple[Row, ...]:
    return tuple(
        Row(module=f"{package}.{module}", words=words, carried_out_by=test)
        for module, words, test in rows
    )


_OF_CONFIG = _of(
    "components.config",
    (
        "endpoints",
        "run `trainstack_leave`",
        f"{_CONFIG}::test_a_paid_stack_works_in_a_shell_that_left_the_local_world",
    ),
    (
        "endpoints",
        "run `source .local/env` first",
        f"{_CONFIG}::test_a_local_stack_works_in_a_shell_that_sourced_the_file",
    ),
    ("endpoints", "is not set; set it, or", _TYPED),
    ("refusals", "removes it, and what lies within", _TYPED),
    ("refusals", "unknown namespace", _TYPED),
    ("settings", "make another token", _TYPED),
    ("settings", "must be stored encrypted: pulumi config set --secret {}\n", _TYPED),
    ("settings", "needs a key", _TYPED),
)
_OF_PLANS = _of(
    "components.ionet",
    (
        "change",
        "Put the old value back",
        f"{_PROVIDER}::test_a_secret_that_a_live_machine_cannot_take_is_put_back_or_handed_to_another",
    ),
    ("change", "Set trainstack:durationHours back", _DONE),
    (
        "client",
        "refused the API key",
        f"{_PROVIDER}::test_a_refused_key_is_mended_by_the_variable_whatever_the_stacks_config_has",
    ),
    ("cost", "above the cap", _DONE),
    (
        "credentials",
        "Ask for fewer hours",
        f"{_PROVIDER}::test_credentials_that_end_too_early_last_for_fewer_hours_or_are_renewed",
    ),
    ("ending", "raise trainstack:renew", _DONE),
    (
        "engine_watchdog",
        "`pulumi cancel`",
        f"{_ENGINE}::test_an_engine_that_was_killed_leaves_a_lock_which_the_told_commands_open",
    ),
    (
        "market",
        "was chosen and is gone",
        f"{_PROVIDER}::test_an_offer_that_is_gone_is_chosen_anew_by_the_next_update",
    ),
    (
        "market",
        "quotes no price",
        f"{_RENTALS}::test_hours_that_nobody_quotes_are_set_back_or_bought_later",
    ),
    (
        "plan",
        "its state does not tell",
        f"{_PROVIDER}::test_hours_of_a_rental_that_the_state_does_not_tell_are_set_back_or_bought_by_hand",
    ),
    (
        "plan",
        "To have it at once",
        f"{_PROVIDER}::test_what_a_live_machine_keeps_is_had_at_once_by_a_renewal",
    ),
    (
        "plan",
        "has its verdict",
        f"{_RENTALS}::test_a_run_that_has_its_verdict_is_trained_again_when_rerun_is_raised",
    ),
    (
        "provider",
        "`pulumi up` rents it anew",
        f"{_RENTALS}::test_a_machine_that_refresh_found_ended_is_rented_anew_by_a_plain_update",
    ),
    (
        "provider",
        "python -m runs rm",
        f"{_PROVIDER}::test_the_farewell_names_the_command_that_deletes_what_is_kept",
    ),
    (
        "readiness",
        "gave no heartbeat",
        f"{_PROVIDER}::test_a_machine_without_heartbeat_is_waited_for_again_looked_into_or_given_back",
    ),
    (
        "readiness",
        "does not train",
        f"{_PROVIDER}::test_a_machine_that_answers_and_does_not_train_is_given_back_by_destroy",
    ),
    (
        "readiness",
        "before its first heartbeat",
        f"{_PROVIDER}::test_a_machine_that_ended_before_its_first_heartbeat_is_rented_again_by_a_plain_update",
    ),
    (
        "run_tokens",
        "python -m runs reap",
        f"{_PROVIDER}::test_a_token_that_could_not_be_revoked_is_found_by_the_command_that_is_told",
    ),
    (
        "session",
        "there is no io.net key",
        f"{_PROVIDER}::test_a_missing_key_is_set_in_the_environment",
    ),
)
_OF_RENTALS = _of(
    "components.ionet.rental",
    (
        "close",
        "python -m runs reap",
        f"{_PROVIDER}::test_what_a_silent_bucket_hid_is_found_by_the_command_that_is_told",
    ),
    ("extend", "asleep or too busy", _AGAIN),
    ("extend", "no clear answer", _AGAIN),
    ("extend", "Check the network", _AGAIN),
    (
        "give_back",
        "run `pulumi destroy` again, and look",
        f"{_RENTALS}::test_a_machine_that_is_slow_to_end_is_gone_after_another_destroy",
    ),
    (
        "give_back",
        "Set IONET_API_KEY to a key of the account",
        f"{_PROVIDER}::test_a_machine_that_no_account_shows_is_forgotten_by_what_is_told",
    ),
    (
        "others",
        "python -m runs reap",
        "tests/provider/test_reap.py::test_the_command_that_up_tells_when_another_machine_lives_can_be_typed",
    ),
    ("others", "Use that account's key", _DONE),
    (
        "rent",
        "adopted deployment",
        f"{_ENGINE}::test_what_is_told_with_an_adopted_machine_ends_the_warning_of_an_interrupted_creation",
    ),
    ("rent", "Raise trainstack:rerun", _DONE),
    ("send", "no clear answer", _AGAIN),
    ("send", "is being deleted", _DONE),
    ("send", "not recorded", _DONE),
    ("send", "another `pulumi up`", _AGAIN),
    ("send", "asleep or too busy", _AGAIN),
)
_OF_CHECKS = (
    *_of(
        "components",
        (
            "preflight",
            "refused the run's own credentials",
            f"{_PREFLIGHT}::test_refused_credentials_are_mended_as_it_is_told",
        ),
        (
            "preflight",
            "W&B refused the key",
            f"{_PREFLIGHT}::test_a_refused_wandb_key_is_replaced_or_not_needed",
        ),
        (
            "r2.verdict_reader",
            "Set it, or",
            "tests/unit/components/r2/test_verdict_reader.py::"
            "test_without_a_token_it_is_not_known_and_with_the_one_that_is_told_it_is",
        ),
    ),
)
_OF_CONTAINER = (
    Row(
        module="container.recipes._nanochat_flags",
        words="--run",
        no_remedy=_FLAG,
    ),
)

ROWS: tuple[Row, ...] = (*_OF_CONFIG, *_OF_PLANS, *_OF_RENTALS, *_OF_CHECKS, *_OF_CONTAINER)
