#!/usr/bin/env bash
# Breaks one behaviour at a time in a copy of the tree; the test that is named after it must object.
#   tests/break.sh [--list FILE] [NUMBER | TEST]...
# Without arguments all of tests/break.txt (or FILE), which says what is broken, and how; else only those of a
# behaviour's number, or of a test. A break is caught when its test fails, or never ends. One whose text is no
# longer there, that does not compile or that nobody minds is not, and fails the run.
set -euo pipefail

list=tests/break.txt
seconds=20
self=$(realpath "$0")
if [ "${1:-}" = --list ]; then
	list=$(realpath "$2")
	shift 2
fi
case ${1:-} in
-h | --help)
	sed -n '2,6s/^# \{0,1\}//p' "$self"
	exit 0
	;;
-*)
	echo "unknown option $1" >&2
	exit 2
	;;
esac
cd "$(dirname "$self")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree build=$work/build
mkdir "$tree" "$work/breaks"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$tree"

# One file a break, in the order of the list.
awk -v folder="$work/breaks" '/^#/ { next } !NF { open = 0; next }
	!open { open = 1; close(file); file = sprintf("%s/%04d", folder, ++count) }
	{ print > file }' "$list"

wanted() { # BREAK ARGUMENT...
	local break=$1 numbers program test argument
	shift
	[ $# -gt 0 ] || return 0
	read -r _ numbers program test <"$break"
	for argument; do
		[[ ",$numbers," == *",$argument,"* || $program == "$argument" || $test == "$argument" ]] && return 0
	done
	return 1
}

# Writes each file of a break as the break has it; fails where a text is not there, or is there more than once.
apply() { # BREAK
	awk -v tree="$tree" '
		function fail(why) { print why ": " old; failed = 1; exit 1 }
		function replace(   at, from, rest) {
			if (old == "")
				return
			from = after == "" ? 1 : index(text, after)
			if (!from)
				fail("no \"" after "\" in " file)
			rest = substr(text, from)
			at = index(rest, old)
			if (!at)
				fail("not in " file)
			if (after == "" && index(substr(rest, at + 1), old))
				fail("more than once in " file)
			text = substr(text, 1, from + at - 2) new substr(rest, at + length(old))
			old = ""
		}
		function put() {
			replace()
			if (file != "")
				printf "%s", text > (tree "/" file)
		}
		/^in / {
			put()
			file = $2
			after = ""
			text = ""
			while ((getline line < (tree "/" file)) > 0)
				text = text line "\n"
			close(tree "/" file)
			next
		}
		/^@ / { replace(); after = substr($0, 3); next }
		/^- / { replace(); old = substr($0, 3); new = ""; next }
		/^\+ / { new = substr($0, 3); next }
		/^\+$/ { next }
		END { if (!failed) put() }' <(tail -n +2 "$1")
}

# Its exit code; "-": a script, else a program with many tests.
run() { # PROGRAM TEST
	if [ "$2" = - ]; then
		timeout $((seconds * 4)) ctest --test-dir "$build" -R "^${1//./\\.}\$" >"$work/output" 2>&1
	else
		PINION_TEST_DIVISOR=20 timeout -k 1 "$seconds" stdbuf -oL "$build/tests/${1//./_}" >"$work/output" 2>&1 </dev/null
	fi
}

# Says how the test took it; fails if it did not mind.
judge() { # PROGRAM TEST
	local test=$2 rc=0
	run "$@" || rc=$?
	if [ "$test" = - ]; then
		[ $rc -ne 0 ] && echo caught
		return
	fi
	# With a teardown that fails as well, cmocka says ERROR.
	if grep -qE "\[  (FAILED |ERROR  ) \] $test\$" "$work/output"; then
		echo caught
	elif [ $rc -eq 124 ] || [ $rc -eq 137 ]; then
		[ "$(grep -oE '\[ RUN      \] .*' "$work/output" | tail -1)" = "[ RUN      ] $test" ] && echo "caught, hung"
	elif [ $rc -gt 128 ]; then
		[ "$(grep -oE '\[ RUN      \] .*' "$work/output" | tail -1)" = "[ RUN      ] $test" ] && echo "caught, died"
	else
		return 1
	fi
}

# How many tests failed.
others() {
	{ grep -E '\[  (FAILED |ERROR  ) \] [a-z]' "$work/output" || true; } | sort -u | wc -l
}

compile() { # PROGRAM TEST
	local target=all
	[ "$2" = - ] || target=${1//./_}
	cmake --build "$build" --target "$target" -- --quiet >"$work/output" 2>&1
}

breaks=()
for break in "$work"/breaks/*; do
	if wanted "$break" "$@"; then breaks+=("$break"); fi
done
if [ ${#breaks[@]} -eq 0 ]; then
	echo "nothing in $list is of $*" >&2
	exit 2
fi
cmake -S "$tree" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-O1 >"$work/output" 2>&1 || {
	cat "$work/output"
	exit 1
}

# A test that fails anyhow would object to anything.
while read -r program test; do
	if ! compile "$program" "$test" || ! seconds=120 run "$program" "$test"; then
		cat "$work/output"
		echo "$program fails with nothing broken" >&2
		exit 1
	fi
done < <(for break in "${breaks[@]}"; do cut -d' ' -f3,4 "$break" | head -1; done | sort -u -k1,1)

caught=0
for break in "${breaks[@]}"; do
	read -r _ numbers program test <"$break"
	mapfile -t files < <(sed -n 's/^in //p' "$break" | sort -u)
	if ! why=$(apply "$break"); then
		verdict="STALE, $why"
	elif ! compile "$program" "$test"; then
		verdict="NO COMPILE, $(grep -m1 error "$work/output" || tail -1 "$work/output")"
	elif verdict=$(judge "$program" "$test"); then
		caught=$((caught + 1))
	else
		verdict="NOT CAUGHT, $(others) others failed"
	fi
	printf '%-12s %s %s %s (%s)\n' "$verdict" "$numbers" "$program" "$test" "${files[*]}"
	for file in "${files[@]}"; do cp "$file" "$tree/$file"; done
done
echo "$caught of ${#breaks[@]} caught"
[ $caught -eq ${#breaks[@]} ]
