"""Small library-like networks, what breaks their ports, what leaves them faithful, and how both are tried."""
