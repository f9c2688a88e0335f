"""After the verdict: brings the finished model onto the disk if need be, and serves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from container.contract.environment import stage_environment
from container.contract.recipe import render, render_argv
from container.stages.context import RunContext
from container.stages.pipeline import restore
from container.storage.download import DiskError
from container.web.model_server import ChatServer
from container.web.status_page import StatusPage


def serve_model(context: RunContext, page: StatusPage) -> ChatServer | None:
    """Start the recipe's chat behind the page; None when it has none or it does not start."""
    chat = context.recipe.chat
    if chat is None:
        context.run_log.event("this recipe has no chat", stage="serve")
        return None
    try:
        for stage in context.recipe.stages:
            if context.reusable.done(stage.name) and context.missing_outputs(stage):
                restore(context, stage)
    except DiskError as error:
        context.run_log.event(f"the model is not served: {error}", stage="serve")
        return None

    def command(port: int) -> tuple[Sequence[str], Mapping[str, str], str]:
        values = context.values(port=port)
        env = stage_environment(context.process_env, credentials=False)
        env |= {name: render(text, values) for name, text in chat.env.items()}
        return render_argv(chat.argv, values), env, render(chat.cwd, values)

    server = ChatServer(
        chat,
        model=f"{context.environment.run}-{context.fill('{tag}')}",
        command=command,
        # nanochat prints what it is asked and what it answers; the status page is public.
        on_line=lambda line: context.run_log.line("serve", line, on_page=False),
    )
    if not server.start():
        context.run_log.event("the model's process does not answer", stage="serve")
        server.stop()
        return None
    page.chat.server = server
    context.run_log.event("the model is served at /v1/chat/completions", stage="serve")
    return server
