#!/usr/bin/env bash
# Explores the models exhaustively: the right ones have no error, the wrong ones have one each.
#   tests/models/run.sh            about two minutes
#   tests/models/run.sh --long     larger bounds; about ten minutes, and 4 GB of memory
set -euo pipefail
cd "$(dirname "$0")"

is_long=false
case ${1-} in
'') ;;
--long) is_long=true ;;
*) echo "usage: $0 [--long]" >&2; exit 2 ;;
esac
for tool in spin gcc; do
	command -v "$tool" >/dev/null || { echo "$tool is missing"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp ./*.pml "$work"
cd "$work"

status=0
# Leaves pan's report in ./report.
explore() { # -OPTIMIZE MODEL [-DVARIANT...]
	if ! { spin -a "${@:3}" "$2.pml" && gcc "$1" -w -DSAFETY -DCOLLAPSE -o pan pan.c; } >report 2>&1; then
		cat report
		exit 1
	fi
	timeout 600 ./pan -m100000 >report || echo "pan: exit status $?" >>report
	if grep -qE 'max search depth too small|aborted|out of memory|exit status' report ||
		! grep -q 'errors:' report; then
		cat report
		exit 1
	fi
}
states() { sed -nE 's/^ *([0-9.e+]+) states, stored.*/\1/p' report | head -1; }
right() { # MODEL [-DVARIANT...]
	case $1 in
	chain) explore -O0 "$@" ;; # to make it fast takes longer than it saves
	*) explore -O2 "$@" ;;
	esac
	if grep -q 'errors: 0' report && ! grep -q 'not completed' report; then
		echo "$*: no error in $(states) states"
	else
		cat report
		echo "$*: an error, where there should be none"
		status=1
	fi
}
wrong() { # MODEL -DVARIANT
	local found

	explore -O0 "$@" # it ends early
	found=$(sed -nE 's/^pan:1: (assertion violated.*|invalid end state.*)/\1/p' report)
	if [[ -n $found ]]; then
		echo "$*: found, $found"
	else
		cat report
		echo "$*: no error is found, where there is one"
		status=1
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

right lane
for variant in PUBLISH_FIRST COPY_FIRST SETTLE_FIRST NO_CLAIM ONE_TOO_MANY BLIND SAME_EACH_LAP \
	NEVER_SETTLED; do
	wrong lane -D$variant
done

for reader in THREAD HANDLER PIPED; do # the first is as it is
	right stream -D$reader
	right stream -D$reader -DWINDOW=1
	right stream -D$reader -DONE_FENCE
	for variant in NO_ITEM_FENCE NO_ANNOUNCE_FENCE BLIND_SLEEP EARLY; do
		wrong stream -D$reader -D$variant
	done
	wrong stream -D$reader -DWINDOW=1 -DHOARD
done
for variant in NO_ROOM_FENCE NO_CLOSE_FENCE CLOSE_SILENT ONE_LOOK ASK_ONCE; do
	wrong stream -DTHREAD -D$variant
done
wrong stream -DHANDLER -DASK_ONCE
wrong stream -DHANDLER -DASK_LAST
wrong stream -DPIPED -DEND_SILENT

right chain
right chain -DHANDED=1 -DGIVEN=1
right chain -DHANDED=1 -DFAILING
for variant in NO_PLACEHOLDER NO_TRAIL NO_COMPARE NO_STAND_IN TO_STOP LATE_LOOK; do
	wrong chain -D$variant
done
wrong chain -DFAILING -DNO_RESCUE

right recovery
wrong recovery -DHOLDER_FIRST
wrong recovery -DTRUST_HEAD

right detach
for variant in NO_TAILS NO_OUTBOX NO_LOOKUP NULL_FIRST BURIED_LATE NO_GRACE; do
	wrong detach -D$variant
done

right inherit
for variant in SETTLE_LATE NO_TAKING STATE_FIRST NO_TICKET FREE_FIRST RESEND DROP_LANE; do
	wrong inherit -D$variant
done

if $is_long; then
	right sleep -DGIFTS_1=3
	right lane -DCELLS=4 -DMESSAGES=20
	right lane -DCELLS=8 -DMESSAGES=32
	for reader in THREAD HANDLER PIPED; do
		right stream -D$reader -DITEMS=12
		right stream -D$reader -DWINDOW=4 -DITEMS=12
	done
	right chain -DHANDED=3
	right chain -DGIVEN=1
	right chain -DFAILING
	right detach -DHANDED=4
fi
exit $status
