# Draws one plot as PNG and SVG.
#   gnuplot -c draw.gp SETTINGS CURVES COUNT OUTPUT WHERE
# SETTINGS: the plot's own file. CURVES, COUNT: a block each, in ns; how many. OUTPUT: without ending. WHERE: what was measured on.
settings = ARG1
curves = ARG2
last = ARG3 - 1
output = ARG4
where = ARG5

set key outside right top reverse Left samplen 3 spacing 1.2 noenhanced
set grid xtics ytics linecolor rgb "#dddddd" linetype 1
set border 3 linecolor rgb "#555555"
set tics nomirror
set offsets graph 0.02, graph 0.02, graph 0.03, 0
array colours[8] = ["#1b6ca8", "#d1495b", "#3c8d40", "#e08e0b", "#6a4c93", "#1aa6a6", "#b5651d", "#444444"]
array points[8] = [7, 5, 9, 11, 13, 6, 4, 8]
colour(i) = colours[i % 8 + 1]
dash(i) = i / 8 + 1
set format y "%.0s %cs"
scale = 1e-9
load settings
set title heading . "\n" . where noenhanced

do for [end in "png svg"] {
	if (end eq "png") { set terminal pngcairo size 1200,640 font "sans,11" }
	if (end eq "svg") { set terminal svg size 1200,640 font "sans,13" background rgb "white" }
	set output output . "." . end
	plot for [i = 0:last] curves index i using 1:($2 * scale) with linespoints linewidth 2 pointsize 1 \
		linecolor rgb colour(i) dashtype dash(i) pointtype points[i % 8 + 1] title columnheader(1)
	unset output
}
