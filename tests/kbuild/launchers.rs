//! Caches and farms, for real.

use std::process::{Command, Stdio};

use super::driver::Room;
use super::support::farm::{Host, free_port};

#[test]
fn a_second_build_elsewhere_takes_everything_from_ccache() {
    let room = Room::new();
    let run = |out| {
        let run = room.run(out, "Image modules").env("FACTORY_LAUNCHER", "ccache");
        run.env("CCACHE_DIR", room.path("cache")).told()
    };
    let told =
        |hits| format!("done: 7 steps, 4 compiled; ccache: {hits} of 4 compiled files were in the cache");
    assert_eq!(run("one"), told(0));
    assert_eq!(run("two"), told(4));
}

#[test]
fn a_second_build_takes_everything_from_sccache() {
    let room = Room::new();
    let port = free_port().to_string();
    let settings = [("SCCACHE_DIR", room.path("cache").display().to_string()), ("SCCACHE_SERVER_PORT", port)];
    let run = || {
        let run = room.run("out", "Image modules").env("FACTORY_LAUNCHER", "sccache");
        settings.iter().fold(run, |run, (name, value)| run.env(name, value)).told()
    };
    let told =
        |hits| format!("done: 7 steps, 4 compiled; sccache: {hits} of 4 compiled files were in the cache");
    let first = run();
    std::fs::remove_dir_all(room.path("out")).unwrap();
    let second = run();
    let mut stop = Command::new("sccache");
    stop.arg("--stop-server").envs(settings.clone()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(stop.status().unwrap().success());
    assert_eq!((first, second), (told(0), told(4)));
}

fn distcc(room: &Room, port: u16, fallback: &str) -> String {
    let run = room.run("out", "Image modules").env("FACTORY_LAUNCHER", "distcc");
    let run = run.env("DISTCC_HOSTS", format!("127.0.0.1:{port}/2,lzo")).env("DISTCC_FALLBACK", fallback);
    run.env("DISTCC_DIR", room.dir("distcc")).told()
}

#[test]
fn a_farm_compiles_all_and_when_it_dies_this_machine_does_and_says_so() {
    let room = Room::new();
    let host = Host::start();
    let told = distcc(&room, host.port, "0");
    let all = "done: 7 steps, 4 compiled; distcc: 4 files compiled by other machines, 0 by this one";
    assert_eq!(told, all);
    let port = host.port;
    drop(host);
    std::fs::remove_dir_all(room.path("out")).unwrap();
    let told = distcc(&room, port, "1");
    let none = "done: 7 steps, 4 compiled; distcc: 0 files compiled by other machines, 4 by this one; 4 of them \
                because no host took them: nonblocking connect to 127.0.0.1:";
    assert!(told.starts_with(none), "{told}");
}

#[test]
fn a_farm_that_died_and_must_not_be_replaced_is_told_by_its_name() {
    let room = Room::new();
    let port = free_port();
    let told = distcc(&room, port, "0");
    for words in [
        "error: `make Image modules` failed at `CC",
        &format!("\n    nonblocking connect to 127.0.0.1:{port} failed: Connection refused\n"),
        &format!("\n\nhint: the host `127.0.0.1:{port}` of the farm does not answer: see that it runs"),
    ] {
        assert!(told.contains(words), "no `{words}` in {told}");
    }
}
