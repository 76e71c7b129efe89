//! The whole life of a machine with UEFI: its own command arms, commits and repairs, real GRUB counts, and
//! after every step the command and the blocks on the disk are asked.

use std::os::unix::fs::FileExt as _;

use bootenv::grub::GrubState;
use bootenv::medium::SECTOR;
use serde_json::Value;

use super::grub::Bench;
use super::guest::Guest;
use super::power::cut;
use super::vectors::state_text;
use super::{Project, SICK};

/// A trial is judged by whoever sits at the console.
const CONFIG: &str = r#"
[kernel]
cmdline = "panic=1"

[substrate]
payload = "payload"
shell = true

[health]
check = "/payload/health"
timeout = 86400
watchdog = false
"#;

/// Where the magic number of an ext4 stands in its partition.
const MAGIC: u64 = 1024 + 56;

/// A machine, and the disk that it lives on.
struct Life {
    bench: Bench,
    guest: Option<Guest>,
    /// Keeps the image.
    _project: Project,
}

impl Life {
    fn new() -> Self {
        let project = Project::new(&[("factory.toml", CONFIG), SICK]);
        Life { bench: Bench::of(project.image()), guest: None, _project: project }
    }

    fn guest(&mut self) -> &mut Guest {
        self.guest.as_mut().unwrap()
    }

    fn run(&mut self, command: &str) -> String {
        self.guest().run(command)
    }

    fn switch_on(&mut self) {
        self.guest = Some(Guest::start(&self.bench.image));
        self.guest().up();
    }

    fn cut_power(&mut self) {
        self.guest.take().unwrap().cut_power();
    }

    /// What the command says: slot, how, committed slot, next slot, tries left, condition.
    fn told(&mut self) -> String {
        let status: Value = serde_json::from_str(&self.run("bootenv --json status")).unwrap();
        let text = |name: &str| status[name].as_str().unwrap_or("nothing").to_owned();
        let trial = &status["trial"];
        let left = trial["slot"]
            .as_str()
            .map_or(String::new(), |slot| format!(", {} left of {slot}", trial["left"]));
        let whole = if status["whole"] == true { "whole" } else { "damaged" };
        let [slot, how, default, next] = ["booted", "state", "default", "next"].map(text);
        format!("{slot} {how}, {default} committed, {next} next{left}, {whole}")
    }

    /// The newest event of the journal, and its slot.
    fn newest(&mut self) -> String {
        let history: Value = serde_json::from_str(&self.run("bootenv --json history")).unwrap();
        let newest = &history["records"][1];
        format!("{} {}", newest["event"].as_str().unwrap(), newest["slot"].as_str().unwrap())
    }

    /// What both blocks hold, in the words of the vectors.
    fn blocks(&self) -> [String; 2] {
        let text =
            |block: Vec<u8>| GrubState::decode(&block).map_or("lost".to_owned(), |state| state_text(&state));
        self.bench.blocks().map(text)
    }

    #[track_caller]
    fn is(&mut self, told: &str, blocks: [&str; 2]) {
        assert_eq!(self.told(), told);
        assert_eq!(self.blocks(), blocks);
    }

    /// Whether the kernel was told of this block.
    fn read_from(&mut self, env: &str) {
        self.run(&format!("grep -q factory.env={env} /proc/cmdline"));
    }

    /// Everything before Data, where the system writes what it likes.
    fn fixed_part(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.bench.image.start(4)).unwrap()];
        self.bench.disk.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// Writes zeros over the blocks with these numbers, while the machine is off.
    fn lose(&self, copies: &[usize]) {
        for copy in copies {
            self.bench.disk.write_all_at(&[0; SECTOR], self.bench.places[*copy]).unwrap();
        }
    }

    /// Makes slot B a file system or none.
    fn spoil(&self, is_bad: bool) {
        let magic = if is_bad { [0, 0] } else { [0x53, 0xef] };
        self.bench.disk.write_all_at(&magic, self.bench.image.start(3) + MAGIC).unwrap();
    }
}

#[test]
fn a_machine_with_uefi_lives_through_everything() {
    let mut life = Life::new();
    life.switch_on();
    life.is("a committed, a committed, a next, whole", ["A 0 AB none"; 2]);

    three_tries_fail(&mut life);
    power_is_cut_inside_grub(&mut life);
    the_trial_is_committed(&mut life);
    the_committed_slot_cannot_be_loaded(&mut life);
    copies_of_the_state_are_lost(&mut life);
}

/// By a restart, a panic and a loss of power.
fn three_tries_fail(life: &mut Life) {
    life.run("bootenv stage other && bootenv try other");
    assert_eq!(life.newest(), "armed b");
    life.is("a committed, a committed, b next, 3 left of b, whole", ["A 3 A none", "A 0 A none"]);
    life.guest().restart();
    life.is("b trial, a committed, b next, 2 left of b, whole", ["A 2 A none", "A 0 A none"]);
    life.guest().send("echo c >/proc/sysrq-trigger");
    life.guest().up();
    life.is("b trial, a committed, b next, 1 left of b, whole", ["A 1 A none", "A 0 A none"]);
    assert_eq!(life.newest(), "in-trial b");
    life.cut_power();
    life.switch_on();
    life.is("b trial, a committed, a next, whole", ["A 0 A none"; 2]);
    life.guest().restart();
    life.is("a committed, a committed, a next, whole", ["A 0 A none"; 2]);
    assert_eq!(life.newest(), "rolled-back b");
}

/// Before the first sector of its save, and before the second.
fn power_is_cut_inside_grub(life: &mut Life) {
    life.run("bootenv try other --tries 2");
    life.cut_power();
    let dir = tempfile::tempdir().unwrap();
    for (write, left) in [(0, "A 2 A none"), (1, "A 1 A none")] {
        assert!(cut(&life.bench.image, dir.path(), write));
        assert_eq!(life.blocks(), [left, "A 0 A none"]);
    }
    life.switch_on();
    life.is("b trial, a committed, a next, whole", ["A 0 A none"; 2]);
}

/// Two sectors, and not one byte else.
fn the_trial_is_committed(life: &mut Life) {
    let before = life.fixed_part();
    life.run("bootenv commit");
    let after = life.fixed_part();
    let sectors = before.chunks(SECTOR).zip(after.chunks(SECTOR)).enumerate();
    let changed = sectors.filter(|(_, (before, after))| before != after).map(|(sector, _)| sector as u64);
    assert!(changed.eq(life.bench.places.map(|place| place / SECTOR as u64)), "other sectors have changed");
    life.is("b trial, b committed, b next, whole", ["B 0 AB none"; 2]);
    life.guest().restart();
    life.is("b committed, b committed, b next, whole", ["B 0 AB none"; 2]);
    assert_eq!(life.newest(), "committed b");
}

/// The other one takes over, and nothing is condemned.
fn the_committed_slot_cannot_be_loaded(life: &mut Life) {
    life.cut_power();
    life.spoil(true);
    life.switch_on();
    life.is("a handover, b committed, b next, whole", ["B 0 AB none"; 2]);
    life.cut_power();
    life.spoil(false);
    life.switch_on();
    life.is("b committed, b committed, b next, whole", ["B 0 AB none"; 2]);
}

/// One, the other, one while the system runs, and both.
fn copies_of_the_state_are_lost(life: &mut Life) {
    for (copy, read) in [(0, "spare"), (1, "primary")] {
        life.cut_power();
        life.lose(&[copy]);
        life.switch_on();
        life.read_from(read);
        life.is("b committed, b committed, b next, whole", ["B 0 AB none"; 2]);
        assert_eq!(life.newest(), "interrupted b");
    }
    let sector = life.bench.places[0] / SECTOR as u64;
    life.run(&format!("dd if=/dev/zero of=/dev/vda bs={SECTOR} seek={sector} count=1 conv=notrunc,fsync"));
    life.is("b committed, b committed, b next, damaged", ["lost", "B 0 AB none"]);
    assert_eq!(life.run("bootenv repair"), "repaired");
    life.is("b committed, b committed, b next, whole", ["B 0 AB none"; 2]);

    // GRUB knows nothing and starts A; the journal knows that B is the committed one.
    life.cut_power();
    life.lose(&[0, 1]);
    life.switch_on();
    life.read_from("lost");
    life.is("a committed, b committed, b next, whole", ["B 0 B none"; 2]);
    life.guest().restart();
    life.is("b committed, b committed, b next, whole", ["B 0 B none"; 2]);
}
