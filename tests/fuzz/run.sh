#!/usr/bin/env bash
# Builds the preset fuzz and gives each target many inputs. What breaks one stays in build/fuzz/.
#   tests/fuzz/run.sh [--long] [TARGET...]     targets: config json options http control segment
# 1,000,000 inputs each, http 100,000; with --long 20,000,000, http and segment 2,000,000.
set -euo pipefail
cd "$(dirname "$0")/../.."
. cmake/packages.sh

runs=1000000
runs_http=100000
runs_segment=1000000
targets=()
for argument in "$@"; do
	case $argument in
	--long)
		runs=20000000
		runs_http=2000000
		runs_segment=2000000
		;;
	-h | --help)
		sed -n '2,4s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	*) targets+=("$argument") ;;
	esac
done
[ ${#targets[@]} -gt 0 ] || targets=(config json options http control segment)
for target in "${targets[@]}"; do
	[ -d "tests/fuzz/corpus/$target" ] || {
		echo "there is no target $target" >&2
		exit 1
	}
done

cmake/install-packages.sh "to build" "${packages_build[@]}"
cmake/install-packages.sh "to test" "${packages_test[@]}"
build=build/fuzz
mkdir -p "$build"
cmake --preset fuzz >"$build/configure.log" || {
	cat "$build/configure.log"
	exit 1
}
cmake --build --preset fuzz -- --quiet

# Its last line, every few seconds, until the process has ended.
show_progress() { # TARGET LOG PID
	local line='' status='' begin=$SECONDS shown=$SECONDS
	while IFS= read -r -t 5 line || [ $? -gt 128 ]; do
		[[ $line == \#[0-9]* ]] && status=$line
		if ((SECONDS - shown >= 5)); then
			shown=$SECONDS
			printf '%s: %d s: %.90s\n' "$1" $((SECONDS - begin)) "$status"
		fi
	done < <(tail --pid="$3" -s 1 -n +1 -f "$2" 2>/dev/null)
}

fuzz() { # TARGET COUNT
	local found=$build/found/$1 log=$build/$1.log begin=$SECONDS pid verdict=''
	mkdir -p "$found"
	: >"$log"
	nice "$build/tests/fuzz/fuzz_$1" -runs="$2" -max_len=4096 -timeout=60 -dict="tests/fuzz/$1.dict" \
		-artifact_prefix="$build/$1-" -print_final_stats=1 "$found" "tests/fuzz/corpus/$1" >"$log" 2>&1 &
	pid=$!
	show_progress "$1" "$log" $pid
	wait $pid || {
		grep -av '^#' "$log" | tail -n 60
		verdict=", FAILED: $build/$1-*, $log"
	}
	printf '%s: %s executions, %d s, %s edges%s\n' "$1" \
		"$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" $((SECONDS - begin)) \
		"$(grep -aoE '^#.* cov: [0-9]+' "$log" | tail -n 1 | sed 's/.*cov: //')" "$verdict"
	[ -z "$verdict" ]
}

# One after the other; segment, which takes as long as all others, beside them.
failed=()
beside=
for target in "${targets[@]}"; do
	if [ "$target" = segment ]; then
		fuzz segment "$runs_segment" &
		beside=$!
	fi
done
for target in "${targets[@]}"; do
	count=$runs
	[ "$target" = http ] && count=$runs_http
	[ "$target" = segment ] || fuzz "$target" "$count" || failed+=("$target")
done
[ -z "$beside" ] || wait "$beside" || failed+=(segment)
if [ ${#failed[@]} -gt 0 ]; then
	echo "FAILED: ${failed[*]}"
	exit 1
fi
