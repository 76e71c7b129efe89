//! `bootenv`: the A/B boot state, from the command line.

fn main() {}
