//! Real GRUB under real firmware is the transition function's judge: from blocks that the test puts on
//! the disk, one start fails, boots, waits and writes exactly what the function says.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use bootenv::Slot;
use bootenv::grub::{GRUBENV_PLACE, GRUBENV_SPARE_PLACE, GrubState};
use bootenv::grubenv::SIZE;
use bootenv::locate::locate;
use bootenv::machine::grub::{Copies, Copy, Step, World, start};
use bootenv::medium::{Access, FileMedium, SECTOR};
use factory::emulate::{Boot, Ended, run};

use super::vectors::{self, how_text};
use super::{Image, Project, log_file};

/// The kernel says how it was started as soon as it runs, and the start is over.
pub(super) const CONFIG: &str = "[kernel]\ncmdline = \"earlycon\"\n";
pub(super) const HANDED_OVER: &str = "Kernel command line: ";
/// The long wait is announced, and seldom sat out.
const LONG_WAIT: &str = "grub: starting again in 30 s";

pub(super) type Block = Vec<u8>;

/// What lies on the disk, and what GRUB meets.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) blocks: [Block; 2],
    /// Which slots can be loaded.
    pub(super) loads: [bool; 2],
}

/// What one start does, as far as it can be seen from outside.
#[derive(Debug, PartialEq, Eq)]
struct Course {
    /// What GRUB and the kernel say, in order.
    said: Vec<String>,
    /// What lies on the disk afterwards.
    left: [String; 2],
}

fn index(copy: Copy) -> usize {
    match copy {
        Copy::Primary => 0,
        Copy::Spare => 1,
    }
}

impl Case {
    /// The same by the transition function, and by GRUB's way to write a block.
    fn expected(&self) -> Course {
        let copies = Copies {
            primary: GrubState::as_grub_reads(&self.blocks[0]),
            spare: GrubState::as_grub_reads(&self.blocks[1]),
        };
        let read = copies.read();
        let saves =
            read.is_some_and(|(copy, state)| state.save_as_grub(&mut self.blocks[index(copy)].clone()));
        let env = read.map_or("lost", |(copy, _)| ["primary", "spare"][index(copy)]);
        let [a_loads, b_loads] = self.loads;
        let mut blocks = self.blocks.clone();
        let mut said = Vec::new();
        for step in start(&copies, World { a_loads, b_loads, saves }) {
            match step {
                Step::Save(copy, state) => assert!(state.save_as_grub(&mut blocks[index(copy)])),
                Step::Fails(slot) => said.push(format!("grub: slot {slot} cannot be loaded")),
                Step::Boot(booted) => said.push(format!(
                    "factory.slot={} factory.state={} factory.env={env}",
                    booted.slot,
                    how_text(booted.how)
                )),
                Step::Reset(seconds) => said.push(format!("grub: starting again in {seconds} s")),
            }
        }
        Course { said, left: blocks.map(text) }
    }
}

fn text(block: Block) -> String {
    block.escape_ascii().to_string()
}

/// The lines of the console that tell the course of a start.
fn said(console: &[u8]) -> Vec<String> {
    let console = String::from_utf8_lossy(console);
    let tell = |line: &str| {
        if let Some((_, cmdline)) = line.split_once(HANDED_OVER) {
            let words = cmdline.split_whitespace().filter(|word| word.starts_with("factory."));
            let told = words.filter(|word| !word.starts_with("factory.system="));
            return Some(told.collect::<Vec<_>>().join(" "));
        }
        let told = line.contains(" cannot be loaded") || line.contains("grub: starting again");
        told.then(|| line.trim().to_owned())
    };
    console.split(['\n', '\r']).filter_map(tell).collect()
}

/// An image whose blocks are changed between starts.
pub(super) struct Bench {
    pub(super) image: Image,
    pub(super) disk: File,
    /// Offsets of the blocks, in bytes.
    pub(super) places: [u64; 2],
}

impl Bench {
    /// A copy of the image in which only these slots can be loaded: one lacks its kernel, the other
    /// its initramfs.
    pub(super) fn new(whole: &Image, loads: [bool; 2]) -> Self {
        let image = whole.copy(&format!("{}{}.img", u8::from(loads[0]), u8::from(loads[1])));
        for ((partition, file), loads) in [(2, "Image"), (3, "initramfs.img")].into_iter().zip(loads) {
            if !loads {
                image.debugfs(partition, &format!("rm /{file}"));
            }
        }
        Bench::of(image)
    }

    /// The image itself.
    pub(super) fn of(image: Image) -> Self {
        let disk = File::options().read(true).write(true).open(&image.path).unwrap();
        let places = places(&image.path);
        Bench { image, disk, places }
    }

    /// Writes both blocks.
    pub(super) fn put(&self, blocks: &[Block; 2]) {
        for (place, block) in self.places.iter().zip(blocks) {
            self.disk.write_all_at(block, *place).unwrap();
        }
    }

    /// Both blocks as they are now.
    pub(super) fn blocks(&self) -> [Block; 2] {
        self.places.map(|place| {
            let mut block = vec![0; SIZE];
            self.disk.read_exact_at(&mut block, place).unwrap();
            block
        })
    }

    /// One start from these blocks does what it should.
    pub(super) fn judge(&self, case: &Case) {
        self.put(&case.blocks);
        assert_eq!(self.start(&case.name), case.expected(), "{}", case.name);
    }

    /// One start, until a kernel runs, the machine resets, or the long wait begins.
    fn start(&self, name: &str) -> Course {
        let mut console = Vec::new();
        let boot = Boot {
            persist: true,
            until: Some(format!("{HANDED_OVER}|{LONG_WAIT}").parse().unwrap()),
            max_resets: Some(0),
            timeout: Some(Duration::from_secs(240)),
            log: Some(log_file(&self.image.path)),
            ..Boot::new(&self.image.path)
        };
        let report = run(&boot, &mut |bytes| console.extend_from_slice(bytes)).unwrap();
        assert!(matches!(report.ended, Ended::Until { .. } | Ended::Reset { .. }), "{name}: {report:?}");
        Course { said: said(&console), left: self.blocks().map(text) }
    }
}

/// Where the blocks lie on a disk.
fn places(image: &Path) -> [u64; 2] {
    let mut medium = FileMedium::open(image, Access::Read).unwrap();
    [GRUBENV_PLACE, GRUBENV_SPARE_PLACE].map(|place| {
        let extent = locate(&mut medium, &place).unwrap();
        assert_eq!(extent.sectors as usize * SECTOR, SIZE);
        extent.first * SECTOR as u64
    })
}

/// Blocks that hold no state, each in a way of its own.
fn garbage() -> impl Iterator<Item = Block> {
    let header = b"# GRUB Environment Block\n";
    let mut empty = vec![b'#'; SIZE];
    empty[..header.len()].copy_from_slice(header);
    let mut foreign = GrubState::initial().encode().to_vec();
    foreign[header.len() - 1] = b'\r';
    [vec![0; SIZE], vec![0xff; SIZE], vec![0xa5; SIZE], empty, foreign].into_iter().cycle()
}

fn from_vectors() -> Vec<Case> {
    let mut garbage = garbage();
    let cases = vectors::all().into_iter().map(|vector| Case {
        name: vector.row.to_owned(),
        blocks: [vector.copies.primary, vector.copies.spare]
            .map(|state| state.map_or_else(|| garbage.next().unwrap(), |state| state.encode().to_vec())),
        loads: [vector.world.a_loads, vector.world.b_loads],
    });
    cases.collect()
}

/// What is done to a block.
type Tear = fn(&mut Block);

/// Blocks that a loss of power leaves behind, and such that cannot be saved.
fn torn() -> Vec<Case> {
    let state = |tries| GrubState { tries, good: vec![Slot::A], ..GrubState::initial() };
    let [armed, settled] = [3, 0].map(|tries| state(tries).encode().to_vec());
    let tears: [(&str, Tear); 6] = [
        ("zeros from the middle of a name", |block| block[60..SECTOR].fill(0)),
        ("zeros behind the last variable", |block| block[200..SECTOR].fill(0)),
        ("ones from the middle of a value", |block| block[54..SECTOR].fill(0xff)),
        ("ones up to the second variable", |block| block[..40].fill(0xff)),
        ("without its second sector", |block| block[SECTOR..].fill(0)),
        ("with one byte behind that is no fill", |block| block[1000] = b'\n'),
    ];
    let case = |name: &str, primary: &Block, spare: &Block| Case {
        name: name.to_owned(),
        blocks: [primary.clone(), spare.clone()],
        loads: [true; 2],
    };
    let mut cases: Vec<Case> = tears
        .map(|(name, tear)| {
            let mut primary = armed.clone();
            tear(&mut primary);
            case(name, &primary, &settled)
        })
        .into();
    let mut unsound = settled.clone();
    unsound[1000] = 0;
    cases.push(case("the primary lost and the spare not to be saved", &vec![0; SIZE], &unsound));
    cases
}

/// Judges the starts of all cases of one kind of disk.
fn judge(whole: &Image, loads: [bool; 2], cases: &[&Case]) {
    let bench = Bench::new(whole, loads);
    let bytes = |blocks| {
        bench.put(blocks);
        fs::read(&bench.image.path).unwrap()
    };
    let blank = [vec![0; SIZE], vec![0; SIZE]];
    let before = bytes(&blank);
    for case in cases {
        bench.judge(case);
    }
    assert!(bytes(&blank) == before, "something else than the blocks has changed");
}

#[test]
fn grub_does_what_the_transition_function_says() {
    let project = Project::new(&[("factory.toml", CONFIG)]);
    let image = project.image();
    let cases: Vec<Case> = from_vectors().into_iter().chain(torn()).collect();
    let of = |loads| cases.iter().filter(|case| case.loads == loads).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        scope.spawn(|| judge(&image, [true; 2], &of([true; 2])));
        for loads in [[true, false], [false, true], [false; 2]] {
            judge(&image, loads, &of(loads));
        }
    });
    println!("{} starts of GRUB", cases.len());
}

/// I6: the wait is sat out here.
#[test]
fn with_both_slots_bad_the_machine_goes_on_trying() {
    let project = Project::new(&[("factory.toml", CONFIG)]);
    let image = project.image();
    let bench = Bench::new(&image, [false; 2]);
    let mut console = Vec::new();
    let boot = Boot {
        persist: true,
        max_resets: Some(2),
        timeout: Some(Duration::from_secs(300)),
        log: Some(log_file(&image.path)),
        ..Boot::new(&bench.image.path)
    };
    let report = run(&boot, &mut |bytes| console.extend_from_slice(bytes)).unwrap();
    assert_eq!(report.ended, Ended::Reset { resets: 2 });
    let again = ["grub: slot a cannot be loaded", "grub: starting again in 1 s"];
    let waits = ["grub: slot b cannot be loaded", LONG_WAIT];
    assert_eq!(said(&console), [again, waits, again].concat());
    assert!(String::from_utf8_lossy(&console).contains("grub: neither slot can be loaded"));
    assert!(report.seconds > 31.0, "{} s", report.seconds);
}
