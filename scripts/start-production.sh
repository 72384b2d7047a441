#!/bin/sh
# Starts the service in the image, at once, with what the image and the environment have beside it:
#   Ollama      if its program is there: in the background; the tier answers as soon as Ollama does. Never a reason to
#               stop: without it the service goes on.
#   Litestream  if LITESTREAM_REPLICA_URL is set: brings the database back if its file is missing, copies it while the
#               service runs. litestream.yml, beside this script, says for how long it keeps what is erased here.
# SIGTERM reaches the service, and the script ends with its exit code. Without Ollama the script becomes the service.
set -eu

OLLAMA_WAIT_SECONDS=${OLLAMA_WAIT_SECONDS:-30}

say() {
  echo "start: $1" >&2
}

# has NAME: whether the variable NAME or NAME_FILE has a value.
has() {
  eval "[ -n \"\${$1:-}\${$1_FILE:-}\" ]"
}

# Prints the database's path, as the service reads DATABASE_URL.
database() {
  python -c 'from ouija_es.config import read_settings; print(read_settings().database_path)'
}

# A Python for the whole wait: starting one a second would take the processor from the service.
ollama_answers() {
  python -S -c '
import http.client, sys, time
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    try:
        connection = http.client.HTTPConnection(sys.argv[2], timeout=2)
        connection.request("GET", "/api/tags")
        if connection.getresponse().status == 200:
            sys.exit(0)
    except OSError:
        pass
    time.sleep(1)
sys.exit(1)' "$OLLAMA_WAIT_SECONDS" "${OLLAMA_HOST:-127.0.0.1:11434}"
}

# Says once how it went.
watch_ollama() {
  if ollama_answers; then
    say "Ollama answers"
  else
    say "Ollama does not answer after $OLLAMA_WAIT_SECONDS s; the service goes on without it"
  fi
}

set -- python -m ouija_es serve

if [ -n "${LITESTREAM_REPLICA_URL:-}" ]; then
  for key in VAULT_KEY LEDGER_KEY; do
    has "$key" || {
      say "LITESTREAM_REPLICA_URL is set, so $key must be: a key beside the database is lost with it (ouija-es keys --new)"
      exit 2
    }
  done
  command -v litestream >/dev/null || {
    say "LITESTREAM_REPLICA_URL is set, but there is no Litestream here: build the target with-litestream"
    exit 2
  }
  LITESTREAM_DATABASE=$(database)
  export LITESTREAM_DATABASE
  config=$(dirname "$0")/litestream.yml
  mkdir -p "$(dirname "$LITESTREAM_DATABASE")"
  litestream restore -config "$config" -if-db-not-exists -if-replica-exists "$LITESTREAM_DATABASE"
  set -- litestream replicate -config "$config" -exec "$*"
fi

if ! command -v ollama >/dev/null; then
  say "no Ollama beside the service; its tier answers if OLLAMA_URL leads to one"
  exec "$@"
fi

ollama serve >/dev/null 2>&1 &
ollama=$!
watch_ollama &
watch=$!
"$@" &
service=$!
trap 'kill -TERM "$service" 2>/dev/null || :' TERM INT

# A signal interrupts `wait`: the second one gives the service's own exit code.
code=0
wait "$service" || code=$?
if kill -0 "$service" 2>/dev/null; then
  code=0
  wait "$service" || code=$?
fi
kill "$watch" 2>/dev/null || :
kill -TERM "$ollama" 2>/dev/null || :
wait "$ollama" 2>/dev/null || :
exit "$code"
