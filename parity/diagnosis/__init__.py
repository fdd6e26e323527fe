"""Why a layer fails: evidence, and hypotheses by family, listed in :mod:`parity.diagnosis.explain`. Plain NumPy."""
