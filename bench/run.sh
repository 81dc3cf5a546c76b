#!/usr/bin/env bash
# Installs what is missing, builds, measures with each program of this folder, and prints one table of all.
#   bench/run.sh [--quick] [--peers] [--aeron DIR] [--plot]
# --quick: few rounds, at most two minutes. --peers: other libraries as well, which are installed for that
# (bench/peers/README.md). --aeron: these, and the Aeron that is installed in DIR. --plot: curves.
# Before each program, bench/hiccup looks for 0.3 s at what the machine is like.
# In build/bench/ are left: what each program measured, results.json of all, and the plots.
set -euo pipefail
cd "$(dirname "$0")/.."
. cmake/packages.sh
built=build/without-tests
results=build/bench
sample_ms=300

usage() {
	sed -n '2,7s/^# \{0,1\}//p' bench/run.sh >&2
	exit 1
}

options=()
quick=false
peers=false
plot=false
aeron=
while [ $# -gt 0 ]; do
	case $1 in
	--quick)
		quick=true
		options+=(--quick)
		;;
	--peers) peers=true ;;
	--aeron)
		[ -d "${2-}" ] || usage
		aeron=$(realpath "$2")
		peers=true
		shift
		;;
	--plot) plot=true ;;
	*) usage ;;
	esac
	shift
done

cmake/install-packages.sh "to build" "${packages_build[@]}"
if $plot; then cmake/install-packages.sh "to plot" "${packages_plot[@]}"; fi
# One that cannot be had leaves its peer out, and no other.
if $peers && ! cmake/install-packages.sh "to measure other libraries beside it" "${packages_peers[@]}"; then
	for package in "${packages_peers[@]}"; do
		cmake/install-packages.sh "to measure other libraries beside it" "$package" ||
			echo "bench: left out: what $package is for" >&2
	done
fi
echo "Building $built ..." >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ cmake --preset without-tests -DPINION_BENCH=ON -DPINION_AERON="$aeron" &&
	cmake --build --preset without-tests; } >"$log" 2>&1 || {
	cat "$log" >&2
	exit 1
}

programs=()
for source in bench/*.c; do
	name=$(basename "$source" .c)
	[ "$name" = collect ] || programs+=("$built/bench/$name")
done
if $peers; then programs+=("$built/bench/peers/peers"); fi

mkdir -p "$results"
rm -rf "$results"/*.json "$results/hgrm"
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
options+=(--json "--commit=$commit")
documents=()

# measure DOCUMENT PROGRAM [OPTION...]: at the pace of polls that the first has found out.
measure() {
	local document=$results/$1
	shift
	documents+=("$document")
	"$@" "${options[@]}" >"$document"
	if [ ${#documents[@]} -eq 1 ]; then
		options+=("--poll=$(sed -n 's/^ *"poll": "\(.*\)",$/\1/p' "$document")")
	fi
}

done=0
for program in "${programs[@]}"; do
	name=$(basename "$program")
	done=$((done + 1))
	echo "bench: $done of ${#programs[@]}, $name" >&2
	own=(--hgrm="$results/hgrm")
	if [ "$name" = peers ] && ! $quick; then own+=("--payload=64,1024"); fi
	# What the machine is like just now: the first rows of the program, by system "machine".
	if [ "$name" != hiccup ]; then
		measure "$name.before.json" "$built/bench/hiccup" --before="$name" --ms="$sample_ms"
	fi
	measure "$name.json" "$program" "${own[@]}"
done
"$built/bench/collect" --output="$results/results.json" "${documents[@]}"
if $plot; then bench/plot/draw.sh "$results"; fi
