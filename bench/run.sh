#!/usr/bin/env bash
# Installs what is missing, builds, and measures: each program of this folder.
#   bench/run.sh [--quick]
set -euo pipefail
cd "$(dirname "$0")/.."
. cmake/packages.sh
built=build/release

options=()
for argument in "$@"; do
	case $argument in
	--quick) options+=(--quick) ;;
	*)
		sed -n '2,3s/^# \{0,1\}//p' bench/run.sh >&2
		exit 1
		;;
	esac
done

cmake/install-packages.sh "to build" "${packages_build[@]}"
echo "Building $built ..."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ cmake --preset release && cmake --build --preset release; } >"$log" 2>&1 || {
	cat "$log" >&2
	exit 1
}

commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
for program in floor call local chain; do
	printf '\n%s\n' "$program"
	"$built/bench/$program" --commit="$commit" "${options[@]}"
done
