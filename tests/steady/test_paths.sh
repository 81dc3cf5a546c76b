#!/usr/bin/env bash
# How much code the paths of a call are: submit, take, complete, poll, read, release. Their bytes (without what the
# compiler has put aside as cold), their atomic instructions and fences, their calls. So that they stay short enough to
# be read as assembly, and no later feature puts a lock or a memcpy into them unseen.
#   test_paths.sh LIBRARY LIMITS [--write]
# LIMITS has a line each: the function, bytes, atomics, calls. A twentieth more bytes fail, one more of the others
# does; --write renews the file, in a commit that says why. To read one:
#   objdump -d --no-show-raw-insn --disassemble=pinion_call_on_values libpinion.so
set -euo pipefail
library=$1
limits=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
functions=(pinion_call_on_values pinion_call_values pinion_reply_from pinion_result_on_into pinion_result_into
	pinion_release_on pinion_release)

for function in "${functions[@]}"; do
	objdump -d --no-show-raw-insn --disassemble="$function" "$library" >"$tmp/code"
	size=$(nm -S "$library" | awk -v f="$function" '$4 == f { print $2 }')
	awk -v f="$function" -v size="$((16#$size))" '
		/>:$/ { inside = $2 == "<" f ">:" }
		!inside { next }
		/xchg +%ax,%ax/ { next } # does nothing
		/[ \t](lock|xchg|[lms]fence) / { atomics++ }
		/[ \t]call / { calls++ }
		END { print f, size, atomics + 0, calls + 0 }' "$tmp/code"
done | tee "$tmp/now"
if [ "${3:-}" = --write ]; then
	cp "$tmp/now" "$limits"
	exit 0
fi
join <(sort "$limits") <(sort "$tmp/now") | awk -v functions=${#functions[@]} '
	$5 > $2 * 1.05 { print $1 ": " $5 " bytes of code, " $2 " before"; bad = 1 }
	$6 > $3 { print $1 ": " $6 " atomic instructions, " $3 " before"; bad = 1 }
	$7 > $4 { print $1 ": " $7 " calls, " $4 " before"; bad = 1 }
	END { exit bad || NR != functions }'
