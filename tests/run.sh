#!/usr/bin/env bash
# Every test: release with gcc and clang, ASan+UBSan with gcc, TSan with clang.
#   tests/run.sh [--long] [PRESET...]     presets: release release-clang asan tsan
# --long also weakens every memory order, not only those in changed files, and breaks each behaviour that a test is named after.
set -euo pipefail
cd "$(dirname "$0")/.."
. cmake/packages.sh

long=false
presets=()
for argument in "$@"; do
	case $argument in
	--long) long=true ;;
	-h | --help)
		sed -n '2,4s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	*) presets+=("$argument") ;;
	esac
done
[ ${#presets[@]} -gt 0 ] || presets=(release release-clang asan tsan)

cmake/install-packages.sh "to build" "${packages_build[@]}"
cmake/install-packages.sh "to test" "${packages_test[@]}"

failed=()
summary=()
for preset in "${presets[@]}"; do
	echo "== $preset: build"
	log=build/$preset/tests.log
	mkdir -p "build/$preset"
	cmake --preset "$preset" >"$log" 2>&1 || {
		cat "$log"
		exit 1
	}
	cmake --build --preset "$preset" -- --quiet
	echo "== $preset: tests"
	case $preset in
	"${presets[0]}") labels=() ;;
	asan | tsan) labels=(-LE source) ;; # what is labelled once is short there
	*) labels=(-LE "source|once") ;;
	esac
	if ! ctest --preset "$preset" "${labels[@]}" | tee "$log"; then
		failed+=("$preset")
	fi
	summary+=("$preset: $(grep -E 'tests passed' "$log" || echo 'no summary')")
done
if [ -x tests/weaken.sh ]; then
	echo "== weakened memory orders"
	if $long; then tests/weaken.sh --all; else tests/weaken.sh --changed; fi || failed+=(weaken)
fi
echo "== fuzzing"
if $long; then tests/fuzz/run.sh --long; else tests/fuzz/run.sh; fi || failed+=(fuzz)
if $long; then
	echo "== broken behaviours"
	tests/break.sh || failed+=(break)
fi
echo
printf '%s\n' "${summary[@]}"
if [ ${#failed[@]} -gt 0 ]; then
	echo "FAILED: ${failed[*]}"
	exit 1
fi
echo "all passed"
