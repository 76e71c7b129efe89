//! Flashes that are killed or interrupted at any instant, and those that go on.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Desk, MIB, SIZE, factory, flash, head, said, succeed};
use crate::loops::Loop;

/// Instants at which a run is ended.
const INSTANTS: u32 = 8;

/// What a run that did not end well may leave, and the one that did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Left {
    Untouched,
    NotBootable,
    Whole,
}

/// What a target is: nothing else is allowed.
pub(super) fn left(target: &Path, image: &[u8]) -> Left {
    let about = fs::metadata(target).unwrap();
    let now = head(target, if about.is_file() { about.len().min(SIZE) } else { SIZE });
    if now[..512].iter().all(|byte| *byte == 0) {
        return Left::NotBootable;
    }
    if now.iter().enumerate().all(|(at, byte)| *byte == 0xa5 || at == 510 || at == 511) {
        return Left::Untouched;
    }
    assert!(now == image, "it would boot, and is not the image");
    Left::Whole
}

fn ended_at_any_instant(signal: Signal, target: &Path, renew: impl Fn()) {
    let desk = Desk::new();
    let image_path = desk.image();
    let image = fs::read(&image_path).unwrap();
    renew();
    let start = Instant::now();
    succeed(&mut flash(&image_path, target));
    let whole = start.elapsed();
    let mut seen = Vec::new();
    for instant in 0..INSTANTS {
        renew();
        let mut child =
            flash(&image_path, target).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(whole * instant / INSTANTS);
        let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
        // It may have ended already; it is not waited for yet, so the number is its own.
        kill_process(pid, signal).unwrap();
        let status = child.wait().unwrap();
        let now = left(target, &image);
        if signal == Signal::INT && !status.success() {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut text).unwrap();
            let expected = if now == Left::NotBootable { "the target is not bootable" } else { "" };
            // Before the handler is there, the signal ends it without a word.
            assert!(
                status.code() == Some(130) && text.contains(expected) || text.is_empty(),
                "{status}: {text}"
            );
        }
        seen.push(now);
        let output = succeed(&mut flash(&image_path, target));
        assert!(head(target, SIZE) == image, "not the image after {instant}: {}", said(&output));
    }
    eprintln!("{signal:?} on {}: {seen:?}", target.display());
    assert!(seen.contains(&Left::NotBootable), "no run was ended in its middle: {seen:?}");
}

#[test]
fn a_file_whose_flash_is_killed_or_interrupted_is_old_or_dead_or_whole() {
    let desk = Desk::new();
    let target = desk.path("target");
    for signal in [Signal::KILL, Signal::INT] {
        ended_at_any_instant(signal, &target, || {
            desk.old("target", SIZE);
        });
    }
}

#[test]
fn a_device_whose_flash_is_killed_or_interrupted_is_old_or_dead_or_whole() {
    let desk = Desk::new();
    let Some(device) = Loop::new(&desk.old("back", SIZE + 8 * MIB), &[]) else { return };
    for signal in [Signal::KILL, Signal::INT] {
        ended_at_any_instant(signal, &device.0, || {
            fs::write(&device.0, fs::read(desk.old("fresh", SIZE + 8 * MIB)).unwrap()).unwrap();
        });
    }
}

#[test]
fn a_second_run_keeps_what_the_first_one_wrote() {
    let desk = Desk::new();
    let image = desk.image();
    let target = desk.old("target", SIZE);
    let mut kept = 0;
    // Until an end comes late enough: the first writes are there then.
    for wait in (0..60).map(|step| Duration::from_millis(step * 10)) {
        desk.old("target", SIZE);
        let mut child = flash(&image, &target).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(wait);
        child.kill().unwrap();
        child.wait().unwrap();
        let arguments = ["flash", "--yes", "--json", image.to_str().unwrap(), target.to_str().unwrap()];
        let output = succeed(&mut factory(&arguments));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        kept = report["kept"].as_u64().unwrap();
        if kept > 0 {
            break;
        }
    }
    assert!(kept > 0, "nothing was kept");
}
