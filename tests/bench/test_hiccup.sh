#!/usr/bin/env bash
# hiccup has rows of its own, or, as a sample, rows of the program that is run next.
#   test_hiccup.sh HICCUP
set -euo pipefail
hiccup=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

fail() {
	echo "FAILED: $*" >&2
	cat "$tmp/said" >&2
	exit 1
}

# rows WANTED [OPTION...]: the benches and cases of its rows.
rows() {
	local wanted=$1 code=0
	shift
	"$hiccup" --json --ms=50 "$@" >"$tmp/said" 2>&1 || code=$?
	[ "$code" -ne 77 ] || exit 77
	[ "$code" -eq 0 ] || fail "$*: exit code $code"
	[ "$(grep -oE '"(bench|case|system)": "[^"]*"' "$tmp/said" | sed 's/.*": "//; s/"$//' | tr '\n' ' ')" = "$wanted" ] ||
		fail "$*: not '$wanted'"
}

rows 'hiccup gaps machine hiccup gaps machine '
rows 'call hiccup-near machine call hiccup-far machine ' --before=call

for ms in 0 60001 x; do
	code=0
	"$hiccup" --ms="$ms" >"$tmp/said" 2>&1 || code=$?
	[ "$code" -eq 1 ] || fail "--ms=$ms: exit code $code"
	grep -q 'ms: 1 to 60000' "$tmp/said" || fail "--ms=$ms: not said"
done
