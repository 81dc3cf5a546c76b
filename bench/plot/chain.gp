# By the number of stages.
heading = "A chain by its length (median block)"
set xlabel "stages"
set ylabel "until the last result, ns"
set format y "%.0f"
scale = 1
set yrange [0:*]
set xrange [0:*]
set xtics 1
