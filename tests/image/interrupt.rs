//! Ctrl-C: nothing half-written is left, and the next build succeeds.

use std::fs;
use std::io::Read as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::support::archive::Archive;
use super::support::machine::Machine;
use super::support::server::Answer;

const IMAGE: [&str; 5] = ["image", "--track", "generic", "-o", "disk.img"];
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something to become true.
fn wait_for(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn start(machine: &Machine, arguments: &[&str]) -> Child {
    let mut command = machine.factory(arguments);
    command.env("FACTORY_HTTP_TIMEOUT", "20");
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Presses Ctrl-C, and checks how `factory` takes it.
fn interrupt(mut factory: Child) {
    kill_process(Pid::from_child(&factory), Signal::INT).unwrap();
    let start = Instant::now();
    let mut said = String::new();
    factory.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let status = factory.wait().unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(130), "interrupted; nothing half-written is left\n"));
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
}

/// Whether a file of the project has a name that starts like this.
fn is_there(machine: &Machine, start: &str) -> bool {
    let names = fs::read_dir(machine.project(".")).unwrap().map(|entry| entry.unwrap().file_name());
    names.into_iter().any(|name| name.to_str().unwrap().starts_with(start))
}

#[test]
fn a_download_that_is_interrupted_leaves_nothing_and_is_gone_on_with() {
    let machine = Machine::new();
    machine.write("disk.img", "the image of yesterday");
    let path = Archive::pool_path("busybox-static", "1:1.37-1");
    let right = machine.server().get(&path);
    let slow = right.clone();
    machine.server().route(&path, move |_| Answer::of(&slow).dripping(200, Duration::from_millis(100)));
    let before = machine.snapshot();
    let factory = start(&machine, &IMAGE);
    wait_for("the download", || !machine.server().asked(&path).is_empty());
    interrupt(factory);
    assert!(machine.snapshot() == before);
    machine.server().file(&path, right);
    machine.image();
}

#[test]
fn an_image_that_is_interrupted_leaves_the_one_before() {
    let machine = Machine::with("[generic]\nesp = \"esp\"\n");
    machine.write("esp/small", "x");
    machine.run(&IMAGE);
    machine.write("disk.img", "the image of yesterday");
    // Long to write, and no holes.
    machine.write("esp/large", vec![7; 256 << 20]);
    let before = machine.snapshot();
    let factory = start(&machine, &IMAGE);
    wait_for("the image to be written", || is_there(&machine, ".disk.img."));
    interrupt(factory);
    assert!(machine.snapshot() == before);
    fs::remove_file(machine.project("esp/large")).unwrap();
    machine.image();
}

#[test]
fn a_conversion_that_is_interrupted_leaves_nothing() {
    let machine = Machine::new();
    // Long to pack, and no holes.
    machine.write("disk.img", vec![7; 256 << 20]);
    let before = machine.snapshot();
    let factory = start(&machine, &["convert", "disk.img", "--to", "bmap", "--to", "xz"]);
    wait_for("the image to be packed", || is_there(&machine, ".disk.img.xz."));
    interrupt(factory);
    assert!(machine.snapshot() == before);
}
