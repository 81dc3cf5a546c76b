#!/usr/bin/env bash
# codespell finds nothing in the sources and documents.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v codespell >/dev/null || { echo "codespell is missing"; exit 77; }
# TE: the header field of HTTP. inflight: one word in names.
exec codespell --ignore-words-list te,inflight --skip './build,./.git,./LICENSE' .
