#!/usr/bin/env bash
# Weakens one memory order at a time in a copy of the tree; a test under TSan must object to each.
#   tests/weaken.sh [--all | --changed | FILE...]
# --all      every acquire, release and acq_rel of shm/ and core/ (the default)
# --changed  only of files that differ from the main branch, or from the last commit on it
# A mutant is given to the tests of its folder that name its edge (edge_X_..., edges_X_and_Y_...), then to
# the test of its file. It is caught when one of them fails or TSan reports a race; a mutant that hangs or
# does not compile is not. What no test can tell is listed, with the reason, in tests/weaken.excused. The
# fences of edge S are left out: no sanitizer models a fence. tests/models/run.sh removes them instead.
set -euo pipefail

compiler=${PINION_WEAKEN_CC:-clang-14}
flags=(-std=c17 -D_GNU_SOURCE -w -O1 -g -fsanitize=thread -I.)
export TSAN_OPTIONS="halt_on_error=1 exitcode=66 suppressions=tests/tsan.supp" PINION_TEST_DIVISOR=20

# ---- inside the copy ------------------------------------------------------------------------------

# Compiles each source given, unless its object is there.
compile() { # SOURCE...
	local source
	for source in "$@"; do
		[ -e "${source%.c}.o" ] && continue
		"$compiler" "${flags[@]}" -MMD -c "$source" -o "${source%.c}.o" || return
	done
}

# Links a test with all of its folder's objects and those below it.
link_test() { # TEST.c
	local objects=(shm/*.o) libraries=(-lcmocka -lpthread -lm)
	if [[ $1 == tests/core/* ]]; then
		objects+=(core/*.o affinity/*.o)
		libraries+=(-lurcu-qsbr -lurcu-common -lhwloc -l:libboost_context.a)
	fi
	"$compiler" "${flags[@]}" "${1%.c}.o" "${objects[@]}" -o "${1%.c}" "${libraries[@]}"
}

tests_for() { # FILE LETTER
	local folder=${1%%/*} stem own
	stem=$(basename "${1%.[ch]}")
	own=tests/$folder/test_${stem%_linux}.c
	{
		grep -lE "^edges?_([A-Z]_and_)*$2(_and_[A-Z])*_" tests/"$folder"/test_*.c || true
		[ ! -e "$own" ] || echo "$own"
	} | awk '!seen[$0]++'
}

# Why no test can catch it, by tests/weaken.excused; nothing if one can.
excuse_for() { # FILE LINE WEAKER
	local line
	line=$(sed -n "$2p" "$1")
	while IFS='|' read -r file text weaker reason; do
		[[ $file == "$1" && $weaker == "$3" && $line == *"$text"* ]] && echo "$reason"
	done < <(grep -v '^#' tests/weaken.excused)
	return 0
}

# Prints one line; fails if no test objects.
try_mutant() { # TREE FILE LINE NTH ORDER LETTER WEAKER
	local tree=$1 file=$2 line=$3 nth=$4 order=$5 letter=$6 weaker=$7
	local what="$file:$line $letter $order -> $weaker" copy stale tests test rc sources excuse
	excuse=$(excuse_for "$file" "$line" "$weaker")
	copy=$(mktemp -d "$tree/../mutant.XXXXXX")
	cp -al "$tree/." "$copy"
	cd "$copy"
	rm "$file"
	awk -v line="$line" -v nth="$nth" -v to="memory_order_$weaker" '
		FNR == line {
			for (i = 1; i <= nth && match(rest = substr($0, done + 1), /memory_order_[a-z_]+/); i++) {
				if (i == nth)
					$0 = substr($0, 1, done + RSTART - 1) to substr(rest, RSTART + RLENGTH)
				done += RSTART + RLENGTH - 1
			}
		}
		{ print }' "$tree/$file" >"$file"
	if cmp -s "$file" "$tree/$file"; then
		echo "NOT CHANGED  $what"
		return 1
	fi
	# What was made from the file, by the compiler's own list.
	stale=$(grep -lE "(^|[ /])${file//./\\.}( |$)" -- */*.d tests/*/*.d || true)
	for test in $stale; do rm -f "${test%.d}.o"; done
	mapfile -t sources <sources
	if ! compile "${sources[@]}" >errors 2>&1; then
		cat errors
		echo "NO COMPILE   $what"
		return 1
	fi
	tests=$(tests_for "$file" "$letter")
	for test in $tests; do
		compile "$test"
		rm -f "${test%.c}"
		link_test "$test"
		rc=0
		timeout 120 "./${test%.c}" >output 2>&1 </dev/null || rc=$?
		case $rc in
		0) ;;
		124) echo "HUNG         $what, in $test" ;;
		66) echo "caught       $what, a race in $test" ;;
		*) echo "caught       $what, $test failed ($rc)" ;;
		esac
		if [ $rc -ne 0 ]; then
			if [ -n "$excuse" ]; then
				echo "STALE        the excuse for $what"
				rc=124
			fi
			cd "$tree"
			rm -rf "$copy"
			[ $rc -ne 124 ]
			return
		fi
	done
	cd "$tree"
	rm -rf "$copy"
	if [ -n "$excuse" ]; then
		echo "excused      $what: $excuse"
		return 0
	fi
	echo "NOT CAUGHT   $what${tests:+ by ${tests//$'\n'/ }}"
	return 1
}

case ${1:-} in
--mutant)
	try_mutant "${@:2}"
	exit
	;;
--compile)
	compile "${@:2}"
	exit
	;;
esac

# ---- outside --------------------------------------------------------------------------------------

self=$(realpath "$0")
cd "$(dirname "$self")/.."

changed_files() {
	local base
	base=$(git merge-base HEAD main 2>/dev/null || git merge-base HEAD origin/main 2>/dev/null || true)
	if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then
		base=$(git rev-parse --verify -q HEAD~1 || git rev-parse HEAD)
	fi
	{
		git diff --name-only "$base" -- 'shm/*.[ch]' 'core/*.[ch]'
		git ls-files --others --exclude-standard -- 'shm/*.[ch]' 'core/*.[ch]'
	} | sort -u | while read -r file; do [ ! -e "$file" ] || echo "$file"; done
}

case ${1:---all} in
--all) files=$(ls shm/*.[ch] core/*.[ch]) ;;
--changed) files=$(changed_files) ;;
-h | --help)
	sed -n '2,9s/^# \{0,1\}//p' "$self"
	exit 0
	;;
-*)
	echo "unknown option $1" >&2
	exit 2
	;;
*) files=$* ;;
esac
if [ -z "$files" ]; then
	echo "no file of shm/ or core/ has changed"
	exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2086
awk -f tests/checks/orders.awk $files | awk '
	$5 !~ /^[A-Z]$/ || $6 != "call" { next }
	$4 == "acq_rel" { print $1, $2, $3, $4, $5, "acquire"; print $1, $2, $3, $4, $5, "release"; next }
	$4 == "acquire" || $4 == "release" { print $1, $2, $3, $4, $5, "relaxed" }' >"$work/mutants"
if [ ! -s "$work/mutants" ]; then
	echo "no order to weaken in the files given"
	exit 0
fi

mkdir "$work/tree"
cp -r shm core affinity tests "$work/tree"
cd "$work/tree"
while read -r file _ _ _ letter _; do tests_for "$file" "$letter"; done <"$work/mutants" | sort -u >"$work/tests"
sources=(shm/*.c)
if grep -q '^core/' "$work/mutants"; then sources+=(core/*.c affinity/*.c); fi
printf '%s\n' "${sources[@]}" >sources
mapfile -t tests <"$work/tests"
printf '%s\n' "${sources[@]}" "${tests[@]}" | xargs -P 2 -n 1 "$self" --compile
for test in "${tests[@]}"; do
	link_test "$test"
	if ! timeout 300 "./${test%.c}" >"$work/output" 2>&1 </dev/null; then
		cat "$work/output"
		echo "$test fails with nothing weakened" >&2
		exit 1
	fi
done

status=0
xargs -P 2 -L 1 "$self" --mutant "$work/tree" <"$work/mutants" | tee "$work/results" || status=1
echo "$(wc -l <"$work/mutants") orders weakened, $(grep -c '^caught' "$work/results" || true) caught," \
	"$(grep -c '^excused' "$work/results" || true) excused"
exit $status
