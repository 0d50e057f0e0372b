package sequence

// CPUTime is for the benchmarks of package sequence_test.
var CPUTime = cpuTime
