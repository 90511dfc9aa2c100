"""Hosts that speak OpenAI's protocols, one row of data each.

A deviation stands here only where the host documents it, on the page that the comment names, or where its server's own
source shows it. What the quirks mean is said in `trivet.wire.openai_chat.terms`, and of embeddings in
`trivet.wire.openai_embeddings`, of rerank in `trivet.wire.rerank_out`, and of sound in
`trivet.wire.openai_audio.transcriptions_out`; `encrypted_reasoning` says whether responses may be asked for it, and
`one_prompt` that completions take one prompt, as a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from trivet.types import Value

Task = Literal["chat", "complete", "embed", "rerank", "transcribe", "speak"]
Protocol = Literal["openai-chat", "openai-responses"]
ALL: tuple[Task, ...] = ("chat", "complete", "embed")
SOUND: tuple[Task, ...] = ("transcribe", "speak")


class Host(Value, frozen=True, kw_only=True):
    """`base_url` is None where there is one for each customer, or for each machine; `example` is then what one looks
    like. `port` is where a server of one's own usually listens. `protocols` are those that a chat may be asked in: the
    client's where it is among them, else the first; `completions` is the one of plain completions. `key_header` is what
    the key is sent in. `rerank_path` and `complete_path` go on from the base URL, where these are not beside the
    others. `most_texts` is how many one request for vectors may have."""

    name: str
    base_url: str | None = None
    example: str | None = None
    key_variable: str | None = None
    key_header: str = "authorization"
    port: int | None = None
    where: Literal["hosted", "self-served"] = "hosted"
    needs_key: bool = True
    family: str | None = None  # whose signatures and opaque blocks it takes, where not its own
    tasks: tuple[Task, ...] = ("chat",)
    protocols: tuple[Protocol, ...] = ("openai-chat",)
    completions: Literal["openai-completions", "mistral-fim"] = "openai-completions"
    rerank_path: str | None = None
    complete_path: str | None = None
    most_texts: int | None = None
    lists: bool = True  # whether its models can be asked for
    quirks: Mapping[str, Any] = {}


def _served(name: str, port: int | None, tasks: tuple[Task, ...] = ALL, **quirks: Any) -> Host:
    """A server of one's own, which needs no key unless it was started with one. Chat templates know the role `system`;
    few know `developer`. `max_tokens` is the name of the bound that all of them know."""
    return Host(
        name=name,
        base_url=None if port is None else f"http://127.0.0.1:{port}/v1",
        example="http://localhost:8080/v1",
        port=port,
        where="self-served",
        needs_key=False,
        tasks=tasks,
        quirks={"max_tokens": "max_tokens", "developer_role": False, **quirks},
    )


_ROWS = (
    # docs.mistral.ai/api: fields that it does not list are a 422, as are `max_completion_tokens` and `stream_options`
    # (usage comes by itself, with the last chunk); roles are system, user, assistant, tool; the seed is `random_seed`;
    # vectors are made shorter by `output_dimension`. Ids of calls are nine letters and digits (mistral-common). Code is
    # filled in at fim/completions; Codestral's own address (codestral.mistral.ai/v1) has it too.
    Host(
        name="mistral",
        base_url="https://api.mistral.ai/v1",
        key_variable="MISTRAL_API_KEY",
        tasks=ALL,
        completions="mistral-fim",
        quirks={
            "max_tokens": "max_tokens",
            "developer_role": False,
            "stream_options": False,
            "one_prompt": True,
            "seed": "random_seed",
            "tool_call_id": "mistral9",
            "base64": True,
            "dimensions": "output_dimension",
        },
    ),
    # api-docs.deepseek.com/guides: thinking_mode (`reasoning_content`, which goes back with the calls of tools),
    # json_mode (objects, no schemas), kv_cache (every prefix is kept by itself), fim_completion (under /beta, by models
    # that are not thinking). No role `developer`: a 422.
    Host(
        name="deepseek",
        base_url="https://api.deepseek.com",
        key_variable="DEEPSEEK_API_KEY",
        tasks=("chat", "complete"),
        complete_path="beta/completions",
        quirks={
            "max_tokens": "max_tokens",
            "one_prompt": True,
            "developer_role": False,
            "reasoning_content": "reasoning_content",
            "send_thinking": True,
            "json_schema": False,
            "cache": "automatic",
        },
    ),
    # console.groq.com/docs/openai: these fields are a 400. console.groq.com/docs/speech-to-text: less than 10 seconds
    # of sound are charged as 10.
    Host(
        name="groq",
        base_url="https://api.groq.com/openai/v1",
        key_variable="GROQ_API_KEY",
        tasks=("chat", *SOUND),
        protocols=("openai-chat", "openai-responses"),
        quirks={"no": ("logprobs", "top_logprobs", "logit_bias", "name", "n"), "least_audio_s": 10},
    ),
    # docs.together.ai/docs/inference/openai-compatibility, and its API reference: audio and rerank
    Host(
        name="together",
        base_url="https://api.together.ai/v1",
        key_variable="TOGETHER_API_KEY",
        tasks=(*ALL, "rerank", *SOUND),
        quirks={"max_tokens": "max_tokens"},
    ),
    # docs.fireworks.ai/tools-sdks/openai-compatibility
    Host(
        name="fireworks",
        base_url="https://api.fireworks.ai/inference/v1",
        key_variable="FIREWORKS_API_KEY",
        tasks=ALL,
        quirks={"max_tokens": "max_tokens"},
    ),
    # openrouter.ai/docs: use-cases/reasoning-tokens (the object `reasoning`; `reasoning_details`, signatures of any
    # maker included, go back), features/prompt-caching (`cache_control` on parts of a message).
    Host(
        name="openrouter",
        base_url="https://openrouter.ai/api/v1",
        key_variable="OPENROUTER_API_KEY",
        tasks=ALL,
        quirks={
            "max_tokens": "max_tokens",
            "reasoning": True,
            "reasoning_content": "reasoning",
            "reasoning_details": True,
            "send_thinking": True,
            "cache": "cache_control",
            "base64": True,
        },
    ),
    # docs.x.ai: prompt caching is automatic; thinking is told as `reasoning_content`.
    Host(
        name="xai",
        base_url="https://api.x.ai/v1",
        key_variable="XAI_API_KEY",
        protocols=("openai-chat", "openai-responses"),
        quirks={"cache": "automatic"},
    ),
    # docs.perplexity.ai/docs/agent-api/migrate-from-sonar: chat completions ended on 27 September 2026. No page
    # says that reasoning can be had encrypted.
    Host(
        name="perplexity",
        base_url="https://api.perplexity.ai/v1",
        key_variable="PERPLEXITY_API_KEY",
        protocols=("openai-responses",),
        quirks={"encrypted_reasoning": False},
    ),
    # inference-docs.cerebras.ai/resources/openai: no role `developer`.
    Host(
        name="cerebras",
        base_url="https://api.cerebras.ai/v1",
        key_variable="CEREBRAS_API_KEY",
        quirks={"developer_role": False},
    ),
    # learn.microsoft.com/azure/foundry/openai/api-version-lifecycle: the v1 API, whose models are one's deployments;
    # its list has all that could be deployed.
    Host(
        name="azure",
        example="https://YOUR-RESOURCE.openai.azure.com/openai/v1",
        key_variable="AZURE_OPENAI_API_KEY",
        key_header="api-key",
        family="openai",
        tasks=ALL,
        protocols=("openai-chat", "openai-responses"),
        lists=False,
        quirks={"reasoning_details": False},  # as OpenAI's own chat completions
    ),
    # docs.voyageai.com/reference: embeddings-api (`output_dimension`, `truncation`; usage is `total_tokens` alone),
    # reranker-api (`top_k`); no list of models.
    Host(
        name="voyage",
        most_texts=1000,
        base_url="https://api.voyageai.com/v1",
        key_variable="VOYAGE_API_KEY",
        tasks=("embed", "rerank"),
        lists=False,
        quirks={"base64": True, "dimensions": "output_dimension", "truncate": "truncation", "top_n": "top_k"},
    ),
    # api.jina.ai/redoc: embeddings have `truncate`; rerank sends the documents back unless it is told not to; no list
    # of models.
    Host(
        name="jina",
        base_url="https://api.jina.ai/v1",
        key_variable="JINA_API_KEY",
        tasks=("embed", "rerank"),
        lists=False,
        quirks={"return_documents": True, "truncate": "truncate"},
    ),
    # docs.cohere.com/docs/compatibility-api: chat completions and embeddings are all that it documents. Rerank is at
    # Cohere's own address, /v2/rerank (docs.cohere.com/reference/rerank).
    Host(
        name="cohere",
        most_texts=96,  # docs.cohere.com/reference/embed
        base_url="https://api.cohere.ai/compatibility/v1",
        key_variable="COHERE_API_KEY",
        tasks=("chat", "embed", "rerank"),
        rerank_path="../../v2/rerank",
        lists=False,
        quirks={"max_tokens": "max_tokens"},
    ),
    # docs.vllm.ai/en/stable: features/reasoning_outputs (`reasoning`), features/automatic_prefix_caching; and
    # serving/openai_compatible_server: transcriptions, rerank.
    _served(
        "vllm",
        8000,
        (*ALL, "rerank", "transcribe"),
        reasoning_content="reasoning",
        send_thinking=True,
        cache="automatic",
        base64=True,
    ),
    # docs.sglang.io: advanced_features/separate_reasoning; prefixes are kept (RadixAttention).
    _served("sglang", 30000, reasoning_content="reasoning_content", send_thinking=True, cache="automatic"),
    # docs.ollama.com/api/openai-compatibility
    _served("ollama", 11434, reasoning_content="reasoning", send_thinking=True, cache="automatic", base64=True),
    # llama.cpp's tools/server/README.md: `--reasoning-format`, `cache_prompt`, `encoding_format`, `/v1/rerank`.
    _served(
        "llama-server",
        8080,
        (*ALL, "rerank"),
        reasoning_content="reasoning_content",
        send_thinking=True,
        cache="automatic",
        base64=True,
    ),
    # lmstudio.ai/docs/developer/openai-compat
    _served("lmstudio", 1234),
    # huggingface.co/docs/text-generation-inference/messages_api. No port is usual: its own examples have three.
    _served("tgi", None, ("chat", "complete")),
    # huggingface.co/docs/text-embeddings-inference
    Host(
        name="tei",
        example="http://localhost:8080/v1",
        where="self-served",
        needs_key=False,
        tasks=("embed",),
        lists=False,
        quirks={"base64": True},
    ),
    # Anything else.
    _served("openai-compatible", None, (*ALL, "rerank", *SOUND)),
)

HOSTS: Mapping[str, Host] = {host.name: host for host in _ROWS}
