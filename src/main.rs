//! The `factory` command: reads the command line, runs one story of `cmd`, reports its error.

use std::process::ExitCode;

use clap::Parser as _;
use factory::{cli::Cli, cmd};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cmd::run(&cli) {
        Ok(code) => code,
        Err(error) => cmd::report(&cli, &error),
    }
}
