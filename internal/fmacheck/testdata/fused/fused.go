// Package fused has what the check must find, and what it must not.
package fused

// Horner may be fused: the product is rounded only where the language asks for it.
func Horner(x, a, b, c float64) float64 { return (a*x+b)*x + c }

// Rounded has the same terms with every product rounded.
func Rounded(x, a, b, c float64) float64 { return float64(float64(float64(a*x)+b)*x) + c }
