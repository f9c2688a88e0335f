"""`runs` against a real S3 server, on records that the test writes; commands as they are typed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from container.contract.records import Attempt, RunRecord
from runs import remove
from runs.cli import main
from runs.download.plan import JOURNAL, plan
from runs.download.puller import Puller
from runs.download.resume_log import ResumeLog
from runs.errors import AccessRefusedError, NoSuchRunError, RunsError, UnreachableError
from runs.source.bucket import ReadOnlyBucket
from runs.source.selector import Selector
from runs.source.source import Source
from runs.terminal import progress_bar
from tests import ROOT
from tests.container.s3_server import ACCESS_KEY, SECRET_KEY, S3Server, s3_server
from tests.runs_builders import BEAT, jsonl, manifest, metric, status, verdict

NAME = "runs-tests"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as found:
        found.client().create_bucket(Bucket=NAME)
        yield found


@pytest.fixture
def prefix(server: S3Server) -> Iterator[str]:
    """A run prefix of this test's own, emptied at the end."""
    name = f"dev-main-{secrets.token_hex(4)}-deadbeef"
    yield name
    store = bucket(server)
    remove.remove(store, remove.remains(store, name), progress=lambda _: None)


def environ(server: S3Server) -> dict[str, str]:
    return {
        "R2_ENDPOINT_URL": server.endpoint,
        "R2_ACCESS_KEY_ID": ACCESS_KEY,
        "R2_SECRET_ACCESS_KEY": SECRET_KEY,
        "CLOUDFLARE_ACCOUNT_ID": "acc",
    }


def bucket(server: S3Server, **changes: str) -> ReadOnlyBucket:
    words = Selector(bucket=changes.pop("name", NAME))
    return Source(words, environ={**environ(server), **changes}).bucket


def put(server: S3Server, prefix: str, contents: Mapping[str, bytes]) -> None:
    client = server.client()
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda item: client.put_object(
                    Bucket=NAME, Key=f"{prefix}/{item[0]}", Body=item[1]
                ),
                contents.items(),
            )
        )


def finished_run(server: S3Server, prefix: str, artifacts: Mapping[str, bytes]) -> None:
    record = RunRecord(
        run="main",
        recipe="rehearsal",
        settings={},
        price_usd_per_hour=0.4,
        duration_hours=1,
        created_at=BEAT,
    )
    first = Attempt(number=1, started_at=BEAT, host="c0ffee", reason="first start")
    put(
        server,
        prefix,
        {
            **artifacts,
            "run.json": record.to_json(),
            "attempts/1.json": first.to_json(),
            "status.json": status(stage="flush", loss=None, outcome="succeeded").to_json(),
            "metrics/1-00000.jsonl": jsonl(
                *(metric("base", n, loss=6 - n / 20) for n in range(60))
            ),
            "metrics/2-00000.jsonl": jsonl(*(metric("base", n, loss=2.0) for n in range(40, 50))),
            "logs/1-base-00000.log": b"first line\nsecond li",
            "logs/1-base-00001.log": b"ne\n",
            "logs/2-base-00000.log": b"again\n",
            "manifest.json": manifest(artifacts).to_json(),
            "verdict.json": verdict(attempt=2).to_json(),
        },
    )


@dataclass(frozen=True)
class Done:
    stdout: str
    stderr: str


@pytest.fixture
def runs(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Run a command line within this process, which saves seconds of start for each."""
    for name, value in environ(server).items():
        monkeypatch.setenv(name, value)

    def run(*words: str, expect: int = 0, cwd: Path = ROOT) -> Done:
        monkeypatch.setattr(sys, "argv", ["runs", *words, "--bucket", NAME])
        monkeypatch.chdir(cwd)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert (ended.value.code or 0) == expect, told.err
        assert SECRET_KEY not in told.out + told.err
        return Done(told.out, told.err)

    return run


@pytest.fixture
def runs_of_stack(
    server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Done]:
    """Run a command line that asks a stack, whose outputs a program named pulumi prints."""

    def run(*words: str, outputs: Mapping[str, Any]) -> Done:
        program = tmp_path / "pulumi"
        program.write_text(
            f"#!/bin/sh\ncase \"$*\" in *output*) echo '{json.dumps(outputs)}';; "
            "*) echo '{}';; esac\n"
        )
        program.chmod(0o755)
        for name, value in {**environ(server), "PATH": f"{tmp_path}:/usr/bin:/bin"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["runs", *words, "--stack", "dev"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert not ended.value.code, told.err
        return Done(told.out, told.err)

    return run


ARTIFACTS = {
    "checkpoints/base/d4/model_000100.pt": hashlib.shake_128(b"weights").digest(3_000_000),
    "tokenizer/tokenizer.pkl": b"tok" * 1000,
    "report/report.md": b"# report\n",
    "report/empty.txt": b"",
}


def test_a_listing_of_more_than_a_thousand_objects_is_whole(server: S3Server, prefix: str) -> None:
    put(server, prefix, {f"metrics/1-{n:05}.jsonl": b"x" for n in range(1205)})
    keys = [stored.key for stored in bucket(server).objects(f"{prefix}/")]
    assert keys == [f"{prefix}/metrics/1-{n:05}.jsonl" for n in range(1205)]


def test_each_command_reads_a_finished_run(
    runs: Callable[..., Done], server: S3Server, prefix: str
) -> None:
    finished_run(server, prefix, ARTIFACTS)
    which = ("--prefix", prefix)

    assert "main succeeded" in runs("watch", *which).stdout
    assert json.loads(runs("watch", *which, "--json").stdout)["standing"] == "succeeded"
    assert json.loads(runs("status", *which, "--json").stdout)["exit_code"] == 0
    assert "succeeded" in runs("status", *which).stdout

    listed = {entry["prefix"]: entry for entry in json.loads(runs("list", "--json").stdout)}
    assert listed[prefix]["standing"] == "succeeded"
    assert listed[prefix]["loss"] == 2.0
    assert listed[prefix]["size_bytes"] == sum(len(raw) for raw in ARTIFACTS.values())
    assert prefix in runs("list").stdout

    table = runs("artifacts", *which).stdout
    assert re.search(r"checkpoints/base/d4/model_000100.pt +3.00 MB", table)
    assert re.search(r"4 objects +3.00 MB", table)

    curve = json.loads(runs("loss", *which, "--json").stdout)
    assert [point["loss"] for point in curve if point["step"] == 45] == [2.0]
    assert curve[-1]["step"] == 49
    assert "main base" in runs("loss", *which).stdout
    assert runs("loss", *which, "--csv", "--stage", "tokenizer").stdout.count("\n") == 1

    (cost,) = json.loads(runs("cost", *which, "--json").stdout)
    assert (cost["bought_usd"], cost["used_usd"]) == ("0.4", "0.02")
    assert "first start" in runs("cost", *which).stdout

    logs = runs("logs", *which)
    assert logs.stdout == "first line\nsecond line\nagain\n"
    assert "==> base, attempt 2" in logs.stderr
    assert runs("logs", *which, "--attempt", "1", "-n", "1").stdout == "second line\n"
    assert runs("logs", *which, "--follow").stdout == logs.stdout


def test_no_output_is_wider_than_80_columns(
    runs: Callable[..., Done], server: S3Server, prefix: str
) -> None:
    finished_run(server, prefix, ARTIFACTS)
    for command in ("status", "list", "artifacts", "cost", "loss"):
        which = () if command == "list" else ("--prefix", prefix)
        lines = runs(command, *which).stdout.splitlines()
        assert max(len(line) for line in lines) <= 80, command


def test_a_run_is_pulled_verified_and_pulled_again_for_nothing(
    runs: Callable[..., Done], server: S3Server, prefix: str, tmp_path: Path
) -> None:
    finished_run(server, prefix, ARTIFACTS)
    done = runs("pull", "--prefix", prefix, cwd=tmp_path)
    folder = tmp_path / "pulled" / prefix
    assert {key: (folder / key).read_bytes() for key in ARTIFACTS} == ARTIFACTS
    assert "4 copied" in done.stdout
    assert (tmp_path / "pulled" / ".gitignore").read_text() == "*\n"
    assert not list(folder.rglob("*.part"))
    again = json.loads(runs("pull", "--prefix", prefix, "--json", cwd=tmp_path).stdout)
    assert {file["result"] for file in again["files"]} == {"already here"}


@pytest.mark.parametrize("same_size", [True, False])
def test_an_object_that_is_not_what_the_manifest_says_is_not_taken(
    runs: Callable[..., Done], server: S3Server, prefix: str, tmp_path: Path, same_size: bool
) -> None:
    finished_run(server, prefix, ARTIFACTS)
    key = "checkpoints/base/d4/model_000100.pt"
    damaged = bytearray(ARTIFACTS[key])
    damaged[2_000_000] ^= 1
    put(server, prefix, {key: bytes(damaged) if same_size else bytes(damaged[:-1])})
    done = runs("pull", "--prefix", prefix, "--to", "here", expect=1, cwd=tmp_path)
    assert f"damaged: {key}" in done.stderr
    assert not (tmp_path / "here" / key).exists()
    assert (tmp_path / "here" / "tokenizer/tokenizer.pkl").exists()


@pytest.mark.parametrize("size_bytes", [0, 50_000, 250_000])
def test_an_object_that_was_cut_in_the_bucket_is_told_and_the_rest_is_copied(
    server: S3Server, prefix: str, tmp_path: Path, size_bytes: int
) -> None:
    """The server answers ranges beyond the end with InvalidRange, whatever the first one gave."""
    finished_run(server, prefix, ARTIFACTS)
    key = "checkpoints/base/d4/model_000100.pt"
    put(server, prefix, {key: ARTIFACTS[key][:size_bytes]})
    wanted = plan(manifest(ARTIFACTS).artifacts, folder=tmp_path)
    found = puller(bucket(server), prefix, tmp_path, lambda _: None).pull(wanted)
    assert {p.item.key: p.result for p in found} == {
        name: "damaged" if name == key else "copied" for name in ARTIFACTS
    }
    assert "bytes" in next(p.detail for p in found if p.result == "damaged")
    assert not (tmp_path / key).exists()


def test_an_object_that_is_missing_is_told_and_the_rest_is_copied(
    runs: Callable[..., Done], server: S3Server, prefix: str, tmp_path: Path
) -> None:
    finished_run(server, prefix, ARTIFACTS)
    server.client().delete_object(Bucket=NAME, Key=f"{prefix}/tokenizer/tokenizer.pkl")
    done = runs("pull", "--prefix", prefix, "--to", "here", expect=1, cwd=tmp_path)
    assert "missing: tokenizer/tokenizer.pkl" in done.stderr
    assert (tmp_path / "here" / "report/report.md").exists()


def test_a_cut_copy_goes_on_where_it_was(server: S3Server, prefix: str, tmp_path: Path) -> None:
    finished_run(server, prefix, ARTIFACTS)
    wanted = plan(manifest(ARTIFACTS).artifacts, folder=tmp_path)
    seen = 0

    def cut(size_bytes: int) -> None:
        nonlocal seen
        seen += size_bytes
        if seen > 1_500_000:
            raise RunsError("cut")

    store = bucket(server)
    with pytest.raises(RunsError, match="cut"):
        puller(store, prefix, tmp_path, cut).pull(wanted)
    asked: list[str] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        asked.append(params["Range"])

    store.client.meta.events.register("provide-client-params.s3.GetObject", note)
    results = puller(store, prefix, tmp_path, lambda _: None).pull(wanted)
    assert {found.result for found in results} <= {"copied", "already here"}
    assert (tmp_path / wanted[0].key).read_bytes() == ARTIFACTS[wanted[0].key]
    assert len([words for words in asked if not words.startswith("bytes=0-")]) < 29


def test_a_damaged_part_is_copied_anew(server: S3Server, prefix: str, tmp_path: Path) -> None:
    finished_run(server, prefix, ARTIFACTS)
    (item, *_) = wanted = plan(manifest(ARTIFACTS).artifacts, folder=tmp_path)
    store = bucket(server)
    seen = 0

    def cut(size_bytes: int) -> None:
        nonlocal seen
        seen += size_bytes
        if seen > 1_500_000:
            raise RunsError("cut")

    with pytest.raises(RunsError, match="cut"):
        puller(store, prefix, tmp_path, cut).pull(wanted)
    with ResumeLog(tmp_path / JOURNAL) as journal:
        assert journal.ranges(item.key, item.version), "no range is taken for good"
    part = item.path.with_name(item.path.name + ".part")
    part.write_bytes(bytes(len(ARTIFACTS[item.key])))
    results = puller(store, prefix, tmp_path, lambda _: None).pull(wanted)
    assert {found.result for found in results} <= {"copied", "already here"}
    assert hashlib.sha256(item.path.read_bytes()).hexdigest() == item.sha256


def puller(store: ReadOnlyBucket, prefix: str, folder: Path, progress: Any) -> Puller:
    return Puller(store, prefix=prefix, folder=folder, progress=progress, range_bytes=100_000)


def test_a_run_without_a_manifest_is_taken_only_when_told_so(
    runs: Callable[..., Done], server: S3Server, prefix: str, tmp_path: Path
) -> None:
    put(server, prefix, {"status.json": status().to_json(), **ARTIFACTS})
    done = runs("pull", "--prefix", prefix, expect=1, cwd=tmp_path)
    assert "no manifest" in done.stderr
    words = ("pull", "--prefix", prefix, "--without-manifest", "--to", "here")
    assert "sizes right" in runs(*words, cwd=tmp_path).stdout
    assert (tmp_path / "here/report/report.md").read_bytes() == ARTIFACTS["report/report.md"]


def test_rm_shows_first_and_deletes_only_when_told_so(
    runs: Callable[..., Done], server: S3Server, prefix: str
) -> None:
    finished_run(server, prefix, {f"many/{n}": b"x" for n in range(1100)})
    neighbour = f"{prefix}0"
    put(server, neighbour, {"verdict.json": verdict().to_json()})
    upload = server.client().create_multipart_upload(Bucket=NAME, Key=f"{prefix}/open.pt")
    assert upload["UploadId"]
    dry = runs("rm", "--prefix", prefix)
    assert "Would delete 1,110 objects" in dry.stdout
    assert "1 open upload" in dry.stdout
    assert bucket(server).read(f"{prefix}/verdict.json") is not None
    done = json.loads(runs("rm", "--prefix", prefix, "--yes", "--json").stdout)
    assert (done["objects"], done["deleted"]) == (1110, True)
    assert list(bucket(server).objects(f"{prefix}/")) == []
    uploads = server.client().list_multipart_uploads(Bucket=NAME, Prefix=f"{prefix}/")
    assert uploads.get("Uploads", []) == []
    assert bucket(server).read(f"{neighbour}/verdict.json") is not None


def test_the_ledger_of_rentals_is_no_run_and_is_never_deleted(
    runs: Callable[..., Done], server: S3Server, prefix: str
) -> None:
    finished_run(server, prefix, ARTIFACTS)
    page = "trainstack/dev/main.json"
    put(server, "ledger", {page: b"{}", "run.json": b"{}"})
    try:
        assert "ledger" not in bucket(server).folders()
        assert "ledger" not in runs("list").stdout
        costs = json.loads(runs("cost", "--json").stdout)
        assert [one["prefix"] for one in costs if not one["prefix"].startswith("dev-")] == []
        for words in (("--prefix", "ledger"), ("--prefix", "ledger/trainstack/dev/")):
            assert "ledger of rentals" in runs("rm", *words, "--yes", "--force", expect=2).stderr
        assert "no run 'ledger'" in runs("rm", "--run", "ledger", "--yes", expect=2).stderr
        assert bucket(server).read(f"ledger/{page}") == b"{}"
    finally:
        store = bucket(server)
        remove.remove(store, remove.remains(store, "ledger"), progress=lambda _: None)


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("status.json", status(beat_at="2999-01-01T00:00:00+00:00").to_json()),
        ("status.json", status(beat_at="2026-01-01T00:00:00+00:00").to_json()),
        ("checkpoints/base/d4/model_000100.pt", b"weights"),
    ],
    ids=["it beats", "it has been silent for long", "it has no status"],
)
def test_rm_refuses_a_run_without_a_verdict(
    runs: Callable[..., Done], server: S3Server, prefix: str, key: str, content: bytes
) -> None:
    put(server, prefix, {key: content})
    assert "--force" in runs("rm", "--prefix", prefix).stderr
    done = runs("rm", "--prefix", prefix, "--yes", expect=1)
    assert "has not ended" in done.stderr
    assert bucket(server).read(f"{prefix}/{key}") is not None
    runs("rm", "--prefix", prefix, "--yes", "--force")
    assert bucket(server).read(f"{prefix}/{key}") is None


def test_rm_by_prefix_warns_that_the_stack_would_train_the_run_again(
    runs_of_stack: Callable[..., Done], server: S3Server, prefix: str
) -> None:
    finished_run(server, prefix, ARTIFACTS)
    done = runs_of_stack("rm", "--prefix", prefix, outputs={"bucket": NAME, "r2_prefix": prefix})
    assert "trains it again" in done.stderr
    other = runs_of_stack("rm", "--prefix", prefix, outputs={"bucket": NAME, "r2_prefix": "other"})
    assert "trains it again" not in other.stderr


def test_rm_shows_how_far_it_is(
    runs: Callable[..., Done],
    server: S3Server,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress_bar, "OBJECTS_EVERY_S", 0.0)
    put(server, prefix, {f"many/{n}": b"x" for n in range(1100)})
    done = runs("rm", "--prefix", prefix, "--yes", "--force")
    assert "1,000 of 1,100 objects deleted" in done.stderr


def test_an_upload_that_ended_by_itself_does_not_stop_rm(
    server: S3Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server of these tests says yes to that; R2 answers 404 NoSuchUpload."""
    put(server, prefix, {"verdict.json": verdict().to_json()})
    store = bucket(server)

    def abort(**_: str) -> None:
        raise ClientError({"Error": {"Code": "NoSuchUpload"}}, "AbortMultipartUpload")

    monkeypatch.setattr(store.client, "abort_multipart_upload", abort)
    found = remove.remains(store, prefix)
    ended = dataclasses.replace(found, uploads=[(f"{prefix}/open.pt", "u1")])
    remove.remove(store, ended, progress=lambda _: None)
    assert list(store.objects(f"{prefix}/")) == []


def test_watch_tells_a_machine_that_stopped_beating(
    runs: Callable[..., Done], server: S3Server, prefix: str
) -> None:
    put(server, prefix, {"status.json": status(beat_at="2026-01-01T00:00:00+00:00").to_json()})
    done = runs("watch", "--prefix", prefix, expect=4)
    assert "no sign of life for" in done.stdout
    assert "still billed" in done.stderr


def test_a_run_that_is_not_there_is_told(runs: Callable[..., Done], server: S3Server) -> None:
    done = runs("artifacts", "--prefix", "dev-none-00000000-00000000", expect=2)
    assert "runs list" in done.stderr


def test_a_newer_schema_is_told_and_not_misread(
    runs: Callable[..., Done], server: S3Server, prefix: str
) -> None:
    put(server, prefix, {"verdict.json": b'{"schema": 99}'})
    done = runs("status", "--prefix", prefix, expect=1)
    assert "newer trainstack" in done.stderr


def test_a_wrong_key_no_bucket_and_no_server_are_three_different_answers(
    server: S3Server,
) -> None:
    with pytest.raises(AccessRefusedError, match="refused the key"):
        bucket(server, R2_SECRET_ACCESS_KEY="wrong").read("x")
    with pytest.raises(AccessRefusedError, match="refused the key"):
        bucket(server, R2_ACCESS_KEY_ID="stranger").folders()
    with pytest.raises(NoSuchRunError, match="There are, the nearest first: ") as told:
        bucket(server, name=f"{bucket(server).name}x").folders()
    assert f"first: {bucket(server).name}" in str(told.value)
    with pytest.raises(UnreachableError, match="nothing answers"):
        bucket(server, R2_ENDPOINT_URL="http://127.0.0.1:9").folders()
    assert bucket(server).read("not-there") is None


def test_a_bucket_that_is_not_at_the_address_is_told_by_every_command(
    runs: Callable[..., Done], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address with a bucket appended makes a listing the read of an object, which is absent."""
    monkeypatch.setenv("R2_ENDPOINT_URL", f"{server.endpoint}/{NAME}")
    runs("list")  # as the dashboard shows it
    server.client().create_bucket(Bucket="another-bucket")
    monkeypatch.setenv("R2_ENDPOINT_URL", f"{server.endpoint}/another-bucket")
    assert "R2_ENDPOINT_URL" in runs("list", expect=2).stderr
    assert "R2_ENDPOINT_URL" in runs("rm", "--prefix", "dev-x", expect=2).stderr
    assert "R2_ENDPOINT_URL" in runs("doctor", expect=1).stdout.replace("\n", " ")
    monkeypatch.setenv("R2_ENDPOINT_URL", server.endpoint)  # the address of the whole account
    runs("list")


def test_a_run_that_cannot_be_read_does_not_hide_the_others(
    runs: Callable[..., Done], server: S3Server, prefix: str
) -> None:
    finished_run(server, prefix, ARTIFACTS)
    newer = f"{prefix[:-8]}0000beef"
    put(server, newer, {"verdict.json": b'{"schema": 99}'})
    try:
        listed = {entry["prefix"]: entry for entry in json.loads(runs("list", "--json").stdout)}
        assert listed[prefix]["standing"] == "succeeded"
        assert listed[newer]["standing"] == "unreadable"
        assert "newer trainstack" in listed[newer]["trouble"]
        assert listed[newer]["objects"] == 1
        assert re.search(r"unreadable +-", runs("list").stdout)
    finally:
        store = bucket(server)
        remove.remove(store, remove.remains(store, newer), progress=lambda _: None)


def test_an_attempt_that_cannot_be_read_is_told_and_no_traceback(
    runs: Callable[..., Done], server: S3Server, prefix: str
) -> None:
    finished_run(server, prefix, ARTIFACTS)
    put(server, prefix, {"attempts/2.json": b"{"})
    assert "attempts/2.json" in runs("cost", "--prefix", prefix, expect=1).stderr


def test_logs_that_are_followed_end_with_the_machine(
    runs: Callable[..., Done], server: S3Server, prefix: str
) -> None:
    gone = status(beat_at="2026-01-01T00:00:00+00:00").to_json()
    put(server, prefix, {"status.json": gone, "logs/1-base-00000.log": b"the last line\n"})
    done = runs("logs", "--prefix", prefix, "--follow", expect=4)
    assert done.stdout == "the last line\n"
    assert "still billed" in done.stderr


def test_the_cost_of_a_stacks_run_is_what_the_stack_says(
    runs_of_stack: Callable[..., Done], server: S3Server, prefix: str
) -> None:
    finished_run(server, prefix, ARTIFACTS)
    outputs = {"bucket": NAME, "r2_prefix": prefix, "estimated_cost_usd": 0.41}
    (cost,) = json.loads(runs_of_stack("cost", "--json", outputs=outputs).stdout)
    assert (cost["bought_usd"], cost["bought_from"]) == ("0.41", "stack")
