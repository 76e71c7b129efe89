//! A whole kernel, twice: in two places, by two users, through a cache and through a farm. It has debug
//! information and signed modules, which know most of where and by whom they were made.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::driver::Room;
use super::support::farm::Host;
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
CONFIG_DEBUG_KERNEL=y
CONFIG_DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT=y
";

fn project(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("factory.toml"), PROJECT).unwrap();
    fs::write(dir.join("more.fragment"), FRAGMENT).unwrap();
}

/// Digests of what comes of the project in `dir`.
fn build(command: &mut Command, dir: &Path, launcher: &str) -> [Value; 2] {
    command.args(["kernel", "--track", "generic", "--json", "--launcher", launcher, "-C"]).arg(dir);
    let output = command.env("FACTORY_STORE", dir.join("store")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let built = &report["built"];
    assert_eq!(built["launcher"]["launcher"], launcher, "{said}");
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
    let first = build(&mut Command::new(&program), &one, "ccache");
    fs::copy(one.join("factory.lock"), two.join("factory.lock")).unwrap();

    fs::set_permissions(room.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    tools::run("chown", ["-R", "65534:65534", room.path("another").to_str().unwrap()]);
    let host = Host::start();
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program);
    nobody.env("HOME", &two).env("DISTCC_FALLBACK", "0");
    nobody.env("DISTCC_HOSTS", format!("127.0.0.1:{}/2,lzo", host.port));
    assert_eq!(build(&mut nobody, &two, "distcc"), first);
}
