"""The names spans and their attributes have: OpenTelemetry's semantic conventions 1.37, GenAI part included.

HTTP: https://opentelemetry.io/docs/specs/semconv/http/http-spans/. The GenAI names are still in development and move
between versions (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/): they are written here only. What
those pages name as content of messages is never set.
"""

SERVICE_NAME = "service.name"
SERVICE_VERSION = "service.version"
SERVICE_INSTANCE_ID = "service.instance.id"

HTTP_METHOD = "http.request.method"
HTTP_ROUTE = "http.route"
HTTP_STATUS = "http.response.status_code"
ERROR_TYPE = "error.type"

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
OTHER_METHOD = "_OTHER"
"""What any other method is called: input makes no names."""

GEN_AI_OPERATION = "gen_ai.operation.name"
GEN_AI_CHAT = "chat"
GEN_AI_PROVIDER = "gen_ai.provider.name"
GEN_AI_REQUEST_MODEL = "gen_ai.request.model"
GEN_AI_RESPONSE_MODEL = "gen_ai.response.model"
GEN_AI_INPUT_TOKENS = "gen_ai.usage.input_tokens"
GEN_AI_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"

# Of this service alone.
ATTEMPT = "ouija.attempt"
PROVIDER = "ouija.provider"
REASON = "ouija.reason"
QUESTION_ID = "ouija.question_id"
EVENTS = "ouija.events"
POSITION = "ouija.position"
