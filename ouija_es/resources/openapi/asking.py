"""POST /ouija/ask, the operation."""

from falcon import MEDIA_JSON

from ouija_es.resources.openapi import examples, streams
from ouija_es.resources.openapi.headers import ACCEPT_LANGUAGE, IDEMPOTENCY_KEY, RATE_LIMIT, TRACEPARENT, header_refs
from ouija_es.resources.openapi.problems import Problem, problem_responses
from ouija_es.resources.openapi.schemas import PREFIX, Schema
from ouija_es.resources.sse import MEDIA_TYPE as EVENT_STREAM

DESCRIPTION = """\
Groq is asked, then Ollama, then the table of canned answers, which always has one: that every provider fails is not \
an error. The answer leaves only once it is recorded. Questions about suicide or self-harm are answered at once, out \
of character, with help lines.

At most 16 KiB, complete within 5 s. 503 `not-recorded` means that the answer was not recorded in time; it may still \
be recorded later. 503 `overloaded` comes at once: nothing was asked.

**Idempotency.** With an `Idempotency-Key` the same request (compared after parsing and defaults) is asked once: sent \
again it gets the stored answer and no provider is called. The key with another request: 422 \
`idempotency-key-reused`. While the first is being answered: 409. Its texts have been erased since: 410. A question \
that ended without an answer frees its key.

**Streaming.** With `Accept: text/event-stream` the answer comes in pieces while it is made. If the client goes away, \
the question is withdrawn; with an `Idempotency-Key` it is finished, and its answer kept for that key.

**Limit.** Every request counts, also one that is refused; what is left stands in the `RateLimit-*` headers.\
"""

STREAM = """\
Server-sent events, each event's `data` JSON in one line; a comment line at once and every 2 s.

* `attempt`: a try has ended, or was skipped.
* `delta`: the next piece of the answer.
* `discard`: the pieces so far are void. The next tier begins, or an error follows.
* `answer`: the last event, sent once the answer is recorded. It is the JSON answer, and its `response` is what counts.
* `error`: the last event instead, if the answer could not be recorded.

What is wrong before the first event is an ordinary HTTP error.\
"""

ERRORS = (
    *("MalformedRequest", "UnknownSession", "NotAcceptable", "SlowBody", "KeyInFlight", "ErasedQuestion", "TooLarge"),
    *("UnsupportedMediaType", "InvalidRequest", "KeyReused", "TooManyRequests"),
    *("StoreUnavailable", "StoreUnreadable", "Overloaded"),
)


def ask(problems: dict[str, Problem]) -> Schema:
    """The operation."""
    return {
        "operationId": "ask",
        "tags": ["ouija"],
        "summary": "Ask the spirit",
        "description": DESCRIPTION,
        "parameters": [IDEMPOTENCY_KEY, ACCEPT_LANGUAGE, TRACEPARENT],
        "requestBody": {
            "required": True,
            "description": "The question.",
            "content": {MEDIA_JSON: {"schema": {"$ref": PREFIX + "AskRequest"}, "examples": examples.requests()}},
        },
        "responses": {"200": _answered(), **problem_responses(problems, *ERRORS, headers=RATE_LIMIT)},
    }


def _answered() -> Schema:
    return {
        "description": f"The answer, recorded.\n\n**As `{EVENT_STREAM}`:** {STREAM}",
        "headers": header_refs("X-Trace-Id", "Content-Language", "Server-Timing", "Idempotency-Replayed", *RATE_LIMIT),
        "content": {
            MEDIA_JSON: {"schema": {"$ref": PREFIX + "AnswerBody"}, "examples": examples.answers()},
            EVENT_STREAM: {
                # OpenAPI 3.1 knows a stream as a string only; what it decodes to stands in contentSchema, in the form
                # that 3.2 has for it (https://spec.openapis.org/oas/v3.2.0#special-considerations-for-server-sent-events).
                "schema": {
                    "type": "string",
                    "contentMediaType": EVENT_STREAM,
                    "contentSchema": {"type": "array", "items": {"$ref": PREFIX + "StreamedEvent"}},
                },
                "examples": streams.streams(),
            },
        },
        "links": {
            "sessionHistory": {
                "operationId": "getSessionHistory",
                "parameters": {"sessionId": "$response.body#/sessionId"},
            },
            "questionHistory": {
                "operationId": "getQuestionHistory",
                "parameters": {"questionId": "$response.body#/questionId"},
            },
        },
    }
