"""Small hypotheses of why a layer fails, a family a file; :mod:`parity.diagnosis.explain` tries them in order."""
