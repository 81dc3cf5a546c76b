#!/usr/bin/env bash
# A program prints these lines, exactly, and exits 0.
#   expect.sh LINE... -- PROGRAM ARGUMENT...
set -euo pipefail
lines=()
while [ "$1" != -- ]; do
	lines+=("$1")
	shift
done
shift
got=$("$@")
diff -u --label expected --label got <(printf '%s\n' "${lines[@]}") - <<<"$got"
