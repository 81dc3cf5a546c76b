#!/usr/bin/env bash
# examples/client: two programs, one of which calls the other; and pinion's own commands call it as well.
#   test_client.sh SERVE CLIENT PINION
set -euo pipefail
tmp=$(mktemp -d)
export PINION_RUNTIME_DIR=$tmp/names
pid=
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; rm -rf "$tmp"' EXIT

exec {said}< <(exec "$1" test)
pid=$!
IFS= read -r ready <&"$said"
[ "$ready" = "serve: found as 'test'" ] || { echo "it said '$ready'"; exit 1; }
diff -u --label expected --label got - <("$2" test) <<-END
	3 cost 30450
	with the fee 30480
	tick 10150
	tick 10151
	tick 10152
	tick 10150
END
[ "$("$3" call test '[2]')" = 20300 ] || { echo "pinion call gave another price"; exit 1; }
kill -TERM "$pid"
wait "$pid"
pid=
if "$2" test 2>"$tmp/err"; then exit 1; fi
grep -q 'client: nothing runs by the name "test"' "$tmp/err" || { cat "$tmp/err"; exit 1; }
[ -z "$(ls "$PINION_RUNTIME_DIR")" ] || { echo "a name was left"; exit 1; }
