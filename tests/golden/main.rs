//! Everything that the pure half decides, as text that a person reviews. `BLESS=1` rewrites it.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use factory::digest::Sha256;
use factory::disk::{self, Trees};
use factory::image::extents::Extents;
use factory::lock::Pins;
use factory::plan::{self, Plan, Request};
use factory::slot::SLOT_FILE;
use factory::substrate::contents;
use factory::substrate::settings::Settings;
use factory::track::{Ingredients, Member, Members};
use factory::tree::{FileTree, Kind};

fn check(name: &str, actual: &str) {
    let path = Path::new("tests/golden/generic").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{} is no longer what is decided, which is:\n{actual}", path.display());
}

fn plan(config: &str) -> Plan {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("factory.toml"), config).unwrap();
    let request = Request { project: dir.path().to_owned(), track: Some("generic".to_owned()) };
    Plan { project: PathBuf::new(), source_date_epoch: Some(1_700_000_000), ..plan::load(&request).unwrap() }
}

fn trees(plan: &Plan) -> Trees {
    let mut members = Members::default();
    for pick in plan.track.members(plan.loader.secure_boot) {
        members.insert(&pick.name, Member { path: PathBuf::from(format!("/{}", pick.name)), size: 1000 });
    }
    let ingredients = Ingredients {
        kernel: Extents::bytes(*b"kernel"),
        initramfs: Extents::bytes(*b"initramfs"),
        rootfs: plan.rootfs.as_ref().map(|_| ("rootfs.ext4", Extents::zeros(4096))),
        cmdline: &plan.kernel.cmdline,
        secure_boot: plan.loader.secure_boot,
        members: &members,
    };
    Trees { slot: plan.track.slot(&ingredients), selector: plan.track.selector(&ingredients), scratch: None }
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
fn the_slot_and_the_selector_are_dressed_as_reviewed() {
    let trees = trees(&plan(""));
    check("slot.tree", &list(&trees.slot));
    check("selector.tree", &list(&trees.selector));
    assert!(!list(&trees.slot).contains(SLOT_FILE), "`slot.json` is made last");
}

#[test]
fn secure_boot_puts_shim_first() {
    check("selector-secure-boot.tree", &list(&trees(&plan("[generic]\nsecure_boot = true\n")).selector));
}

#[test]
fn the_disk_is_laid_out_as_reviewed() {
    let plan = plan("[sizes]\ndata = \"1 GiB\"\n");
    let build = plan.build(std::iter::empty(), &Pins::default());
    // The loader's size matters here and its bytes do not.
    let disk = disk::lay_out(&plan, &build, &trees(&plan)).unwrap();
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
    check("layout.sfdisk", &(no_ids.join("\n") + "\n"));
}

fn without_ids(line: &str) -> String {
    if line.starts_with("label-id") {
        return "label-id: derived".to_owned();
    }
    line.split(", ").filter(|field| !field.starts_with("uuid=")).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_default_plan_says_what_was_reviewed() {
    let dir = tempfile::tempdir().unwrap();
    let factory = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_factory")).args(arguments).current_dir(&dir).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    check("plan.txt", &factory(&["plan", "--track", "generic"]));
    check("plan.json", &factory(&["plan", "--track", "generic", "--json"]));
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
    };
    let busybox = std::sync::Arc::new(Extents::bytes(*b"busybox"));
    let tree = contents::tree(busybox, &FileTree::new(), None, &settings).unwrap();
    check("initramfs.tree", &list(&tree));
}
