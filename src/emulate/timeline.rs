//! What the console says about how far a boot has come.

use std::fmt;

use serde::Serialize;

use super::pi::Choice;

/// A step on the way up, in the order in which they are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The UEFI firmware prints.
    Firmware,
    /// GRUB runs, or the model of the Pi's firmware has chosen.
    Loader,
    /// The kernel's EFI stub or the kernel itself runs.
    Kernel,
    /// The first line of the image's init.
    Init,
    /// The system is up: the line that [`Marker`] reads.
    Up,
    /// Kernel or firmware gave up. The machine may reset after it.
    Panic,
    /// The watchdog expired.
    Watchdog,
}

/// The texts that tell a stage. Its first line in a boot is an event, later ones are not.
const SIGNS: [(Stage, &[&str]); 6] = [
    (Stage::Firmware, &["UEFI firmware", "BdsDxe: "]),
    (Stage::Loader, &["Welcome to GRUB", "grub: "]),
    (Stage::Kernel, &["EFI stub: ", "Booting Linux on physical CPU"]),
    (Stage::Init, &["factory: "]),
    (Stage::Up, &[MARKER]),
    (Stage::Panic, &["Kernel panic - not syncing", "Synchronous Exception at 0x"]),
];

/// Printed when nothing more will come: the kernel after its panic when it was not told to reboot,
/// and the firmware's exception handler.
const DEAD_ENDS: [&str; 2] = ["---[ end Kernel panic", "Synchronous Exception at 0x"];

const MARKER: &str = "factory: up ";

/// The first line of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Milliseconds since the machine was started.
    pub at_ms: u64,
    /// How far it has come.
    pub stage: Stage,
    /// The line that says so.
    pub line: String,
}

/// What init says when the system is up:
/// `factory: up track=<t> slot=<s> version=<v> build=<id>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Marker {
    /// The track of the image.
    pub track: String,
    /// The slot that booted: `a`, `b` or `fallback`.
    pub slot: String,
    /// The version of the image.
    pub version: String,
    /// The build id.
    pub build: String,
}

/// From one start or reset of the machine to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BootLog {
    /// The stages that it came to.
    pub events: Vec<Event>,
    /// What init said, when it came that far.
    pub marker: Option<Marker>,
    /// What the firmware chose, where a model of it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Choice>,
}

/// All boots of a run.
#[derive(Clone, Debug)]
pub struct Timeline {
    boots: Vec<BootLog>,
}

impl Marker {
    /// Finds the marker in a line of the console.
    pub fn parse(line: &str) -> Option<Marker> {
        let (_, fields) = line.split_once(MARKER)?;
        let field = |name: &str| {
            let value =
                fields.split_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            value.map(str::to_owned)
        };
        Some(Marker {
            track: field("track")?,
            slot: field("slot")?,
            version: field("version")?,
            build: field("build")?,
        })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Firmware => "firmware",
            Stage::Loader => "loader",
            Stage::Kernel => "kernel",
            Stage::Init => "init",
            Stage::Up => "up",
            Stage::Panic => "panic",
            Stage::Watchdog => "watchdog",
        })
    }
}

/// Whether the machine will stay as it is for ever after this line.
pub fn is_dead_end(line: &str) -> bool {
    DEAD_ENDS.iter().any(|sign| line.contains(sign))
}

impl Default for Timeline {
    fn default() -> Self {
        Timeline { boots: vec![BootLog::default()] }
    }
}

impl Timeline {
    /// Notes a line of the console.
    pub fn line(&mut self, at_ms: u64, line: &str) {
        for (stage, signs) in SIGNS {
            if signs.iter().any(|sign| line.contains(sign)) {
                self.note(at_ms, stage, line);
            }
        }
        let boot = self.current();
        if boot.marker.is_none() {
            boot.marker = Marker::parse(line);
        }
    }

    /// Notes that the machine came to a stage, unless it already had in this boot.
    pub fn note(&mut self, at_ms: u64, stage: Stage, line: &str) {
        let events = &mut self.current().events;
        if events.iter().all(|event| event.stage != stage) {
            events.push(Event { at_ms, stage, line: line.to_owned() });
        }
    }

    /// Notes what the firmware chose for this boot.
    pub fn choose(&mut self, at_ms: u64, choice: Choice) {
        let line = format!(
            "{} starts {} of partition {}",
            choice.board, choice.chosen.kernel, choice.chosen.partition
        );
        self.note(at_ms, Stage::Loader, &line);
        self.current().model = Some(choice);
    }

    /// Notes a reset: what follows is the next boot.
    pub fn reset(&mut self) {
        self.boots.push(BootLog::default());
    }

    /// The boots so far, the running one last.
    pub fn into_boots(self) -> Vec<BootLog> {
        self.boots
    }

    fn current(&mut self) -> &mut BootLog {
        self.boots.last_mut().expect("a timeline begins with a boot and only gets more")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: &str = "factory: up track=generic slot=b version=1.4.0 build=9f3c";

    fn stages(boot: &BootLog) -> Vec<(u64, Stage)> {
        boot.events.iter().map(|event| (event.at_ms, event.stage)).collect()
    }

    #[test]
    fn the_first_line_of_each_stage_is_an_event() {
        let mut timeline = Timeline::default();
        let lines = [
            "UEFI firmware (version  built at 13:10:49 on Nov  5 2024)",
            "BdsDxe: loading Boot0001",
            "Welcome to GRUB!",
            "grub: env default=A",
            "EFI stub: Booting Linux Kernel...",
            "[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x410fd083]",
            "factory: mounts",
            UP,
        ];
        for (at, line) in lines.iter().enumerate() {
            timeline.line(at as u64, line);
        }
        let boots = timeline.into_boots();
        let expected =
            [(0, Stage::Firmware), (2, Stage::Loader), (4, Stage::Kernel), (6, Stage::Init), (7, Stage::Up)];
        assert_eq!(stages(&boots[0]), expected);
        assert_eq!(boots[0].marker.as_ref().map(|marker| marker.slot.as_str()), Some("b"));
    }

    #[test]
    fn a_reset_starts_another_boot() {
        let mut timeline = Timeline::default();
        timeline.line(1, "UEFI firmware");
        timeline.reset();
        timeline.line(9, "UEFI firmware");
        let boots = timeline.into_boots();
        assert_eq!(
            boots.iter().map(stages).collect::<Vec<_>>(),
            [[(1, Stage::Firmware)], [(9, Stage::Firmware)]]
        );
    }

    #[test]
    fn a_marker_needs_all_its_fields() {
        let marker = Marker::parse(&format!("[    3.2] {UP}")).expect("a whole marker");
        assert_eq!(
            (marker.track.as_str(), marker.version.as_str(), marker.build.as_str()),
            ("generic", "1.4.0", "9f3c")
        );
        assert_eq!(Marker::parse("factory: up track=generic slot=b version=1.4.0"), None);
        assert_eq!(Marker::parse("factory: uptime slot=b"), None);
    }

    #[test]
    fn a_panic_that_will_reboot_is_not_the_end() {
        assert!(!is_dead_end("Kernel panic - not syncing: sysrq triggered crash"));
        assert!(is_dead_end("---[ end Kernel panic - not syncing: sysrq triggered crash ]---"));
    }
}
