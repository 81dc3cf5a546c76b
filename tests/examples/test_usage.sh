#!/usr/bin/env bash
# What is no number of calls gets one line that says how embed is used, and exit code 1.
#   test_usage.sh EMBED
set -euo pipefail
embed=$1

for wrong in abc -5 0 5x "" 99999999999999999999 "1 2"; do
	read -ra arguments <<<"$wrong"
	[ -n "$wrong" ] || arguments=("")
	status=0
	said=$("$embed" "${arguments[@]}" 2>&1) || status=$?
	[ "$status" -eq 1 ] && [[ $said == "usage: embed "* ]] && [[ $said != *$'\n'* ]] && continue
	echo "FAILED: embed $wrong said, with $status: $said" >&2
	exit 1
done
