#!/usr/bin/env bash
# collect merges documents, keeps hiccups apart, prints one table, and names the file that is broken.
#   test_collect.sh COLLECT
set -euo pipefail
collect=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

fail() {
	echo "FAILED: $*" >&2
	cat "$tmp/said" >&2
	exit 1
}

# document BENCH CASE VALUE [COMMIT [POLL]]: of one row, whose bound is on the value.
document() {
	cat <<-END
		{ "machine": { "cpu": "a cpu", "cores": [0, 1], "kernel": "6", "compiler": "c", "flags": " -O",
		    "pinion": "0", "idle": "adaptive", "poll": "${5-clock}", "commit": "${4-abc}",
		    "clock": { "ticks_per_ns": 1.$RANDOM, "step_ns": 1.0, "empty_ns": 1.0 } },
		  "results": [ { "bench": "$1", "name": "row of $1", "case": "$2", "system": "pinion",
		    "placement": null, "payload_bytes": 8, "samples": 3, "value": $3, "unit": "ms", "each": null, "p50_ns": $3e6,
		    "p99_ns": null, "p999_ns": null, "p9999_ns": null, "max_ns": null, "p999_block_ns": null, "rate_per_s": null,
		    "ratio": null, "against": null, "rounds": null, "bound": 5, "bounds_value": true, "is_rate": false } ] }
	END
}

# refuses FILE PATTERN: named with the reason, exit code 1, nothing written.
refuses() {
	local code=0
	"$collect" --output "$tmp/refused.json" "$tmp/one.json" "$tmp/$1" >"$tmp/said" 2>&1 || code=$?
	[ "$code" -eq 1 ] || fail "$1: exit code $code"
	grep -qE "^collect: .*/$1: $2" "$tmp/said" || fail "$1: no '$2'"
	[ ! -e "$tmp/refused.json" ] || fail "$1: something was written"
}

document one first 4 >"$tmp/one.json"
document hiccup gaps 6 >"$tmp/hiccup.json"
document two second 7.5 >"$tmp/two.json"

"$collect" --output "$tmp/all.json" "$tmp"/{one,hiccup,two}.json >"$tmp/said" 2>&1 || fail "three documents"
grep -qE '^a cpu, cpus 0 and 1, Linux 6, c -O, pinion 0 abc, idle "adaptive", polls "clock"$' "$tmp/said" || fail "the machine"
grep -qE '^one  +samples' "$tmp/said" || fail "no heading"
grep -qE '^  row of one  +3 +4.0 ms .* <= 5 ms ok$' "$tmp/said" || fail "a bound that is met"
grep -qE '^  row of two  +3 +7.5 ms .* <= 5 ms over$' "$tmp/said" || fail "a bound that is not"
grep -qE '^  row of hiccup ' "$tmp/said" || fail "hiccups are shown"
sed '/"hiccups"/,$d' "$tmp/all.json" >"$tmp/results"
grep -q '"second"' "$tmp/results" || fail "a row is not in the results"
! grep -q '"gaps"' "$tmp/results" || fail "hiccups are in the results"
grep -q '"gaps"' "$tmp/all.json" || fail "hiccups are lost"

# A sample that was taken before a program stands with its rows, before them.
document one hiccup-near 0.5 >"$tmp/one.before.json"
"$collect" --output "$tmp/all.json" "$tmp"/{one.before,one,hiccup}.json >"$tmp/said" 2>&1 || fail "a sample"
[ "$(grep -cE '^one  +samples' "$tmp/said")" -eq 1 ] || fail "a heading of its own"
sed '/"hiccups"/,$d' "$tmp/all.json" | grep -o '"case": "[^"]*"' | tr '\n' ' ' >"$tmp/cases"
[ "$(cat "$tmp/cases")" = '"case": "hiccup-near" "case": "first" ' ] || fail "it is elsewhere: $(cat "$tmp/cases")"

# What it has written it reads.
"$collect" --output "$tmp/again.json" "$tmp/all.json" >"$tmp/said" 2>&1 || fail "its own document"

head -n 3 "$tmp/two.json" >"$tmp/cut.json"
refuses cut.json 'line [0-9]+: '
refuses absent.json 'unable to open'
document other case 1 other >"$tmp/other.json"
refuses other.json 'of another machine, commit, idle strategy or pace of polls'
document paced case 1 abc pause >"$tmp/paced.json"
refuses paced.json 'of another machine, commit, idle strategy or pace of polls'
sed 's/"value": 7.5/"value": "7.5"/' "$tmp/two.json" >"$tmp/text.json"
refuses text.json 'value: not a number'
sed 's/"p99_ns": null, //' "$tmp/two.json" >"$tmp/less.json"
refuses less.json 'p99_ns: missing'
sed 's/"unit": "ms", //' "$tmp/two.json" >"$tmp/unit.json"
refuses unit.json '.*unit'
sed 's/"poll": "clock", //' "$tmp/one.json" >"$tmp/unpaced.json"
refuses unpaced.json 'of another machine'
echo '{ "results": [] }' >"$tmp/nowhere.json"
refuses nowhere.json 'it has no machine'
sed 's/"results": \[.*/"results": [] }/; 5,$d' "$tmp/two.json" >"$tmp/empty.json"
refuses empty.json 'it has no results'
