"""Serves the finished model: GET /health, GET /v1/models, POST /v1/chat/completions.

It listens on loopback; the supervisor's proxy stands before it and checks the bearer token.

    python -m container.toy_trainer.chat_web -i sft -g d4 --host 127.0.0.1 -p 8001
"""

# pyright: basic, reportMissingImports=false
# torch, tiktoken and rustbpe are in the image only, and torch 1.13 has no type stubs.

from __future__ import annotations

import argparse
import json
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from container.toy_trainer import checkpoints, layout, process, tokens
from container.toy_trainer.documents import Message
from container.toy_trainer.generation import generate, pieces
from container.toy_trainer.gpt import GPT
from container.toy_trainer.tokens import Tokenizer

MOST_TOKENS = 1024
MOST_BODY_BYTES = 256 * 1024


class RequestError(ValueError):
    """The request cannot be answered; the message is for who sent it."""


class Speaker:
    """A loaded model; answers one request at a time, the next ones wait."""

    def __init__(self, model: GPT, tokenizer: Tokenizer, name: str) -> None:
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self._turn = threading.Lock()

    def say(self, request: dict[str, Any]) -> Iterator[str]:
        """Yield the answer in pieces; `request` has gone through `_checked`."""
        with self._turn:
            ids = generate(
                self.model,
                self.tokenizer,
                self.tokenizer.prompt(request["messages"]),
                max_tokens=request["max_tokens"],
                temperature=request["temperature"],
                top_k=request["top_k"],
                seed=request["seed"],
            )
            yield from pieces(self.tokenizer, ids)


def application(speaker: Speaker) -> Starlette:
    """Return the web application around a loaded model."""

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def models(_: Request) -> Response:
        entry = {"id": speaker.name, "object": "model", "owned_by": "trainstack"}
        return JSONResponse({"object": "list", "data": [entry]})

    async def complete(request: Request) -> Response:
        body = await request.body()
        try:
            asked = _checked(body)
        except RequestError as error:
            return JSONResponse(
                {"error": {"message": str(error), "type": "invalid_request_error"}}, 400
            )
        envelope = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": speaker.name,
        }
        if asked["stream"]:
            events = _events(speaker.say(asked), envelope)
            return StreamingResponse(events, media_type="text/event-stream")
        text = await run_in_threadpool(lambda: "".join(speaker.say(asked)))
        return JSONResponse(_completion(speaker, asked, envelope, text))

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/v1/models", models),
            Route("/v1/chat/completions", complete, methods=["POST"]),
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Load the model and serve it until SIGTERM."""
    arguments = _arguments().parse_args(argv)
    process.prepare()
    tag = arguments.model_tag or layout.newest_tag(arguments.source)
    folder = layout.checkpoint_dir(arguments.source, tag)
    step = arguments.step or layout.newest_step(folder)
    speaker = Speaker(checkpoints.load_model(folder, step), tokens.load(), f"{tag}-{step}")
    print(f"Serving {speaker.name} on http://{arguments.host}:{arguments.port}", flush=True)
    uvicorn.run(application(speaker), host=arguments.host, port=arguments.port, log_level="warning")
    return 0


def _checked(body: bytes) -> dict[str, Any]:
    if len(body) > MOST_BODY_BYTES:
        raise RequestError(f"the body has more than {MOST_BODY_BYTES} bytes")
    try:
        asked = json.loads(body)
    except ValueError:
        raise RequestError("the body is no JSON") from None
    messages = asked.get("messages") if isinstance(asked, dict) else None
    if not isinstance(messages, list) or not messages:
        raise RequestError("messages must be a list with at least one message")
    try:
        return {
            "messages": [_message(message) for message in messages],
            "max_tokens": min(max(int(asked.get("max_tokens") or 96), 1), MOST_TOKENS),
            "temperature": float(asked.get("temperature", 0.7)),
            "top_k": max(int(asked.get("top_k") or 50), 1),
            "seed": int(asked.get("seed") or 42),
            "stream": asked.get("stream") is True,
        }
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(f"a member has the wrong type: {error}") from None


def _message(message: Any) -> Message:
    if not isinstance(message, dict) or message.get("role") not in ("system", "user", "assistant"):
        raise RequestError("each message needs a role: system, user or assistant")
    if not isinstance(message.get("content"), str):
        raise RequestError("each message needs a content that is text")
    return Message(role=message["role"], content=message["content"])


def _completion(
    speaker: Speaker, asked: dict[str, Any], envelope: dict[str, Any], text: str
) -> dict[str, Any]:
    prompt_tokens = len(speaker.tokenizer.prompt(asked["messages"]))
    completion_tokens = len(speaker.tokenizer.encode(text))
    message = {"role": "assistant", "content": text}
    return {
        **envelope,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


def _events(texts: Iterator[str], envelope: dict[str, Any]) -> Iterator[str]:
    def event(delta: dict[str, str], finish_reason: str | None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        chunk = {**envelope, "object": "chat.completion.chunk", "choices": [choice]}
        return f"data: {json.dumps(chunk)}\n\n"

    yield event({"role": "assistant"}, None)
    for text in texts:
        yield event({"content": text}, None)
    yield event({}, "stop")
    yield "data: [DONE]\n\n"


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Serve the chat model")
    parser.add_argument("-i", "--source", default="sft", choices=["sft"])
    parser.add_argument("-g", "--model-tag", default=None)
    parser.add_argument("-s", "--step", type=int, default=None)
    parser.add_argument("-p", "--port", type=int, default=8001)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--device-type", default="cpu", choices=["", "cpu"])
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
