"""The rung distribution: runs on many devices, with both frameworks' own engines, against the run on one."""
