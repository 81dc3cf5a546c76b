#!/usr/bin/env bash
# The tool of that name finds nothing in any script.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v shellcheck >/dev/null || { echo "shellcheck is missing"; exit 77; }
{
	find . -path ./build -prune -o -name '*.sh' -print0
	grep -rlZE '^#!.*\b(ba)?sh\b' .ci tests bench examples cmake 2>/dev/null || true
} | sort -zu | xargs -0 shellcheck
