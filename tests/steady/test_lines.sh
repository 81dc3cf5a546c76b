#!/usr/bin/env bash
# How many cache lines a call moves from one core to the other, and how many either side touches at all: two move,
# the message's and the result's. So that no later feature adds one unseen.
#   test_lines.sh TRACED LIMITS [--write]
# LIMITS has a line each: the work, what is counted, how many lines. What moves may be 0.02 more, what a side touches
# half a line; --write renews the file, in a commit that says why.
set -euo pipefail
traced=$1
limits=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

command -v valgrind >/dev/null || {
	echo "no valgrind"
	exit 77
}
for work in call long chain stream; do
	valgrind --tool=lackey --trace-mem=yes --log-file="$tmp/trace" "$traced" $work >"$tmp/ranges" || {
		tail -n 5 "$tmp/trace" >&2
		exit 1
	}
	awk -f "$(dirname "$0")/lines.awk" "$tmp/ranges" "$tmp/trace" | sed "s/^/$work /" | tee -a "$tmp/all"
done
grep -v '#' "$tmp/all" | sed 's/ /_/' >"$tmp/now"
[ "$(wc -l <"$tmp/now")" -eq 12 ] || {
	echo "counts are missing"
	exit 1
}
if [ "${3:-}" = --write ]; then
	cp "$tmp/now" "$limits"
	exit 0
fi
join <(sort "$limits") <(sort "$tmp/now") | awk '
	$3 > $2 + ($1 ~ /travel/ ? 0.02 : 0.5) { print $1 ": " $3 " lines a call, " $2 " before"; bad = 1 }
	END { exit bad || NR != 12 }'
