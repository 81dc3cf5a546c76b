# By the bytes that travel.
heading = "A call by its payload (median block)"
set xlabel "payload, bytes"
set ylabel "round trip"
set logscale x 2
set logscale y
set xtics ("8" 8, "64" 64, "256" 256, "1 KiB" 1024, "4 KiB" 4096, "16 KiB" 16384, "64 KiB" 65536, "256 KiB" 262144, "1 MiB" 1048576)
