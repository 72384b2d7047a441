#!/usr/bin/env bash
# Builds the wheel into a folder (default: dist), installs it with the locked dependencies into an environment of its
# own, and asks it a question from outside the checkout: what is installed must not need the checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

checkout=$PWD
folder=${1:-dist}
work=$(mktemp -d)
server=
trap '[[ -z "$server" ]] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

"${PYTHON:-python3}" -m venv "$work/venv"
python=$work/venv/bin/python
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$folder" .
"$python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall "$folder"/ouija_es-*.whl

cd "$work"
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
DATABASE_URL=file:$work/ouija.db PORT=$port OLLAMA_URL='' "$work/venv/bin/ouija-es" serve >"$work/log" 2>&1 &
server=$!
"$python" "$checkout/scripts/smoke.py" "http://127.0.0.1:$port" --wait 60 || { cat "$work/log" >&2; exit 1; }
kill "$server"
wait "$server"
server=
echo "the wheel works as installed"
