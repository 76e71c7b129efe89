//! Everything that the pure half decides, as text that a person reviews. `BLESS=1` rewrites it.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "a test fails where it stands, and needs not all that tests share"
)]

#[path = "../support/boot_files.rs"]
mod boot_files;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bootenv::rpi;
use factory::board;
use factory::digest::Sha256;
use factory::disk::{self, Trees};
use factory::image::extents::Extents;
use factory::lock::Pins;
use factory::plan::{self, Plan, Request};
use factory::slot::SLOT_FILE;
use factory::substrate::contents::{self, Programs};
use factory::substrate::settings::Settings;
use factory::track::{Ingredients, Member, Members, TrackError};
use factory::tree::{FileTree, Kind, TreePath};

const TRACKS: [&str; 2] = ["generic", "rpi"];

fn check(name: &str, actual: &str) {
    let path = Path::new("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{} is no longer what is decided, which is:\n{actual}", path.display());
}

fn plan(track: &str, config: &str) -> Plan {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("factory.toml"), config).unwrap();
    let request = Request {
        project: dir.path().to_owned(),
        track: Some(track.to_owned()),
        boards: Vec::new(),
        kernel: None,
    };
    Plan { project: PathBuf::new(), source_date_epoch: Some(1_700_000_000), ..plan::load(&request).unwrap() }
}

/// Stand-ins for the files of parts, as far as a track looks into them.
fn members(dir: &Path) -> Members {
    let mut members = Members::default();
    let member = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        fs::write(&path, bytes).unwrap();
        Member { path, size: bytes.len() as u64 }
    };
    for name in ["kernel", "busybox", "grub", "grub-signed", "shim", "fixup4.dat", "LICENCE.raspi-firmware"] {
        members.insert(name, member(name, &[1; 1000]));
    }
    members.insert("start4.elf", member("start4.elf", &boot_files::start4("Feb 11 2026")));
    for board in board::all().iter().filter(|board| ["rpi3", "rpi4", "cm4", "rpi5"].contains(&&*board.name)) {
        for tree in &board.dtb {
            let bytes = boot_files::device_tree(&board.compatible, &board.chip.compatible());
            members.insert_into("dtb/", &tree.from[0], member(&tree.from[0], &bytes));
        }
    }
    members.insert_into("overlays/", "pi4-spidev.dtbo", member("pi4-spidev.dtbo", &boot_files::overlay()));
    members
}

fn try_trees(plan: &Plan) -> Result<Trees, TrackError> {
    let dir = tempfile::tempdir().unwrap();
    let ingredients = Ingredients {
        kernel: Extents::bytes(*b"kernel"),
        initramfs: Extents::bytes(*b"initramfs"),
        rootfs: plan.rootfs.as_ref().map(|_| ("rootfs.ext4", Extents::zeros(4096))),
        cmdline: &plan.kernel.cmdline,
        choices: &plan.loader.choices,
        files: &FileTree::new(),
        members: &members(dir.path()),
    };
    Ok(Trees { dressed: plan.track.dress(&ingredients)?, scratch: Some(dir) })
}

fn trees(plan: &Plan) -> Trees {
    try_trees(plan).unwrap()
}

/// `mode size sha256 path` of every entry; contents from outside have no digest here.
fn list(tree: &FileTree) -> String {
    let mut text = String::new();
    for (path, node) in tree.iter() {
        let mode = node.meta.mode;
        let (size, what) = match &node.kind {
            Kind::File(content) => (content.size(), digest(content)),
            Kind::Symlink(target) => (0, format!("-> {target}")),
            Kind::CharDevice { major, minor } => (0, format!("c {major}:{minor}")),
            kind => (0, format!("{kind:?}").to_lowercase()),
        };
        writeln!(text, "{mode:04o} {size:>5} {what} {path}").unwrap();
    }
    text
}

fn digest(content: &Extents) -> String {
    let mut bytes = vec![0; content.size() as usize];
    match content.read_at(0, &mut bytes) {
        Ok(()) => Sha256::of(&bytes).to_string()[..16].to_owned(),
        Err(_) => "from outside".to_owned(),
    }
}

#[test]
fn slots_and_selectors_are_dressed_as_reviewed() {
    for track in TRACKS {
        let trees = trees(&plan(track, ""));
        check(&format!("{track}/slot.tree"), &list(&trees.dressed.slot));
        check(&format!("{track}/selector.tree"), &list(&trees.dressed.selector));
        assert!(!list(&trees.dressed.slot).contains(SLOT_FILE), "`slot.json` is made last");
    }
}

#[test]
fn secure_boot_puts_shim_first() {
    let plan = plan("generic", "[generic]\nsecure_boot = true\n");
    check("generic/selector-secure-boot.tree", &list(&trees(&plan).dressed.selector));
}

/// A project with something for all boards and something for one.
const BOARDS: &str = "[image]\nboards = [\"rpi4\", \"rpi5\"]\n[kernel]\ncmdline = \"quiet\"\n\
    [rpi]\noverlays = [\"pi4-spidev\"]\nconfig = [\"arm_boost=1\"]\n\
    [rpi.board.rpi5]\nconfig = [\"usb_max_current_enable=1\"]\n";

#[test]
fn config_txt_and_the_files_of_boards_are_as_reviewed() {
    let plan = plan("rpi", BOARDS);
    let trees = trees(&plan);
    check("rpi/slot-boards.tree", &list(&trees.dressed.slot));
    for name in [rpi::CONFIG, rpi::CMDLINE] {
        let path = TreePath::parse(name.as_bytes()).unwrap();
        let Kind::File(content) = &trees.dressed.slot.get(&path).unwrap().kind else { panic!("{name}") };
        let mut bytes = vec![0; content.size() as usize];
        content.read_at(0, &mut bytes).unwrap();
        check(&format!("rpi/{name}"), std::str::from_utf8(&bytes).unwrap());
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let refusals = [
        ("[image]\nboards = [\"cm5\"]\n", "board `cm5` needs the device tree `bcm2712-rpi-cm5-cm5io.dtb`"),
        ("[rpi]\noverlays = [\"vc4-kms-v3d\"]\n", "there is no overlay `vc4-kms-v3d`"),
        ("[rpi]\nparams = [\"i2c_arm=on\"]\n", "`rpi.params` needs a device tree of the vendor's kernel"),
    ];
    let long = format!("[rpi]\nconfig = [\"{}=1\"]\n", "x".repeat(97));
    let long = (long.as_str(), "config.txt:17: the line has 99 characters");
    for (config, expected) in refusals.into_iter().chain([long]) {
        let refusal = try_trees(&plan("rpi", config)).unwrap_err().to_string();
        assert!(refusal.starts_with(expected) && refusal.contains("\n\nhint: "), "{refusal}");
    }
}

#[test]
fn disks_are_laid_out_as_reviewed() {
    for track in TRACKS {
        check(&format!("{track}/layout.sfdisk"), &layout(&plan(track, "[sizes]\ndata = \"1 GiB\"\n")));
    }
}

/// The table as sfdisk reads it.
fn layout(plan: &Plan) -> String {
    let build = plan.build(std::iter::empty(), &Pins::default());
    // The loader's size matters here and its bytes do not.
    let disk = disk::lay_out(plan, &build, &trees(plan)).unwrap();
    // After a name that ends in a digit, sfdisk would put a `p` before the numbers.
    let image = tempfile::Builder::new().suffix(".img").tempfile().unwrap();
    image.as_file().set_len(disk.table.disk.0).unwrap();
    for piece in disk.table.encode().pieces() {
        let mut bytes = vec![0; piece.len as usize];
        disk.table.encode().read_at(piece.at, &mut bytes).unwrap();
        std::os::unix::fs::FileExt::write_all_at(image.as_file(), &bytes, piece.at).unwrap();
    }
    let output = Command::new("/usr/sbin/sfdisk").arg("--dump").arg(image.path()).output();
    let output = output.expect("sfdisk is installed by .ci/setup --tests");
    let dump = String::from_utf8(output.stdout).unwrap();
    let dump = dump.replace(image.path().to_str().unwrap(), "disk.img");
    // Identities follow from every byte of the device's files, so they are not for review.
    let no_ids: Vec<String> = dump.lines().map(without_ids).collect();
    no_ids.join("\n") + "\n"
}

fn without_ids(line: &str) -> String {
    if line.starts_with("label-id") {
        return "label-id: derived".to_owned();
    }
    line.split(", ").filter(|field| !field.starts_with("uuid=")).collect::<Vec<_>>().join(", ")
}

#[test]
fn default_plans_say_what_was_reviewed() {
    let dir = tempfile::tempdir().unwrap();
    let factory = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_factory")).args(arguments).current_dir(&dir).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    for track in TRACKS {
        check(&format!("{track}/plan.txt"), &factory(&["plan", "--track", track]));
        check(&format!("{track}/plan.json"), &factory(&["plan", "--track", track, "--json"]));
    }
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "a plan has effects");
}

#[test]
fn the_initramfs_holds_what_was_reviewed() {
    let settings = Settings {
        track: "generic".into(),
        version: "1".into(),
        build: "0".into(),
        hostname: "factory".into(),
        dhcp: true,
        shell: true,
        rootfs_init: None,
        numbers: None,
    };
    let program = |name: &str| std::sync::Arc::new(Extents::bytes(name.as_bytes().to_vec()));
    let programs = Programs { busybox: program("busybox"), bootenv: program("bootenv") };
    let tree = contents::tree(&programs, &FileTree::new(), None, &settings).unwrap();
    check("generic/initramfs.tree", &list(&tree));
}
