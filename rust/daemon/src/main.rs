//! `dialroom-media`: the media process.
fn main() {}
