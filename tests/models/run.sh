#!/usr/bin/env bash
# Explores the models exhaustively: the right ones have no error, the wrong ones have one each.
#   tests/models/run.sh
set -euo pipefail
cd "$(dirname "$0")"

for tool in spin gcc; do
	command -v "$tool" >/dev/null || { echo "$tool is missing"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp ./*.pml "$work"
cd "$work"

status=0
# Leaves pan's report in ./report.
explore() { # MODEL [-DVARIANT...]
	if ! { spin -a "${@:2}" "$1.pml" && gcc -O2 -w -DSAFETY -DCOLLAPSE -o pan pan.c; } >report 2>&1; then
		cat report
		exit 1
	fi
	timeout 600 ./pan -m100000 >report
	if grep -qE 'max search depth too small|aborted|out of memory' report || ! grep -q 'errors:' report; then
		cat report
		exit 1
	fi
}
states() { sed -nE 's/^ *([0-9.e+]+) states, stored.*/\1/p' report | head -1; }
right() { # MODEL [-DVARIANT...]
	explore "$@"
	if grep -q 'errors: 0' report; then
		echo "$*: no error in $(states) states"
	else
		cat report
		echo "$*: an error, where there should be none"
		status=1
	fi
}
wrong() { # MODEL -DVARIANT
	explore "$@"
	if grep -q 'errors: 0' report; then
		echo "$*: no error is found, where there is one"
		status=1
	else
		echo "$*: found, $(grep -oE 'assertion violated.*|invalid end state' report | head -1)"
	fi
}

right sleep
right sleep -DEVENT
for variant in NO_SLEEPER_FENCE NO_RINGER_FENCE WAIT_ON_EPOCH CLAIM READ_LATE RANG_ONCE; do
	wrong sleep -D$variant
done
wrong sleep -DEVENT -DNO_SLEEPER_FENCE
wrong sleep -DEVENT -DNO_RINGER_FENCE
right slot
for variant in STORE_DONE ASK_STORE PLAIN_OR NO_RETIRE WAKE_FIRST; do
	wrong slot -D$variant
done
exit $status
