//! A whole kernel, twice: in two places, by two users, through a cache and without one. It has a signed
//! module and no debug information: with that, what a farm compiles has come out another.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::driver::Room;
use super::support::tools;

const PROJECT: &str = r#"
[kernel]
source = "build"
defconfig = "tinyconfig"
fragments = ["factory:tiny-virt.fragment", "more.fragment"]
signing_key = "key.pem"
"#;
const FRAGMENT: &str = "\
# override: a module is wanted
CONFIG_BLK_DEV_LOOP=m
";

fn project(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("factory.toml"), PROJECT).unwrap();
    fs::write(dir.join("more.fragment"), FRAGMENT).unwrap();
}

/// Digests of what comes of the project in `dir`.
fn build(command: &mut Command, dir: &Path) -> [Value; 2] {
    command.args(["kernel", "--track", "generic", "--json", "-C"]).arg(dir);
    let output = command.env("FACTORY_STORE", dir.join("store")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let built = &report["built"];
    assert_eq!(built["is_kept"], false, "{said}");
    [built["kernel"]["sha256"].clone(), built["headers"]["sha256"].clone()]
}

#[test]
#[ignore = "two whole builds of a kernel; `.ci/test --nightly` runs it"]
fn a_kernel_is_the_same_wherever_and_by_whom_it_is_built() {
    let room = Room::new();
    let (one, two) = (room.path("one"), room.path("another/place"));
    let program = room.path("factory");
    fs::copy(env!("CARGO_BIN_EXE_factory"), &program).unwrap();
    [&one, &two].into_iter().for_each(|dir| project(dir));
    let key = one.join("key.pem");
    let key = key.to_str().unwrap();
    let subject = ["-subj", "/CN=modules", "-nodes", "-days", "3650", "-keyout", key, "-out", key];
    tools::run("openssl", [&["req", "-new", "-x509", "-newkey", "rsa:2048"], &subject[..]].concat());
    fs::copy(key, two.join("key.pem")).unwrap();
    // Who locks parts first says what both take.
    let first = build(Command::new(&program).env("FACTORY_LAUNCHER", "ccache"), &one);
    fs::copy(one.join("factory.lock"), two.join("factory.lock")).unwrap();

    fs::set_permissions(room.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    tools::run("chown", ["-R", "65534:65534", room.path("another").to_str().unwrap()]);
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program);
    assert_eq!(build(nobody.env("HOME", &two).env_remove("FACTORY_LAUNCHER"), &two), first);
}
