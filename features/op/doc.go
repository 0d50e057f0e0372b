// Package op has the operators of the engine: values and the machine that evaluates
// expressions over them, the accumulators of aggregates (fold, merge, load) with their
// plain form and their fast kernels, and the table that lists them. It knows nothing of
// windows, entities or batches.
//
// Rules that hold everywhere: exact kinds are never rounded before they are stored;
// null is skipped by accumulators and makes every arithmetic result null; what does not
// fit is null and marked as overflow; NaN and -0 do not exist.
package op
