//! Programs that judge what was made. A missing one fails the test that needs it.

use std::ffi::OsStr;
use std::process::{Command, Output};

/// Runs a program, which must be there and succeed.
pub fn run<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Output {
    let mut command = Command::new(program);
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    command.args(arguments).env("PATH", path).env("MTOOLS_SKIP_CHECK", "1").env("LC_ALL", "C.UTF-8");
    succeed(command)
}

/// What a program prints.
pub fn print<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> String {
    String::from_utf8(run(program, arguments).stdout).unwrap()
}

/// Runs a command, which must be there and succeed.
pub fn succeed(mut command: Command) -> Output {
    let output = command.output();
    let output =
        output.unwrap_or_else(|error| panic!("{command:?} does not start ({error}); run .ci/setup --tests"));
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?} ended with {}:\n{said}", output.status);
    output
}
