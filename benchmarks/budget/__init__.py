"""What it costs to know how budgets stand over a year of cube."""
