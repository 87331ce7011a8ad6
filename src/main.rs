//! The command line `segc`.

fn main() {}
