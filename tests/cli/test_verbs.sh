#!/usr/bin/env bash
# `pinion` lists its verbs, says what it is made of, and refuses what it does not know.
#   test_verbs.sh PINION
set -euo pipefail
pinion=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# says PATTERN STATUS ARGUMENT...
says() {
	local pattern=$1 expected=$2 status=0
	shift 2
	"$pinion" "$@" >"$tmp/said" 2>&1 || status=$?
	[ "$status" -eq "$expected" ] && grep -qE -e "$pattern" "$tmp/said" && return
	echo "FAILED: pinion $* said, with $status:" >&2
	cat "$tmp/said" >&2
	exit 1
}

says '^  run FILE.so' 0 --help
says '^  build FILE.so' 0 --help
says '^  call FILE.so' 0 --help
says '^  version' 0 --help
says '--output=FILE' 0 build --help
says '--stream' 0 call --help
says '^pinion [0-9]+\.[0-9]+\.[0-9]+$' 0 --version
says '^pinion [0-9]+\.[0-9]+\.[0-9]+$' 0 version
says '^ABI [0-9]+$' 0 version
says '^jemalloc [0-9]' 0 version
says '--no-http' 0 run --help
says '^  run FILE.so' 0 help
says "^pinion: there is no verb 'walk' \(try pinion --help\)$" 1 walk
says 'Usage: ' 1
says 'Usage: |Try ' 1 version now
