//! What a call does and says.

use std::fs;

use super::driver::Room;

#[test]
fn steps_are_counted_and_everything_is_logged() {
    let room = Room::new();
    assert_eq!(room.run("out", "Image modules").told(), "done: 7 steps, 4 compiled");
    assert_eq!(room.run("out", "Image modules").told(), "done: 0 steps, 0 compiled");
    let log = fs::read_to_string(room.path("out.log")).unwrap();
    let parts: Vec<&str> = log.split("# make Image modules\n").collect();
    assert_eq!(parts.len(), 3, "{log}");
    assert!(parts[1].contains("\n  LD      vmlinux\n") && !parts[2].contains("LD "), "{log}");
    assert!(room.path("out/arch/arm64/boot/Image").exists());
}

#[test]
fn the_first_real_error_is_told_with_its_step_and_the_log() {
    let room = Room::new();
    let log = room.path("out.log");
    let told = room.run("out", "syntax Image").told();
    for words in [
        "error: `make syntax Image` failed at `CC bad/syntax.o`\n",
        "toy/bad/syntax.c: In function 'bad':\n",
        "toy/bad/syntax.c:5:22: error: expected ';' before '}' token\n        5 |         return good()\n",
        &format!("\n  the whole log is in `{}`", log.display()),
    ] {
        assert!(told.contains(words), "no `{words}` in {told}");
    }
    assert!(!told.contains("Error 1"), "{told}");
    // What comes before in the log is of another call.
    let told = room.run("out", "rule").told();
    assert!(told.contains("No rule to make target 'bad/nosuch.o', needed by 'rule'.  Stop."), "{told}");
    assert!(!told.contains("bad/syntax"), "{told}");
}

#[test]
fn a_missing_header_is_told_with_the_package_that_has_it() {
    let told = Room::new().run("out", "header").told();
    assert!(told.contains("fatal error: openssl/there-is-no-such-header.h: No such file"), "{told}");
    assert!(told.ends_with("\n\nhint: on Debian, `apt-get install libssl-dev`"), "{told}");
}

#[test]
fn nothing_of_the_users_shell_reaches_the_compiler() {
    let room = Room::new();
    let run = room.run("out", "environment Image").env("KCFLAGS", "-DX").env("KBUILD_BUILD_USER", "me");
    let run = run.env("MAKEFLAGS", "-k").env("TZ", "Asia/Tokyo").env("LC_ALL", "C.UTF-8");
    let run = run.env("CCACHE_BASEDIR", "/").env("CCACHE_DIR", "/kept").env("CC", "false");
    assert_eq!(run.told(), "done: 5 steps, 3 compiled");
    let found = fs::read_to_string(room.path("out/environment")).unwrap();
    for line in [
        "LC_ALL=C",
        "TZ=UTC",
        "CCACHE_BASEDIR=",
        "CCACHE_DIR=/kept",
        "KBUILD_BUILD_USER=factory",
        "KBUILD_BUILD_HOST=factory",
        "KBUILD_BUILD_VERSION=1",
        "KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 2026",
        "SOURCE_DATE_EPOCH=1767225600",
        "LOCALVERSION=",
        "ARCH=arm64",
    ] {
        assert!(found.lines().any(|found| found == line), "no `{line}` in {found}");
    }
    let is_ours = |line: &str| line.starts_with("FACTORY_TEST") || line.starts_with("KCFLAGS");
    assert!(!found.lines().any(is_ours), "{found}");
}

#[test]
fn programs_that_are_missing_are_told_with_their_packages() {
    let room = Room::new();
    let empty = room.dir("empty");
    let told = room.run("out", "Image").env("PATH", &empty).told();
    let compiler = if cfg!(target_arch = "aarch64") { "`gcc`" } else { "`aarch64-linux-gnu-gcc`" };
    assert!(
        told.starts_with(&format!("error: {compiler} is not installed\n\nhint: on Debian, `apt-get")),
        "{told}"
    );
    for launcher in ["ccache", "sccache", "distcc", "icecc"] {
        let told = room.run("out", "Image").env("PATH", &empty).env("FACTORY_LAUNCHER", launcher).told();
        let expected =
            format!("error: `{launcher}` is not installed\n\nhint: on Debian, `apt-get install {launcher}`");
        assert_eq!(told, expected);
    }
}
