#!/usr/bin/env bash
# Brings the gateways that `make bench-peers` runs beside the service into ${OUIJA_ES_CACHE:-~/.cache/ouija-es}/gateways:
# LiteLLM's proxy and TensorZero from PyPI, Portkey's from npm, nothing compiled and no install script run. What cannot be
# had is told and left out. LiteLLM stays at the last 1.106: a release 1.107.0 was compromised.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python3}
LITELLM='litellm[proxy]==1.106.4'
TENSORZERO=tensorzero==2026.6.0
PORTKEY=@portkey-ai/gateway@1.15.2
cache=${OUIJA_ES_CACHE:-$HOME/.cache/ouija-es}/gateways
missing=0

# python_gateway FOLDER REQUIREMENT: a virtual environment of its own; the stamp is written last.
python_gateway() {
  local folder=$cache/$1
  if [[ "$(cat "$folder/made-from" 2>/dev/null)" == "$2" ]]; then
    echo "$2 is there"
    return
  fi
  echo "installing $2 ..."
  "$PYTHON" -m venv --clear "$folder" &&
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "$2" &&
    echo "$2" >"$folder/made-from"
}

npm_gateway() {
  local folder=$cache/$1
  if [[ "$(cat "$folder/made-from" 2>/dev/null)" == "$2" ]]; then
    echo "$2 is there"
    return
  fi
  echo "installing $2 ..."
  mkdir -p "$folder" &&
    (cd "$folder" && npm install --silent --no-audit --no-fund --ignore-scripts "$2") &&
    echo "$2" >"$folder/made-from"
}

mkdir -p "$cache"
python_gateway litellm "$LITELLM" || { echo "LiteLLM is left out" >&2; missing=1; }
python_gateway tensorzero "$TENSORZERO" || { echo "TensorZero is left out" >&2; missing=1; }
npm_gateway portkey "$PORTKEY" || { echo "Portkey is left out (it needs npm)" >&2; missing=1; }
exit "$missing"
