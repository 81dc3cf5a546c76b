#!/usr/bin/env bash
# clang-format decides. To obey: clang-format-14 -i FILE
set -euo pipefail
cd "$(dirname "$0")/../.."

formatter=$(command -v clang-format-14 || true)
[ -n "$formatter" ] || { echo "clang-format-14 is missing"; exit 77; }
find . -path ./build -prune -o \( -name '*.[ch]' -o -name '*.[ch]pp' \) -print0 |
	xargs -0 "$formatter" --dry-run -Werror
