#!/usr/bin/env bash
# With idle = spin, a million calls make no more system calls than a thousand, and no allocations.
#   test_system_calls.sh STEADY [CALLS]
# A handful more or less is the start's and the stop's, where threads meet or do not.
set -euo pipefail
steady=$1
calls=${2:-1000000}
slack=64
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

strace -f -o "$tmp/probe" true 2>/dev/null || {
	echo "strace may not trace here"
	exit 77
}

# How many system calls that many calls take.
count() {
	strace -f -c -U calls,name -o "$tmp/table" "$steady" "$1" >&2
	awk '$2 == "total" { print $1 }' "$tmp/table"
}

few=$(count 1000)
many=$(count "$calls")
echo "1000 calls: $few system calls; $calls calls: $many"
[ $((many - few)) -le $slack ]
