//! The life of a slot under trial, with nothing but what is on the device: the command arms it, init judges
//! it, and it is committed or left.

use super::pi::boots;
use super::{Project, console};

/// No shell, since its prompt stands in the way of lines.
const CONFIG: &str = "[substrate]\npayload = \"payload\"\nshell = false\n";

/// Counts the boots on Data, says what was started and why, and does what the count says.
const LIFE: &str = r#"#!/bin/sh
boot=$(($(cat /data/boots 2>/dev/null || echo 0) + 1))
echo $boot >/data/boots
sync
reset=$(bootenv status | sed -n 's/^reset *//p')
echo "life: boot $boot slot=$(cat /run/factory/slot) state=$(cat /run/factory/state) reset=$reset"
reboot_when_committed() {
	until bootenv status | grep -q "^committed *$1"; do sleep 1; done
	reboot
}
case $boot in
"#;

/// All is well in the boot of this number.
const HEALTH: &str = "#!/bin/sh\necho \"it is not boot $1\"\n[ \"$(cat /data/boots)\" = \"$1\" ]\n";

/// A project whose payload does this, by the number of the boot.
fn project(cases: &str, health: &str) -> Project {
    let config = format!("{CONFIG}\n[health]\n{health}");
    let run = format!("{LIFE}{cases}\nesac\n");
    Project::new(&[("factory.toml", &config), ("payload/run", &run), ("payload/health", HEALTH)])
}

/// That lines with these words are on the console, in this order. A commit and what the payload
/// says meanwhile have none.
fn expect(console: &str, lines: &[&str]) {
    let mut rest = console.lines();
    for line in lines {
        assert!(rest.any(|said| said.contains(line)), "no `{line}`, in its turn, in\n{console}");
    }
}

/// What hangs cannot be judged, so that only the hardware gets the machine out of it.
#[test]
fn a_trial_that_hangs_is_reset_by_the_watchdog_and_one_that_is_sick_by_init_until_no_try_is_left() {
    let cases = r#"
1) bootenv stage other && bootenv try other --tries 2 && reboot ;;
2) pkill -STOP -f factory/bin/health; kill -STOP "$(cat /run/factory/watchdog)" ;;
"#;
    let project = project(cases, "check = \"/payload/health 4\"\ntimeout = 25\n");
    let image = project.image();
    let report = image.run(&["--persist", "--until", "^life: boot 4 ", "--", "-device", "i6300esb"]);
    expect(
        &console(&report),
        &[
            "life: boot 1 slot=a state=committed",
            "factory: a watchdog guards this trial",
            "life: boot 2 slot=b state=trial",
            "life: boot 3 slot=b state=trial reset=watchdog",
            "factory: WARNING: slot b is not well 25 s after its start: /payload/health ended with 1: it is not boot 4",
            "life: boot 4 slot=a state=committed",
        ],
    );
    let state = image.grubenv();
    assert!(state.contains("boot_default=A") && state.contains("boot_counter=0"), "{state}");
}

#[test]
fn a_trial_that_is_up_is_committed_and_started_from_then_on() {
    let cases = "1) bootenv try other && reboot ;;\n2) reboot_when_committed b ;;";
    let image = project(cases, "");
    let report = image.image().run(&["--persist", "--until", "^life: boot 3 "]);
    expect(
        &console(&report),
        &[
            "life: boot 1 slot=a state=committed",
            "grub: booting slot b state=trial",
            "factory: committed slot b",
            "life: boot 3 slot=b state=committed",
        ],
    );
}

/// The first try is left by a restart; the committed slot then arms the second, which is well.
#[test]
fn a_raspberry_pi_gets_its_next_try_from_the_committed_slot_and_commits_it() {
    let cases = r#"
1) bootenv stage other && bootenv try other --tries 2 && reboot ;;
2) reboot ;;
3) reboot_when_committed b ;;
"#;
    let project = project(cases, "check = \"/payload/health 3\"\n");
    let report = project.image_of("rpi").run(&["--persist", "--until", "^life: boot 4 "]);
    let boot = |slot: &str, tryboot: &str, up: &str| [slot, tryboot, up].map(String::from);
    let (armed, tried) = (boot("a", "false", "a"), boot("b", "true", "b"));
    let (rearmed, committed) = (boot("a", "false", "null"), boot("b", "false", "b"));
    assert_eq!(boots(&report), [armed, tried.clone(), rearmed, tried, committed]);
    expect(
        &console(&report),
        &[
            "life: boot 2 slot=b state=trial",
            "factory: restarting for the next try",
            "factory: committed slot b",
            "life: boot 4 slot=b state=committed",
        ],
    );
}
