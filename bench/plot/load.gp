# By how busy it is; beside each the ideal queue, dashed, in the same colour.
heading = "Requests that come at random: the 99th percentile, from when a request was due"
set xlabel "load, % of capacity"
set ylabel "99th percentile"
set logscale y
set xrange [0:100]
set xtics 10
colour(i) = colours[(i / 2) % 8 + 1]
dash(i) = i % 2 + 1
