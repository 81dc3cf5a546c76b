#!/usr/bin/env bash
# What a call may cost, in instructions: submit, complete (a turn that runs it, and one that finds nothing),
# read, release; the same of a call to the own worker, which is run while its result is waited for, and all of it with
# and without a stage more. So that no later feature slows them unseen.
#   test_instructions.sh COUNTED LIMITS [--write]
# LIMITS has a line each: the function, and how many instructions a call of it takes. More than that by a
# hundredth fails; --write renews the file, in a commit that says why.
set -euo pipefail
counted=$1
limits=$2
calls=20000
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Instructions in and below each function, for so many calls.
count() { # MODE CALLS FUNCTIONS
	valgrind --tool=callgrind --callgrind-out-file="$tmp/out" "$counted" "$2" "$1" >"$tmp/log" 2>&1 || {
		cat "$tmp/log" >&2
		exit 1
	}
	callgrind_annotate --inclusive=yes --threshold=100 "$tmp/out" 2>/dev/null | tr -d ',' |
		sed -nE "s/^ *([0-9]+) .*[:?]($3)( .*)?\$/\2 \1/p" | sort -u
}

# What one call more takes in each.
each() { # MODE FUNCTIONS
	count "$1" $calls "$2" >"$tmp/few"
	count "$1" $((2 * calls)) "$2" >"$tmp/many"
	join "$tmp/few" "$tmp/many" | awk -v calls=$calls '{ printf "%s %.0f\n", $1, ($3 - $2) / calls }'
}

command -v valgrind >/dev/null || {
	echo "no valgrind"
	exit 77
}
{
	each remote 'pinion_call_on_values|pinion_work|pinion_result_on_into|pinion_release_on'
	each local 'pinion_call_values|pinion_result_into|pinion_release'
	each beside 'pinion_work' | sed 's/work/work_beside_400_ports/'
	each local 'call_locally'
	each chain 'chain_locally'
} | sort >"$tmp/now"
[ "$(wc -l <"$tmp/now")" -eq 10 ] || {
	echo "functions are missing in the profile:"
	cat "$tmp/now"
	exit 1
}
cat "$tmp/now"
if [ "${3:-}" = --write ]; then
	cp "$tmp/now" "$limits"
	exit 0
fi
join "$limits" "$tmp/now" | awk '
	$3 > $2 * 1.01 { print $1 ": " $3 " instructions a call, " $2 " before"; bad = 1 }
	END { exit bad }'
