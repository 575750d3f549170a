//! `dialroom-loadgen`: RTP load for benchmarks.
fn main() {}
