//! Small kernels that are really built, from the archive's source and for both tracks. The store keeps
//! them, so the next run takes them from there; what is left then is a build after a change.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{Image, Project, factory, marker, vcio};

/// One configuration for both tracks, so that the second build finds all objects in a cache.
pub(super) const KERNEL: &str = r#"
[kernel]
source = "build"
defconfig = "tinyconfig"
fragments = ["factory:tiny-virt.fragment", "factory:tiny-rpi.fragment"]
"#;

/// One kernel is built at a time: the next one then finds the objects of the first.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The image of a project with [`KERNEL`], which starts in half the time of the archive's.
pub(super) fn image(project: &Project, track: &str) -> Image {
    let _turn = turn();
    project.image_of(track)
}

/// `factory kernel` in a project, with its report.
fn kernel(project: &Project, arguments: &[&str]) -> Value {
    let dir = project.path("");
    let all = [&["kernel", "--json", "-C", dir.to_str().unwrap()], arguments].concat();
    serde_json::from_slice(&factory(&all).stdout).unwrap()
}

#[test]
fn a_kernel_that_was_built_boots_and_is_not_built_again() {
    let _turn = turn();
    let project = Project::new(&[("factory.toml", KERNEL)]);
    let report = project.image().boot("^factory: up ");
    assert_eq!(marker(&report)["slot"], "a");
    let again = kernel(&project, &["--track", "generic"]);
    assert_eq!(again["built"]["is_kept"], true, "{again}");
}

#[test]
fn a_kernel_that_was_built_arms_tryboot_through_our_module() {
    let _turn = turn();
    vcio::prove(&vcio::project(KERNEL), &vcio::ANSWERS);
}

/// How many loop devices there are from the start is known to one file of the kernel.
#[test]
fn after_a_change_of_one_option_only_what_it_concerns_is_compiled() {
    let _turn = turn();
    let project = Project::new(&[("factory.toml", KERNEL)]);
    let fragment = project.path("my.fragment");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 1_000_000;
    // The first of two brings the build tree to where the second begins, whoever used it before.
    let reports = [now, now + 1].map(|count| {
        std::fs::write(&fragment, format!("CONFIG_BLK_DEV_LOOP_MIN_COUNT={count}\n")).unwrap();
        kernel(&project, &["--track", "generic", "--fragment", fragment.to_str().unwrap()])
    });
    let built = &reports[1]["built"];
    assert!((1..20).contains(&built["compiled"].as_u64().unwrap()), "{built}");
    assert!(built["steps"].as_u64().unwrap() < 100, "{built}");
    for report in reports {
        let file = report["built"]["kernel"]["path"].as_str().unwrap();
        std::fs::remove_dir_all(Path::new(file).parent().unwrap()).unwrap();
    }
}
