"""The rung distribution: runs on many devices, by each framework's own engines, against the run on one."""
