//! The `windtunnel` program.

fn main() {}
