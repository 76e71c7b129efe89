//! Small kernels that are really built, from the archive's source and for both tracks. The store keeps
//! them, so the next run takes them from there; what is left then is a build after a change.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{Project, factory, marker, vcio};

const GENERIC: &str = r#"
[kernel]
source = "build"
defconfig = "tinyconfig"
fragments = ["factory:tiny-virt.fragment"]
"#;
const RPI: &str = r#"
[kernel]
source = "build"
defconfig = "tinyconfig"
fragments = ["factory:tiny-virt.fragment", "factory:tiny-rpi.fragment"]
"#;

/// `factory kernel` in a project, with its report.
fn kernel(project: &Project, arguments: &[&str]) -> Value {
    let dir = project.path("");
    let all = [&["kernel", "--json", "-C", dir.to_str().unwrap()], arguments].concat();
    serde_json::from_slice(&factory(&all).stdout).unwrap()
}

#[test]
fn a_kernel_that_was_built_boots_and_is_not_built_again() {
    let project = Project::new(&[("factory.toml", GENERIC)]);
    let report = project.image().boot("^factory: up ");
    assert_eq!(marker(&report)["slot"], "a");
    let again = kernel(&project, &["--track", "generic"]);
    assert_eq!(again["built"]["is_kept"], true, "{again}");
}

#[test]
fn a_kernel_that_was_built_arms_tryboot_through_our_module() {
    vcio::prove(&vcio::project(RPI), &vcio::ANSWERS);
}

/// How long a panic lasts is known to one file of the kernel.
#[test]
fn after_a_change_of_one_option_only_what_it_concerns_is_compiled() {
    let project = Project::new(&[("factory.toml", GENERIC)]);
    kernel(&project, &["--track", "generic"]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 1_000_000;
    let lines = format!("# override: the test changes it\nCONFIG_PANIC_TIMEOUT={now}\n");
    std::fs::write(project.path("my.fragment"), lines).unwrap();
    let fragment = project.path("my.fragment");
    let report = kernel(&project, &["--track", "generic", "--fragment", fragment.to_str().unwrap()]);
    let compiled = report["built"]["compiled"].as_u64().unwrap();
    assert!((1..100).contains(&compiled), "{report}");
}
