//! The device's command on a system that runs: what it says, and the memory that it takes.

use super::{Project, console, tool};

const CONFIG: &str = "[substrate]\npayload = \"payload\"\nshell = false\n";

/// The second time the command cannot print, as nobody reads the pipe, and so waits with all of its work
/// done. A process that ended tells nothing of its memory; what waits for it would tell the shell's.
const PAYLOAD: &str = r#"#!/bin/sh
bootenv=/bin/bootenv
$bootenv status | sed 's/^/command: /'
mkfifo /tmp/full
exec 3<>/tmp/full
yes >&3 &
sleep 1
for request in status find; do
	$bootenv $request >&3 &
	sleep 2
	sed -n "s/^VmHWM:/command: $request at most/p; s/^Name:/command: name/p" /proc/$!/status
done
echo 'command: end'
"#;

/// Kilobytes that a process may take at its peak.
const LIMIT: u64 = 2048;

#[test]
fn it_knows_the_running_slot_and_takes_less_than_two_mebibytes() {
    let project = Project::new(&[("factory.toml", CONFIG), ("payload/run", PAYLOAD)]);
    tool("chmod", &["755", project.path("payload/run").to_str().unwrap()]);
    let report = project.image().run(&["--until", "^command: end"]);
    let console = console(&report);
    assert!(console.contains("command: running    a"), "{console}");
    for request in ["status", "find"] {
        let peak = console.lines().find_map(|line| line.split_once(&format!("command: {request} at most")));
        let peak = peak.and_then(|(_, rest)| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        assert!(peak.is_some_and(|peak| peak > 0 && peak < LIMIT), "{request}: {peak:?} in\n{console}");
    }
    assert_eq!(console.matches("command: name\tbootenv").count(), 2, "{console}");
}
