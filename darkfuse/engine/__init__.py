"""Runs a `plan.program.Program` tile by tile inside one arena, reading weights as the plan says."""
