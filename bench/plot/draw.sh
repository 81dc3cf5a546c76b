#!/usr/bin/env bash
# Draws what FOLDER/results.json has: FOLDER/<plot>.png and .svg.
#   bench/plot/draw.sh FOLDER
set -euo pipefail
folder=$1
here=$(dirname "$0")

for plot in percentiles payload chain load; do
	curves=$folder/$plot.dat
	rm -f "$folder/$plot".{dat,png,svg}
	jq -r --arg plot "$plot" -f "$here/curves.jq" "$folder/results.json" >"$curves"
	if [ ! -s "$curves" ]; then
		rm "$curves"
		echo "plot: $plot: nothing of it was measured" >&2
		continue
	fi
	gnuplot -c "$here/draw.gp" "$here/$plot.gp" "$curves" "$(grep -c '^"' "$curves")" "$folder/$plot" \
		"$(sed -n '1s/^# //p' "$curves")"
	echo "$folder/$plot.png"
done
