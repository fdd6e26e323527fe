"""Transfer of weights: layouts found by probing, copying, mismatches."""
