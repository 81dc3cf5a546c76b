# Debian packages, by what they are for. Sourced by tests/run.sh, examples/run.sh and bench/run.sh.
# shellcheck shell=bash disable=SC2034
packages_build=(gcc g++ libc6-dev cmake ninja-build pkg-config
	liburcu-dev libhwloc-dev libboost-context-dev libjemalloc-dev
	libmicrohttpd-dev libjansson-dev libyaml-dev)
# What Pinion is measured beside: bench/run.sh --peers. liburcu-dev and libboost-dev come with the above as well.
packages_peers=(libck-dev libdpdk-dev libboost-dev libconcurrentqueue-dev libtbb-dev liburcu-dev
	libiceoryx-posh-dev libacl1-dev libzmq3-dev libnng-dev libcaf-dev libnats-dev nats-server)
packages_test=(clang-14 libclang-rt-14-dev clang-format-14 clang-format libcmocka-dev
	binutils curl spin strace valgrind shellcheck codespell)
packages_plot=(gnuplot-nox jq)
