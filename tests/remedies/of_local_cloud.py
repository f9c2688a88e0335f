"""The remedies of the local cloud and of `make`."""

from __future__ import annotations

from tests.remedies.row import Row

_UNIT = "tests/unit/localcloud"
_DAEMON = f"{_UNIT}/docker/test_daemon.py"
_ENV_FILE = f"{_UNIT}/test_env_file.py"
_ENGINE = f"{_UNIT}/pulumi/engine"
_REMEDIES = f"{_UNIT}/test_remedies.py"

_AFTER = f"{_REMEDIES}::test_each_command_after_a_run_answers_about_it"
_INTERRUPTED = f"{_REMEDIES}::test_what_was_interrupted_goes_on_when_the_same_is_typed_again"
_STATUS = f"{_REMEDIES}::test_status_tells_what_runs_and_the_log_that_it_names_why_another_ended"
_KEPT = f"{_REMEDIES}::test_data_outlives_a_stop_and_goes_with_a_purge"
_STEPS = (
    "tests/e2e/test_printed_steps.py::"
    "test_each_step_that_start_prints_leaves_one_able_to_take_the_next"
)
_HEALED = "tests/e2e/test_heal.py::test_make_up_goes_on_by_itself_after_its_engine_was_killed"
_UP = "tests/e2e/test_main_job.py::test_a_run_trains_lands_in_the_bucket_and_is_given_back"
_RERUN = (
    "tests/provider/test_process.py::"
    "test_diff_takes_a_raised_rerun_as_another_run_although_the_old_has_ended"
)

ROWS: tuple[Row, ...] = (
    Row(
        module="localcloud.__main__",
        words="Interrupted.",
        carried_out_by=_UNIT + "/test_processes.py" + "::test_a_cancelled_start_leaves_nothing",
    ),
    Row(module="localcloud.cli", words="Stored data stays", carried_out_by=_KEPT),
    Row(module="localcloud.cli", words="starts what is not", carried_out_by=_STATUS),
    Row(
        module="localcloud.cli",
        words="has no log yet",
        carried_out_by=_REMEDIES + "::test_a_service_without_a_log_has_one_after_its_start",
    ),
    Row(
        module="localcloud.cli",
        words="No Pulumi engine is here",
        carried_out_by=_ENGINE
        + "/test_install.py"
        + "::test_an_engine_is_built_once_and_gets_its_hosts",
    ),
    Row(module="localcloud.cli", words="pulumi up --stack {}", carried_out_by=_STEPS),
    Row(module="localcloud.cli", words="trainstack_leave", carried_out_by=_STEPS),
    Row(
        module="localcloud.docker.daemon",
        words="DOCKER_HOST names an engine",
        carried_out_by=_DAEMON
        + "::test_a_docker_host_that_does_not_answer_is_unset_and_this_machines_engine_taken",
    ),
    Row(
        module="localcloud.docker.daemon",
        words="cannot run dockerd itself",
        carried_out_by=_DAEMON
        + "::test_a_machine_that_cannot_run_an_engine_takes_one_that_is_named_or_mounted",
    ),
    Row(
        module="localcloud.docker.network",
        words="another network holds",
        carried_out_by=_DAEMON
        + "::test_addresses_that_another_network_holds_are_free_after_either_remedy",
    ),
    Row(
        module="localcloud.docker.network",
        words="keeps its networks elsewhere",
        carried_out_by=_DAEMON + "::test_a_network_with_a_gateway_here_is_made_once",
    ),
    Row(
        module="localcloud.env_file",
        words="writes this anew",
        carried_out_by=_ENV_FILE
        + "::test_the_file_of_a_world_that_is_gone_says_so_and_sets_nothing",
    ),
    Row(
        module="localcloud.env_file",
        words="source this file",
        carried_out_by=_ENV_FILE + "::test_a_shell_that_sources_it_has_every_variable",
    ),
    Row(
        module="localcloud.env_file",
        words="To leave it again",
        carried_out_by=_ENV_FILE + "::test_leaving_restores_the_environment",
    ),
    Row(module="localcloud.env_file", words="Written by", no_remedy="says who wrote the file"),
    Row(
        module="localcloud.env_file",
        words="trainstack_leave() {",
        no_remedy="a line of the shell's function",
    ),
    Row(
        module="localcloud.env_file",
        words="unset TRAINSTACK_PROGRAMS",
        no_remedy="a line of the shell's function",
    ),
    Row(module="localcloud.env_file", words="unset -f", no_remedy="a line of the shell's function"),
    Row(
        module="localcloud.main_job.__main__",
        words="what was rented goes on",
        carried_out_by=_HEALED,
    ),
    Row(
        module="localcloud.main_job.__main__", words="make down` again", carried_out_by=_INTERRUPTED
    ),
    Row(
        module="localcloud.main_job.__main__",
        words="make purge` again",
        carried_out_by=_INTERRUPTED,
    ),
    Row(module="localcloud.main_job.cli", words="make up", no_remedy="the command's own name"),
    Row(module="localcloud.main_job.cli", words="make purge", no_remedy="the command's own name"),
    Row(module="localcloud.main_job.cli", words="pulumi up: stack", no_remedy="a heading"),
    Row(module="localcloud.main_job.cli", words="Given back: the machine", carried_out_by=_KEPT),
    Row(
        module="localcloud.main_job.cli",
        words="Still running",
        carried_out_by=_REMEDIES
        + "::test_a_cloud_that_runs_elsewhere_is_stopped_by_the_command_that_down_tells",
    ),
    Row(
        module="localcloud.main_job.cli",
        words="holds no local cloud; see",
        carried_out_by=_REMEDIES
        + "::test_a_folder_that_holds_no_cloud_gives_way_to_the_one_that_the_variable_names",
    ),
    Row(
        module="localcloud.main_job.cli",
        words="no terminal to ask on",
        carried_out_by=_REMEDIES
        + "::test_purge_is_done_without_a_terminal_by_the_command_that_it_tells",
    ),
    Row(
        module="localcloud.main_job.cli",
        words="is not deleted",
        no_remedy="a heading, below which each reason stands",
    ),
    Row(
        module="localcloud.main_job.cli",
        words="leaves it",
        carried_out_by=_ENV_FILE + "::test_leaving_restores_the_environment",
    ),
    Row(module="localcloud.main_job.cli", words="python -m runs loss", carried_out_by=_AFTER),
    Row(module="localcloud.main_job.cli", words="python -m runs chat", carried_out_by=_AFTER),
    Row(module="localcloud.main_job.cli", words="python -m runs pull", carried_out_by=_AFTER),
    Row(module="localcloud.main_job.cli", words="python -m runs status", carried_out_by=_AFTER),
    Row(module="localcloud.main_job.cli", words="python -m runs logs", carried_out_by=_AFTER),
    Row(module="localcloud.main_job.cli", words="pulumi up", carried_out_by=_UP),
    Row(module="localcloud.main_job.cli", words="make down", carried_out_by=_HEALED),
    Row(module="localcloud.main_job.cli", words="raise trainstack:rerun", carried_out_by=_RERUN),
    Row(module="localcloud.main_job.cli", words="trains it from the start", carried_out_by=_RERUN),
    Row(
        module="localcloud.object_store.seaweedfs",
        words="did not answer in",
        carried_out_by=_STATUS,
    ),
    Row(
        module="localcloud.place",
        words="cannot be read",
        carried_out_by=_UNIT
        + "/main_job/test_cli.py"
        + "::test_purge_stops_and_deletes_a_cloud_whose_place_is_damaged",
    ),
    Row(
        module="localcloud.place",
        words="is a copy of",
        carried_out_by=_UNIT
        + "/main_job/test_cli.py"
        + "::test_purge_of_a_copied_checkout_leaves_what_the_original_runs",
    ),
    Row(
        module="localcloud.processes",
        words="End that process",
        carried_out_by=_UNIT + "/test_processes.py" + "::test_a_taken_port_names_who_holds_it",
    ),
    Row(
        module="localcloud.pulumi.engine.build",
        words="GOPROXY",
        carried_out_by=_ENGINE
        + "/test_install.py"
        + "::test_a_download_that_is_refused_is_made_from_the_proxy_that_is_set",
    ),
    Row(
        module="localcloud.pulumi.engine.host.language_host",
        words="cannot run the Pulumi program",
        carried_out_by=_ENGINE
        + "/test_hosts.py"
        + "::test_a_launcher_becomes_the_interpreter_of_the_nearest_environment",
    ),
    Row(
        module="localcloud.pulumi.engine.host.language_host",
        words="the project's own",
        carried_out_by="tests/unit/test_setup.py"
        "::test_an_environment_whose_python_was_removed_is_made_again",
    ),
    Row(
        module="localcloud.pulumi.plugins.cloudflare_http",
        words="There is no Cloudflare API token",
        carried_out_by=_UNIT
        + "/pulumi/plugins/test_cloudflare_plugin.py"
        + "::test_without_a_token_nothing_is_sent",
    ),
    Row(
        module="localcloud.pulumi.plugins.cloudflare_http",
        words="nobody answers at",
        carried_out_by=_STATUS,
    ),
    Row(
        module="localcloud.pulumi.plugins.install", words="failed:", no_remedy="quotes what failed"
    ),
    Row(module="localcloud.pulumi.stack", words="pulumi cancel", carried_out_by=_HEALED),
    Row(
        module="localcloud.cloudflare_api.errors",
        words="Please try again",
        no_remedy="the vendor's words, as its stand-in says them",
    ),
    Row(
        module="localcloud.docker.base_image",
        words="Delete that file and try again",
        no_remedy="only a Docker engine whose disk is full refuses an image",
    ),
    Row(
        module="localcloud.docker.daemon",
        words="Install Docker (",
        no_remedy="it takes root, and changes what is installed on this machine",
    ),
    Row(
        module="localcloud.docker.daemon",
        words="It is installed but not running",
        no_remedy="it takes root, and changes what is installed on this machine",
    ),
    Row(
        module="localcloud.docker.debian",
        words="cannot be installed from here",
        no_remedy="it takes root, and changes what is installed on this machine",
    ),
    Row(
        module="localcloud.docker.debian",
        words="could not install {}",
        no_remedy="it takes root, and changes what is installed on this machine",
    ),
    Row(
        module="localcloud.docker.debian",
        words="could not download {}",
        no_remedy="it takes root, and changes what is installed on this machine",
    ),
    Row(
        module="localcloud.docker.network",
        words="docker ps --all",
        no_remedy="what holds them is not known: they are shown, for a person to judge",
    ),
    Row(
        module="localcloud.docker.network",
        words="See `docker network ls",
        no_remedy="what holds it is not known: it is shown, for a person to judge",
    ),
    Row(
        module="localcloud.docker.network",
        words="Try again",
        no_remedy="a daemon that once did not do as it was asked",
    ),
    Row(
        module="localcloud.main_job.cli",
        words="is changing stack {} now",
        carried_out_by="tests/unit/localcloud/main_job/test_cli.py::test_purge_waits_for_a_person_while_an_engine_works_on_the_stack",
    ),
    Row(
        module="localcloud.place",
        words="free ports side by side",
        carried_out_by="tests/unit/localcloud/test_place.py::test_ports_are_found_once_less_is_listening",
    ),
    Row(
        module="localcloud.place",
        words="Leave the VPN",
        no_remedy="it takes root to change what this machine routes",
    ),
    Row(
        module="localcloud.pulumi.engine.__main__",
        words="Interrupted;",
        carried_out_by="tests/unit/localcloud/pulumi/engine/test_install.py::test_what_an_interrupted_build_left_is_cleared",
    ),
    Row(
        module="localcloud.pulumi.engine.build",
        words="Install Go",
        no_remedy="it changes what is installed on this machine",
    ),
    Row(
        module="localcloud.pulumi.engine.install",
        words="Install Pulumi by hand",
        no_remedy="it changes what is installed on this machine",
    ),
    Row(
        module="localcloud.pulumi.stack",
        words="is being changed by another",
        carried_out_by="tests/e2e/test_heal.py::test_make_up_goes_on_by_itself_after_its_engine_was_killed",
    ),
    Row(
        module="localcloud.pulumi.stack",
        words="cannot be read ({})",
        carried_out_by="tests/unit/localcloud/pulumi/test_stack.py::test_a_lock_that_cannot_be_read_is_none_once_it_is_deleted",
    ),
    Row(
        module="localcloud.purge",
        words="does not say which containers",
        no_remedy="what is left over is another's perhaps: it is shown, for a person to judge",
    ),
)
