"""A bucket in memory at the border of boto3, for the tests of `runs/`."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from runs.source.bucket import ReadOnlyBucket

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


class InMemoryBucket:
    """The calls of an S3 client that a command makes, answered from a dictionary."""

    def __init__(self, objects: Mapping[str, bytes] | None = None) -> None:
        self.objects = dict(objects or {})

    def opened(self, name: str = "b") -> ReadOnlyBucket:
        """Return it as the commands read it."""
        client: Any = self
        return ReadOnlyBucket(client, name=name, endpoint="http://127.0.0.1:9")

    def get_object(self, *, Key: str, Range: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803 - S3's own
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        whole = self.objects[Key]
        first, _dash, last = (Range.removeprefix("bytes=") or f"0-{len(whole)}").partition("-")
        body = whole[int(first) : int(last) + 1]
        return {
            "Body": StreamingBody(io.BytesIO(body), len(body)),
            "ETag": '"e"',
            "ContentRange": f"bytes {Range.removeprefix('bytes=')}/{len(whole)}",
        }

    def list_objects_v2(
        self,
        *,
        Prefix: str = "",  # noqa: N803
        Delimiter: str = "",  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        keys = sorted(key for key in self.objects if key.startswith(Prefix))
        date = NOW.strftime("%a, %d %b %Y %H:%M:%S GMT")
        answer: dict[str, Any] = {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}
        if Delimiter:
            folders = dict.fromkeys(f"{key.split('/')[0]}/" for key in keys if "/" in key)
            return {**answer, "CommonPrefixes": [{"Prefix": folder} for folder in folders]}
        contents = [
            {"Key": key, "Size": len(self.objects[key]), "LastModified": NOW, "ETag": '"e"'}
            for key in keys
        ]
        return {**answer, "Contents": contents}

    def list_multipart_uploads(self, **_: Any) -> dict[str, Any]:
        return {}

    def delete_objects(self, *, Delete: Mapping[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        for one in Delete["Objects"]:
            self.objects.pop(one["Key"], None)
        return {}
