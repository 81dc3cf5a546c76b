#!/usr/bin/env bash
# Installs what is missing, builds, measures with each program of this folder, and prints one table of all.
#   bench/run.sh [--quick] [--peers] [--plot]
# --quick: few rounds, at most two minutes. --peers: other libraries as well, if that program was built.
# --plot: curves. In build/bench/ are left: what each program measured, results.json of all, and the plots.
set -euo pipefail
cd "$(dirname "$0")/.."
. cmake/packages.sh
built=build/without-tests
results=build/bench

options=()
peers=false
plot=false
for argument in "$@"; do
	case $argument in
	--quick) options+=(--quick) ;;
	--peers) peers=true ;;
	--plot) plot=true ;;
	*)
		sed -n '2,5s/^# \{0,1\}//p' bench/run.sh >&2
		exit 1
		;;
	esac
done

cmake/install-packages.sh "to build" "${packages_build[@]}"
if $plot; then cmake/install-packages.sh "to plot" "${packages_plot[@]}"; fi
echo "Building $built ..." >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ cmake --preset without-tests -DPINION_BENCH=ON && cmake --build --preset without-tests; } >"$log" 2>&1 || {
	cat "$log" >&2
	exit 1
}

programs=()
for source in bench/*.c; do
	name=$(basename "$source" .c)
	[ "$name" = collect ] || programs+=("$built/bench/$name")
done
if $peers; then
	if [ -x "$built/bench/peers/peers" ]; then
		programs+=("$built/bench/peers/peers")
	else
		echo "bench: peers was not built" >&2
	fi
fi

mkdir -p "$results"
rm -f "$results"/*.json
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
documents=()
for program in "${programs[@]}"; do
	document=$results/$(basename "$program").json
	documents+=("$document")
	echo "bench: ${#documents[@]} of ${#programs[@]}, $(basename "$program")" >&2
	"$program" --json --commit="$commit" "${options[@]}" >"$document"
done
"$built/bench/collect" --output="$results/results.json" "${documents[@]}"
if $plot; then bench/plot/draw.sh "$results"; fi
