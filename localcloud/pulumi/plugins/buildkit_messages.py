"""The few messages of BuildKit's protocol that a client of it reads and writes.

Field numbers: https://github.com/moby/buildkit, api/services/control and session/auth. Fields that
are not named here are skipped by the library when it reads.
"""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE: Final = "trainstack.buildkit"
_FIELD = descriptor_pb2.FieldDescriptorProto
_TYPES: Final = {"string": _FIELD.TYPE_STRING, "bytes": _FIELD.TYPE_BYTES, "int": _FIELD.TYPE_INT32}

_MESSAGES: Final[dict[str, tuple[tuple[str, int, str], ...]]] = {
    "StatusResponse": (("vertexes", 1, "Vertex"), ("logs", 3, "VertexLog")),
    "Vertex": (("digest", 1, "string"), ("name", 3, "string"), ("error", 7, "string")),
    "VertexLog": (("msg", 4, "bytes"),),
    "CredentialsRequest": (("host", 1, "string"),),
    "CredentialsResponse": (("username", 1, "string"), ("secret", 2, "string")),
    "HealthCheckResponse": (("status", 1, "int"),),
}


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="trainstack/buildkit.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            if kind in _TYPES:
                message.field.add(
                    name=field, number=number, type=_TYPES[kind], label=_FIELD.LABEL_OPTIONAL
                )
            else:
                message.field.add(
                    name=field,
                    number=number,
                    type=_FIELD.TYPE_MESSAGE,
                    type_name=f".{_PACKAGE}.{kind}",
                    label=_FIELD.LABEL_REPEATED,
                )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_CLASSES: Final = _classes()

StatusResponse: Final = _CLASSES["StatusResponse"]
"""How far a build is: its steps, and what they said since the last one."""
CredentialsRequest: Final = _CLASSES["CredentialsRequest"]
CredentialsResponse: Final = _CLASSES["CredentialsResponse"]
HealthCheckResponse: Final = _CLASSES["HealthCheckResponse"]
