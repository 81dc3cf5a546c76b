# The systems.
heading = "A round trip of 8 bytes: how long the slower ones take"
set xlabel "so many take at most so long"
set ylabel "round trip"
set logscale xy
set xtics ("50 %%" 2, "90 %%" 10, "99 %%" 100, "99.9 %%" 1000, "99.99 %%" 10000)
