# What every process of the workshop starts with; make, the notebooks' kernels, the tests and the hub read it here.
# A value of your own goes before: OMP_NUM_THREADS=4 make workshop.

# Threads that wait for the others spin for some microseconds and then sleep (GNU OpenMP). By default they spin for
# milliseconds at every barrier: a little faster on a quiet machine, and with more running threads than cores (another
# program, a second notebook) they burn the time that the others need.
export GOMP_SPINCOUNT ?= 1000

# Working memory of a CPU run is kept, not handed back to the system and fetched again at every layer, and comes in
# large pages (glibc only; others, and glibc before 2.35 for the last, take no notice).
export MALLOC_MMAP_THRESHOLD_ ?= 33554432
export MALLOC_TRIM_THRESHOLD_ ?= 1073741824
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
