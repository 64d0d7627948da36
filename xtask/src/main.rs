//! Under construction in the commits that follow.

fn main() {}
