//! Real QEMU with real firmware, and a disk that holds nothing: how runs begin and end.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use factory::emulate::timeline::Stage;
use factory::emulate::{Boot, BootError, Ended, Report, run};
use factory::units::MIB;

/// A blank disk with a name that no other process has in its arguments.
fn blank(dir: &Path) -> PathBuf {
    let image = dir.join("blank disk, odd:name.img");
    let file = fs::File::create(&image).expect("a new file");
    file.set_len(8 * MIB).expect("room for holes");
    image
}

fn processes_with(image: &Path) -> usize {
    let name = image.parent().expect("a directory").to_string_lossy().into_owned();
    let processes = fs::read_dir("/proc").expect("proc");
    processes
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|arguments| {
            let arguments = String::from_utf8_lossy(arguments);
            arguments.contains("qemu") && arguments.contains(&name)
        })
        .count()
}

/// Runs, and returns the report with all that the console said.
fn watch(boot: &Boot) -> (Report, Vec<u8>) {
    let mut console = Vec::new();
    let report = run(boot, &mut |bytes| console.extend_from_slice(bytes)).expect("QEMU and its firmware");
    (report, console)
}

#[test]
fn a_run_ends_at_the_line_that_is_waited_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let image = blank(dir.path());
    let log = dir.path().join("console.log");
    let boot = Boot {
        until: Some("BdsDxe: loading".parse().expect("a pattern")),
        timeout: Some(Duration::from_secs(60)),
        log: Some(log.clone()),
        ..Boot::new(&image)
    };
    let (report, console) = watch(&boot);
    assert!(matches!(&report.ended, Ended::Until { line } if line.contains("BdsDxe: loading")), "{report:?}");
    assert!(report.success);
    let [only] = &report.boots[..] else { panic!("more than one boot: {report:?}") };
    assert_eq!(only.events[0].stage, Stage::Firmware);
    assert!(only.events[0].line.contains("UEFI firmware"), "{report:?}");
    assert_eq!(fs::read(log).expect("a log"), console);
    assert!(fs::read(&image).expect("the image").iter().all(|byte| *byte == 0), "the image has changed");
    assert_eq!(processes_with(&image), 0);
}

#[test]
fn a_run_ends_when_its_time_is_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let image = blank(dir.path());
    // The firmware's shell counts down on a line without an end.
    let never = Some("no such line".parse().expect("a pattern"));
    let boot = Boot { until: never, timeout: Some(Duration::from_secs(4)), ..Boot::new(&image) };
    let (report, console) = watch(&boot);
    assert_eq!(report.ended, Ended::Timeout);
    assert!(!report.success);
    assert!((4.0..10.0).contains(&report.seconds), "{}", report.seconds);
    assert!(!console.is_empty());
    assert_eq!(processes_with(&image), 0);
}

#[test]
fn a_prompt_without_an_end_of_line_is_seen() {
    let dir = tempfile::tempdir().expect("a directory");
    let boot = Boot {
        until: Some("to skip startup.nsh or any other key to continue\\.$".parse().expect("a pattern")),
        timeout: Some(Duration::from_secs(60)),
        ..Boot::new(blank(dir.path()))
    };
    let (report, _) = watch(&boot);
    assert!(matches!(report.ended, Ended::Until { .. }), "{report:?}");
}

#[test]
fn an_image_that_another_machine_writes_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let image = blank(dir.path());
    let boot = Boot { persist: true, timeout: Some(Duration::from_secs(60)), ..Boot::new(&image) };
    let second = Boot { persist: false, ..boot.clone() };
    let first = Boot { until: Some("UEFI".parse().expect("a pattern")), ..boot };
    let mut refused = None;
    run(&first, &mut |_| {
        refused.get_or_insert_with(|| run(&second, &mut |_| {}).expect_err("the image is in use"));
    })
    .expect("QEMU and its firmware");
    assert!(matches!(refused, Some(BootError::Busy { .. })), "{refused:?}");
}

#[test]
fn what_qemu_dislikes_is_passed_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let extra = vec!["-device".into(), "no-such-device".into()];
    let boot = Boot { extra, ..Boot::new(blank(dir.path())) };
    let error = run(&boot, &mut |_| {}).expect_err("there is no such device").to_string();
    assert!(error.contains("'no-such-device' is not a valid device model name"), "{error}");
}

#[test]
fn an_image_that_is_not_there_is_named() {
    let error = run(&Boot::new("/no/such/disk.img"), &mut |_| {}).expect_err("no such file");
    assert_eq!(error.to_string(), "opening `/no/such/disk.img`");
}

#[test]
fn qemu_dies_with_the_thread_that_watches_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let image = blank(dir.path());
    let boot = Boot { timeout: Some(Duration::from_secs(60)), ..Boot::new(&image) };
    let watcher = std::thread::spawn(move || run(&boot, &mut |_| panic!("the watcher is gone")));
    assert!(watcher.join().is_err(), "the observer has panicked");
    assert_eq!(processes_with(&image), 0);
}
