#!/usr/bin/env bash
# What a library exports is what its list says: one name a line, sorted.
#   check_symbols.sh [--write] LIST LIBRARY        --write renews the list
# A list's path is from the top of the tree: core/pinion.symbols, ingress/http/pinion_http.symbols.
set -euo pipefail
export LC_ALL=C
write=false
if [ "$1" = --write ]; then
	write=true
	shift
fi
list=$(cd "$(dirname "$0")/../.." && pwd)/$1
exported=$(nm --dynamic --defined-only --format=posix "$2" | cut -d ' ' -f 1 | sed 's/@.*//' |
	sort -u)
if $write; then
	printf '%s\n' "$exported" >"$list"
	exit 0
fi
diff -u --label "$1" --label exported "$list" - <<<"$exported" || {
	echo "If this is meant: tests/install/check_symbols.sh --write $1 $2" >&2
	exit 1
}
echo "$(wc -l <"$list") symbols"
