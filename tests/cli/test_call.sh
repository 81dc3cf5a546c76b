#!/usr/bin/env bash
# `pinion call` prints what a method answers, a stream's items as they come, or a table; what is wrong is one line that
# says what there is, and exit code 1.
#   test_call.sh PINION APPS.SO
set -euo pipefail
pinion=$1
apps=$2
# shellcheck source=tests/cli/server.sh
. "$(dirname "$0")/server.sh"
cd "$tmp"
ln -s "$apps" apps.so

# answers TEXT ARGUMENT...
answers() {
	local text=$1
	shift
	expect "$text" "$("$pinion" call apps.so:talking "$@" | od -An -c)"
}
printed() {
	printf '%b' "$1" | od -An -c
}

# Each kind of result, arguments by position and by name.
answers "$(printed 'well\n')"
answers "$(printed 'hi\n')" '["hi"]'
answers "$(printed 'hi\n')" '{"text": "hi"}'
answers "$(printed 'hi\n')" __call__ '{"text": "hi"}'
answers "$(printed 'a=b\n')" '["a=b"]'
answers "$(printed '5\n')" add '[2, 3]'
answers "$(printed '5\n')" add ' {"b": 3, "a": 2}'
answers "$(printed '18446744073709551615\n')" u64 '[18446744073709551615]'
answers "$(printed '18446744073709551615\n')" u64 '{"x": 18446744073709551615}'
answers "$(printed '0.5\n')" half '[1]'
answers "$(printed 'false\n')" negate '[true]'
answers "$(printed 'null\n')" nothing
answers "$(printed 'null\n')" nothing '[]'
answers "$(printed 'a\0b')" bytes '["a\u0000b"]'

# Another deployment's method; the builder's arguments, options and files as with run.
answers "$(printed 'hi\n')" Relay.pass '["hi"]'
answers "$(printed 'well\n')" 'Talker#2.__call__'
expect hi "$("$pinion" call apps.so greeting=hi)"
expect hi "$("$pinion" call apps.so __call__ greeting=hi Echoer.num_replicas=2 --workers=1 --idle=yield --poll=pause)"
cat >app.yaml <<-END
	applications:
	  - name: named
	    import_path: apps.so
	    args: {greeting: of the file}
END
expect "of the file" "$("$pinion" call app.yaml Echoer.__call__)"

# Streams: each item is there when it is made.
answers "$(printed '0\n1\n2\n')" --stream count '[3]'
answers "" --stream count '{"limit": 0}'

# Tables.
table() { # CALLS FAILED ARGUMENT...
	local calls=$1 failed=$2
	shift 2
	"$pinion" call apps.so:talking "$@" >out 2>err || true
	cat out
	expect 2 "$(wc -l <out)"
	expect "calls failed p50 ns p99 ns p99.9 ns max ns" "$(head -1 out | xargs)"
	read -r -a row < <(tail -1 out)
	expect "$calls $failed" "${row[0]} ${row[1]}"
}
sorted() {
	[ "${row[2]}" -gt 0 ]
	[ "${row[2]}" -le "${row[3]}" ] && [ "${row[3]}" -le "${row[4]}" ] && [ "${row[4]}" -le "${row[5]}" ]
}
table 1000 0 --count=1000 add '[2, 3]'
sorted
expect "" "$(cat err)"
table 1 0 --count=1
sorted
table 500 0 --count=500 --rate=100000 add '[2, 3]'
sorted
table 1000 0 --rate=1000
sorted
table 20 20 --count=20 stumble
expect "20 20 - - - -" "${row[*]}"
expect "pinion call: 20 of 20 calls failed; the first: Talker*.stumble: no answer to 7 (*)" \
	"$(sed 's/Talker#2/Talker*/; s/(.*)/(*)/' err)"
table 20 20 --count=20 --rate=10000 add '["x", 1]'

# Ten calls that are meant to begin within 10 us and take 10 ms one after the other: the fifth has waited for four, and
# says so. One after the other hides it.
"$pinion" call apps.so:napping '[10000000]' --count=10 --rate=1000000 >out
read -r -a row < <(tail -1 out)
sorted
[ "${row[2]}" -gt 49000000 ] || fail "p50 is ${row[2]} ns"
[ "${row[5]}" -gt 99000000 ] || fail "max is ${row[5]} ns"

# refused PATTERN ARGUMENT...
refused() {
	local pattern="pinion call: $1" status=0
	shift
	"$pinion" call "$@" >out 2>err || status=$?
	cat err
	expect 1 "$status"
	expect 1 "$(wc -l <err)"
	# shellcheck disable=SC2053
	[[ $(cat err) == $pattern ]] || fail "not '$pattern'"
}
talking() {
	refused "$1" apps.so:talking "${@:2}"
	expect "" "$(cat out)"
}

# Names.
refused "which FILE.so, FILE.yaml, or NAME of what runs\?"
refused "./none.so: No such file or directory" none.so
refused "*apps.so has no symbol 'nobody'" apps.so:nobody
talking "the ingress of 'default' has no method 'shout'; it has: __call__, add, *; the deployments are: Talker, Relay, Talker#2" shout
talking "Relay has no method 'shout'; it has: pass" Relay.shout
talking "Relay has no method ''; it has: pass" Relay.
talking "there is no deployment 'Nobody' in 'default'; it has: Talker, Relay, Talker#2" Nobody.pass
refused "the ingress of 'default' has no method '__call__'; it has: one, two; *" apps.so:uncallable
printf 'applications: [{import_path: apps.so}, {import_path: apps.so, name: b}]\n' >two.yaml
refused "the file has 2 applications, and one is called" two.yaml
refused "beside the file: Echoer: num_replicas is \"0\": *" app.yaml Echoer.num_replicas=0
refused "Faulter: init of replica 0 failed: there is no model" apps.so:failing

# JSON.
talking "the argument is not JSON: line 1, column 2: *" add '[2'
talking "the argument is JSON, but not an object or array" add 5
talking "the argument is empty" add ''
talking "line 1, column 10: duplicate object key*" add '{"a":1,"a":2}'
talking "argument 1: null cannot be passed" add '[1, null]'
talking "parameter 'b': an array cannot be passed" add '{"a": 1, "b": []}'
talking "argument 0: a whole number of more than 64 bits cannot be passed" u64 '[18446744073709551616]'
talking "17 arguments are more than 16" add '[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]'
talking "Talker#2.add: parameter \"b\" (i64) is missing (*)" add '[1]'
talking "Talker#2.add: there is no parameter \"c\" (*)" add '{"a": 1, "c": 2}'
talking "Talker#2.add: parameter \"a\" wants i64 and got str (*)" add '["x", 2]'
talking "'\[]' is one argument too many" add '[]' '[]'

# What fails, and what has no text.
talking "Talker#2.stumble: no answer to 9 (*)" stumble '[9]'
talking "the result is a struct, *: it has no text" structure
refused "Talker#2.count: out of numbers (*)" apps.so:talking --stream count '[2, true]'
expect $'0\n1' "$(cat out)"
talking "count is a stream: it needs --stream, *" count '[3]'
talking "count is a stream: it needs --stream, *" count '[3]' --count=5
talking "add is no stream: leave out --stream" --stream add '[1, 2]'

# Options.
for value in 0 -1 x 1.5 10000001; do
	talking "--count: '$value' is not a whole number from 1 to 10000000" --count="$value"
done
for value in 0 -1 x inf nan 1e9; do
	talking "--rate: '$value' is not a number from 0.001 to 10000000" --rate="$value"
done
talking "--stream prints items, --count and --rate print none" --stream --count=2 count '[1]'
talking "'0' is not a number from 1 to 64" --workers=0
talking "idle is \"fast\": *" --idle=fast
status=0
"$pinion" call apps.so >/dev/full 2>err || status=$?
expect 1 "$status"
expect "pinion call: standard output: No space left on device" "$(cat err)"
