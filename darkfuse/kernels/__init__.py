"""The native floor: C kernels compiled once per instruction set, one table of function pointers for each."""
