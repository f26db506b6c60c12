//! The payload.
fn main() {}
