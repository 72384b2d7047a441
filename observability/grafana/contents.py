"""The dashboard's rows and panels."""

from observability.grafana.panels import INSTANCE, Panel, Query, Shape, Unit, per_minute, quantiles

ASK = 'method="POST", route="/ouija/ask"'

NOW = (
    Panel(
        "Asks",
        "Answers recorded per minute, over 5 minutes.",
        Unit.PER_MINUTE,
        (Query(f"sum(rate(ouija_answers_total{{{INSTANCE}}}[5m])) * 60"),),
        Shape.NUMBER,
    ),
    Panel(
        "In time",
        "Share of the last hour's answers that took at most 2.5 s. The objective is 95 %.",
        Unit.SHARE,
        (
            Query(
                f'sum(increase(ouija_answer_duration_seconds_bucket{{{INSTANCE}, le="2.5"}}[1h]))'
                f" / (sum(increase(ouija_answer_duration_seconds_count{{{INSTANCE}}}[1h])) > 0)"
            ),
        ),
        Shape.NUMBER,
        red_below=0.95,
    ),
    Panel(
        "Not failed",
        "Share of the last hour's asks that did not end in a 5xx; the client's own mistakes are left out. "
        "The objective is 99.5 %.",
        Unit.SHARE,
        (
            Query(
                f'sum(increase(ouija_http_request_duration_seconds_count{{{INSTANCE}, {ASK}, status=~"2.."}}[1h]))'
                f" / (sum(increase(ouija_http_request_duration_seconds_count"
                f'{{{INSTANCE}, {ASK}, status=~"2..|5.."}}[1h])) > 0)'
            ),
        ),
        Shape.NUMBER,
        red_below=0.995,
    ),
    Panel(
        "By a model",
        "Share of the last hour's answers that Groq or Ollama gave. The objective is 95 %, if a model is configured.",
        Unit.SHARE,
        (
            Query(
                f'(sum(increase(ouija_answers_total{{{INSTANCE}, source!="database"}}[1h])) or vector(0))'
                f" / (sum(increase(ouija_answers_total{{{INSTANCE}}}[1h])) > 0)"
            ),
        ),
        Shape.NUMBER,
        red_below=0.95,
    ),
    Panel(
        "Events",
        "Events in the log, ever.",
        Unit.COUNT,
        (Query(f"ouija_events_recorded_total{{{INSTANCE}}}"),),
        Shape.NUMBER,
    ),
    Panel(
        "Behind",
        "Events in the log that the numbers here do not contain yet.",
        Unit.COUNT,
        (Query(f"ouija_projection_lag_events{{{INSTANCE}}}"),),
        Shape.NUMBER,
        red_above=1000,
    ),
)

OBJECTIVES = (
    Panel(
        "Error budgets, fast",
        "How many times faster than allowed the last hour used up each objective's budget: 1 is just what it allows, "
        "14.4 calls somebody.",
        Unit.TIMES,
        (Query(f"instance_objective:ouija_burn_rate:increase1h{{{INSTANCE}}}", "{{objective}}"),),
        red_above=14.4,
    ),
    Panel(
        "Error budgets, slow",
        "The same over three days: above 1 the objective is missed if it goes on, and a ticket is written.",
        Unit.TIMES,
        (Query(f"instance_objective:ouija_burn_rate:increase3d{{{INSTANCE}}}", "{{objective}}"),),
        red_above=1,
    ),
)

QUESTIONS = (
    Panel(
        "Answers by source",
        "Who answers: Groq, Ollama, or the table of hand-written answers.",
        Unit.PER_MINUTE,
        (Query(per_minute("ouija_answers_total", "source"), "{{source}}"),),
        Shape.STACK,
    ),
    Panel(
        "Time to the answer",
        "From the door to the recorded answer. Dots are single answers that lead to their traces.",
        Unit.SECONDS,
        quantiles("ouija_answer_duration_seconds"),
        red_above=2.5,
    ),
    Panel(
        "Questions by category",
        "What is asked about.",
        Unit.PER_MINUTE,
        (Query(per_minute("ouija_questions_total", "category"), "{{category}}"),),
        Shape.STACK,
    ),
    Panel(
        "Questions by personality and language",
        "Who is asked to answer, and in which language.",
        Unit.PER_MINUTE,
        (Query(per_minute("ouija_questions_total", "personality, language"), "{{personality}} {{language}}"),),
        Shape.STACK,
    ),
    Panel(
        "Sessions and ends without an answer",
        "Sessions opened, questions whose client went away, questions found unfinished after a crash, sessions erased.",
        Unit.PER_MINUTE,
        (
            Query(per_minute("ouija_sessions_total", "job"), "opened"),
            Query(per_minute("ouija_questions_withdrawn_total", "job"), "withdrawn"),
            Query(per_minute("ouija_questions_abandoned_total", "job"), "abandoned"),
            Query(per_minute("ouija_erasures_total", "job"), "erased"),
        ),
    ),
)

PROVIDERS = (
    Panel(
        "Tries that did not answer",
        "Tries of a provider that failed or were skipped, and why.",
        Unit.PER_MINUTE,
        (
            Query(
                per_minute("ouija_attempts_total", "provider, outcome, reason", 'outcome!="answered"'),
                "{{provider}} {{outcome}}: {{reason}}",
            ),
        ),
        Shape.STACK,
    ),
    Panel(
        "Time of a provider's answers",
        "How long the tries took that answered.",
        Unit.SECONDS,
        quantiles("ouija_attempt_duration_seconds", "provider", 'outcome="answered"'),
    ),
    Panel(
        "Breakers",
        "On: the provider failed again and again and is left alone, but for a single try now and then.",
        Unit.SWITCH,
        (Query(f"ouija_breaker_open{{{INSTANCE}}}", "{{provider}}"),),
    ),
    Panel(
        "Requests left this minute",
        "How many more may be sent before the provider is skipped.",
        Unit.COUNT,
        (Query(f"ouija_provider_requests_remaining{{{INSTANCE}}}", "{{provider}}"),),
    ),
    Panel(
        "Tokens",
        "As the provider counts them: what is paid for.",
        Unit.PER_MINUTE,
        (Query(per_minute("ouija_tokens_total", "provider, direction"), "{{provider}} {{direction}}"),),
        Shape.STACK,
    ),
)

EVENT_STORE = (
    Panel(
        "Events recorded and folded",
        "What is written into the log, and what of it is counted. The lines lie on each other.",
        Unit.PER_SECOND,
        (
            Query(f"rate(ouija_events_recorded_total{{{INSTANCE}}}[$__rate_interval])", "recorded"),
            Query(f"rate(ouija_events_projected_total{{{INSTANCE}}}[$__rate_interval])", "folded"),
        ),
    ),
    Panel(
        "Time of a commit",
        "One transaction and one fsync, for everybody who waited for it.",
        Unit.SECONDS,
        quantiles("ouija_store_commit_seconds"),
    ),
    Panel(
        "Time to fold what is new",
        "Whoever reads the numbers waits for it first.",
        Unit.SECONDS,
        quantiles("ouija_projection_seconds"),
    ),
    Panel(
        "Store errors",
        "Appends that failed, by reason: each is a 503.",
        Unit.PER_MINUTE,
        (Query(per_minute("ouija_store_errors_total", "reason"), "{{reason}}"),),
        Shape.STACK,
    ),
    Panel(
        "Waiting for a commit",
        "Events in the writer's queue.",
        Unit.COUNT,
        (Query(f"ouija_store_queue_depth{{{INSTANCE}}}", "events"),),
    ),
    Panel(
        "Not under a seal",
        "Events behind the ledger's last seal; it is renewed every 1,000 events or 10 s.",
        Unit.COUNT,
        (
            Query(
                f"ouija_events_recorded_total{{{INSTANCE}}} - ouija_ledger_sealed_position{{{INSTANCE}}}",
                "events",
            ),
        ),
    ),
)

PROCESS = (
    Panel(
        "Requests by route and status",
        "Every request, also those refused.",
        Unit.PER_MINUTE,
        (
            Query(
                per_minute("ouija_http_request_duration_seconds_count", "method, route, status"),
                "{{method}} {{route}} {{status}}",
            ),
        ),
        Shape.STACK,
    ),
    Panel(
        "Time to a response's head",
        "By route: the 95th percentile.",
        Unit.SECONDS,
        (quantiles("ouija_http_request_duration_seconds", "route")[1],),
    ),
    Panel(
        "In flight, and refused early",
        "Requests without a response, and asks per minute refused because they would come too late.",
        Unit.COUNT,
        (
            Query(f"ouija_http_requests_in_flight{{{INSTANCE}}}", "in flight"),
            Query(per_minute("ouija_requests_shed_total", "job"), "refused per minute"),
        ),
    ),
    Panel(
        "Event loop's lag",
        "How late the loop is; from 0.5 s on new asks are refused.",
        Unit.SECONDS,
        (Query(f"ouija_event_loop_lag_seconds{{{INSTANCE}}}", "lag"),),
        red_above=0.5,
    ),
    Panel(
        "Processor",
        "Processors used: 1 is one of them, all the time.",
        Unit.SHARE,
        (Query(f"rate(process_cpu_seconds_total{{{INSTANCE}}}[$__rate_interval])", "used"),),
    ),
    Panel(
        "Memory",
        "Resident. The smallest instances end the process at 512 MB; from 400 MB on a ticket is written.",
        Unit.BYTES,
        (Query(f"process_resident_memory_bytes{{{INSTANCE}}}", "resident"),),
        red_above=400_000_000,
    ),
    Panel(
        "Open files",
        "Of the limit that the process has.",
        Unit.SHARE,
        (Query(f"process_open_fds{{{INSTANCE}}} / process_max_fds{{{INSTANCE}}}", "open"),),
    ),
)

ROWS = {
    "Now": NOW,
    "Objectives": OBJECTIVES,
    "Questions and answers": QUESTIONS,
    "Providers": PROVIDERS,
    "Event store": EVENT_STORE,
    "HTTP and process": PROCESS,
}
