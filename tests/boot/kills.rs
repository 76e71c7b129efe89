//! Power is lost at random instants while the machine flips its slots as fast as it can, and every time
//! the next start is one that was allowed.

use std::time::Duration;

use bootenv::Slot;
use bootenv::device::Device;
use bootenv::grub::GrubState;
use bootenv::machine::grub::{Copies, Step, World, start};
use bootenv::medium::Access;
use bootenv::{BootFlow as _, Booted, How};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::built::{self, KERNEL};
use super::grub::Bench;
use super::guest::Guest;
use super::{Image, Project, SICK};

/// Losses of power on each track.
const ROUNDS: usize = 50;

/// Longest time from the moment when the system is up to the loss.
const LONGEST: u64 = 1000;

/// Repeats a run.
const SEED: &str = "FACTORY_TEST_SEED";

/// A trial is committed by the payload, or by nobody.
const CONFIG: &str = r#"
[substrate]
payload = "payload"

[health]
check = "/payload/health"
timeout = 86400
watchdog = false
"#;

const PAYLOAD: &str = r#"#!/bin/sh
flip() {
	bootenv "$@" || echo "flip: $* ends with $?"
}
echo "flip: $(cat /run/factory/slot) $(cat /run/factory/state)"
[ "$(cat /run/factory/state)" != trial ] || flip commit
while :; do
	flip stage other
	flip try other
	flip rollback
done
"#;

/// What a run came to.
#[derive(Debug, Default)]
struct Count {
    trials: usize,
    commits: usize,
    /// Losses that left a trial armed.
    armed: usize,
}

/// The committed slot, and whether a trial is left, by the disk alone.
fn on_disk(image: &Image) -> (Slot, bool) {
    let mut device = Device::image(&image.path, Access::Read).unwrap();
    let state = device.state().unwrap();
    (state.default.expect("a copy of the state is always whole"), state.trial.is_some())
}

/// What real GRUB has to do from these blocks.
fn grub_boots(image: &Image) -> Booted {
    let bench = Bench::of(Image { path: image.path.clone() });
    let [primary, spare] = bench.blocks().map(|block| GrubState::as_grub_reads(&block));
    match start(&Copies { primary, spare }, World::FINE).last() {
        Some(Step::Boot(booted)) => *booted,
        other => panic!("GRUB would not boot: {other:?}"),
    }
}

/// Starts the machine, lets it flip for some time, and cuts the power. Returns what was started.
fn round(image: &Image, wait: Duration) -> (Slot, bool) {
    let mut guest = Guest::start(image);
    let slot = guest.up().slot.parse().expect("one of the slots starts");
    let started = guest.expect(r"flip: ([ab]) (\w+)\r\n");
    assert_eq!(started[1], format!("{slot}"));
    let is_trial = started[2] == "trial";
    assert!(is_trial || started[2] == "committed", "{started:?}");
    std::thread::sleep(wait);
    let said = guest.cut_power();
    assert!(!said.contains("flip: ") && !said.contains("bootenv: "), "{said}");
    (slot, is_trial)
}

fn kill(track: &str) {
    let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("{track}: {SEED}={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let config = format!("{KERNEL}{CONFIG}");
    let project = Project::new(&[("factory.toml", &config), SICK, ("payload/run", PAYLOAD)]);
    let image = built::image(&project, track);
    let mut count = Count::default();
    for number in 0..ROUNDS {
        let (committed, _) = on_disk(&image);
        let expected = (track == "generic").then(|| grub_boots(&image));
        let wait = Duration::from_millis(random.gen_range(0..LONGEST));
        let (slot, is_trial) = round(&image, wait);
        let what = format!("{track}, {SEED}={seed}, loss {number} after {wait:?}");
        assert_eq!(is_trial, slot != committed, "{what}: {slot} starts, and {committed} is committed");
        if let Some(Booted { slot: wanted, how }) = expected {
            assert_eq!((slot, is_trial), (wanted, how == How::Trial), "{what}");
        }
        let (now, armed) = on_disk(&image);
        assert!(now == committed || now == slot, "{what}: {now} is committed");
        count.trials += usize::from(is_trial);
        count.commits += usize::from(now != committed);
        count.armed += usize::from(armed);
    }
    println!("{track}: {ROUNDS} losses of power, {count:?}");
    assert!(count.trials > 0, "no trial was ever met");
}

#[test]
fn a_uefi_machine_that_is_killed_while_it_flips_always_starts() {
    kill("generic");
}

#[test]
fn a_raspberry_pi_that_is_killed_while_it_flips_always_starts() {
    kill("rpi");
}
