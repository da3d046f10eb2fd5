# Sporadic peers' p99 against the load of a flood beside them. Columns of `data`: load, shared, peeled.
#   gnuplot -e "data='FILE'; picture='FILE.svg'" sporadic_p99.gnuplot
set terminal svg size 720,420 font "sans-serif,13" background "white"
set output picture
set title "16 sporadic peers beside a flood of 100 us messages, kernel SCTP"
set xlabel "offered load of the flood: what part of one shard's time its work alone takes"
set ylabel "p99 of the sporadic peers' pings, ms"
set logscale y
set grid
set key outside bottom center horizontal
plot data using 1:2 with linespoints lw 2 pt 7 title "all on the shared socket", \
     data using 1:3 with linespoints lw 2 pt 5 title "the loud one peeled off"
