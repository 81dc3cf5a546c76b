#!/usr/bin/env bash
# docs/conformance.md: each of the 113 behaviours once, every test that it names is there, at most ten do not apply; and
# tests/break.txt breaks each behaviour that a test is named after.
set -euo pipefail
cd "$(dirname "$0")/../.."
status=0

complain() {
	echo "docs/conformance.md: $*"
	status=1
}

rows=$(sed -n 's/^| \([0-9][0-9, ]*\) |\(.*\)|$/\1|\2/p' docs/conformance.md)
numbers=$(cut -d'|' -f1 <<<"$rows" | tr ',' '\n' | tr -d ' ' | sort -n)
diff <(seq 113) <(echo "$numbers") >/dev/null ||
	complain "not each of 1 to 113 once: $(diff <(seq 113) <(echo "$numbers") | grep '^[<>]' | tr '\n' ' ')"

reasons=$(grep 'does not apply' <<<"$rows" | cut -d'|' -f1 | tr ',' '\n' | grep -c '[0-9]')
[ "$reasons" -le 10 ] || complain "$reasons do not apply, of 10 at most"

# "file: test, test; file: test" in the last column.
while IFS= read -r named; do
	file=${named%%: *}
	for test in $(tr ',' ' ' <<<"${named#*: }"); do
		grep -qsw "$test" "tests/core/test_$file.c" "tests/ingress/test_$file.c" ||
			complain "there is no test $test in $file"
	done
done < <(cut -d'|' -f3 <<<"$rows" | tr ';' '\n' | sed 's/^ *//; s/ *$//' | grep -E '^[a-z_]+: [a-z0-9_, ]+$')

while IFS= read -r path; do
	[ -f "$path" ] || complain "there is no $path"
done < <(grep -oE 'tests/[a-z_/]+\.(sh|c)' <<<"$rows" | sort -u)

# None is named for a number that the list has elsewhere.
while IFS=: read -r file name; do
	grep -qw "$name" docs/conformance.md || complain "does not name $name of $file"
	grep -q "^behaviour .* $name\$" tests/break.txt || {
		echo "tests/break.txt: nothing breaks $name of $file"
		status=1
	}
done < <(grep -rhoE --with-filename '\bbehaviour_[a-z0-9_]+' tests/core/*.c tests/ingress/*.c | sort -u)
exit $status
