"""The twin: what fsim says of a run, played over real sockets."""
