#!/usr/bin/env bash
# examples/client: three programs, one of which calls the others; and pinion's own commands call it as well.
#   test_client.sh SERVE CLIENT PINION HOST
set -euo pipefail
tmp=$(mktemp -d)
export PINION_RUNTIME_DIR=$tmp/names
pid=
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; rm -rf "$tmp"' EXIT

exec {said}< <(exec "$1" test)
pid=$!
IFS= read -r ready <&"$said"
[ "$ready" = "serve: found as 'test'" ] || { echo "it said '$ready'"; exit 1; }
expect() {
	diff -u --label expected --label got - <("$2" test) <<-END
		3 cost 30450
		with the fee 30480
		may 5 be bought? $1
		tick 10150
		tick 10151
		tick 10152
		tick 10150
	END
}
expect "nobody can say: no \`host' runs" "$2"
exec {hosted}< <(exec "$4" test)
host=$!
IFS= read -r ready <&"$hosted"
[ "$ready" = "host: Risk of 'test' runs here" ] || { echo "it said '$ready'"; exit 1; }
expect "no: 50750 is more than 50000" "$2"
if "$4" test 2>"$tmp/err"; then exit 1; fi
grep -q 'Risk of "default" has all its processes' "$tmp/err" || { cat "$tmp/err"; exit 1; }
[ "$("$3" call test '[2]')" = 20300 ] || { echo "pinion call gave another price"; exit 1; }
kill -TERM "$pid"
wait "$pid"
pid=
wait "$host" || { echo "the host did not end as it was told"; exit 1; }
if "$2" test 2>"$tmp/err"; then exit 1; fi
grep -q 'client: nothing runs by the name "test"' "$tmp/err" || { cat "$tmp/err"; exit 1; }
[ -z "$(ls "$PINION_RUNTIME_DIR")" ] || { echo "a name was left"; exit 1; }
