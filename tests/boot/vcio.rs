//! The kernel module for `/dev/vcio`: built against the headers of the image's own kernel, loaded
//! by it, and asked for tryboot, with the model of the firmware as the judge.

use std::path::Path;

use factory::digest::Sha256;
use factory::fetch::{self, Options, Parts, unpack};
use factory::firmware::Part;
use factory::oot::{self, OotError, Source, Toolchain};
use factory::plan::part;
use factory::source::{Debian, Sources, Suite};
use factory::store::{Store, StoredFile};
use factory::substrate::rootfs::tar;
use factory::track::{Track as _, rpi::Rpi};
use factory::tree::{FileTree, TreePath};

use serde_json::Value;

use super::pi::boots;
use super::{Project, console, tool};

/// What the payload prints of a module that does as it must.
pub(super) const ANSWERS: [&str; 8] =
    ["source", "crw------- 0", "open=0", "request=-25", "nowhere=-14", "arm=0", "answer=1", "gone"];

const CONFIG: &str = r#"
[substrate]
payload = "payload"
shell = false
"#;

/// The program says what the module answers; a reboot without any argument follows.
const PAYLOAD: &str = r#"#!/bin/sh
boots=$(($(cat /data/boots 2>/dev/null || echo 0) + 1))
echo $boots >/data/boots
sync
if [ $boots = 1 ]; then
	stat -c 'vcio: %A %u' /dev/vcio
	grep -q 'GNU GENERAL PUBLIC' /usr/src/rpi-vcio/COPYING && echo 'vcio: source'
	/payload/vcio | sed 's/^/vcio: /'
	xxd -r -p /payload/compat.hex /tmp/compat && chmod 755 /tmp/compat
	/tmp/compat
	echo "vcio: compat=$?"
	rmmod rpi_vcio && [ ! -e /dev/vcio ] && echo 'vcio: gone'
	reboot
fi
echo "vcio: boot $boots"
"#;

/// A program of 32 bits that asks for the firmware's version, and ends with 1 when it was told, else
/// with the number of the error. No compiler here makes such programs, so these are the words of an ELF
/// file with one segment: header, segment, code, request, message, path.
#[rustfmt::skip]
const COMPAT: [u32; 45] = [
    0x464c_457f, 0x0001_0101, 0, 0, // 32 bits, little-endian
    0x0028_0002, 1, 0x1_0054, 52, 0, 0x0500_0000, 0x0020_0034, 0x0028_0001, 0,
    1, 0, 0x1_0000, 0x1_0000, 180, 180, 7, 0x1000,
    0xe28f_004c, // add r0, pc, #76: the path
    0xe3a0_1002, // mov r1, #2: to read and write
    0xe3a0_7005, // mov r7, #5: open
    0xef00_0000, // svc 0
    0xe59f_101c, // ldr r1, [pc, #28]: the request
    0xe28f_201c, // add r2, pc, #28: the message
    0xe3a0_7036, // mov r7, #54: ioctl
    0xef00_0000, // svc 0
    0xe592_3004, // ldr r3, [r2, #4]: the answer's state
    0xe260_0000, // rsb r0, r0, #0
    0xe080_0fa3, // add r0, r0, r3, lsr #31
    0xe3a0_7001, // mov r7, #1: exit
    0xef00_0000, // svc 0
    0xc004_6400, // _IOWR(100, 0, compat_uptr_t)
    28, 0, 1, 4, 0, 0, 0,
    0x7665_642f, 0x6963_762f, 0x0000_006f,
];

/// The headers of a kernel.
pub(super) fn header_packages(store: &Store, kernel: &Part) -> Parts {
    let headers = oot::headers_of(kernel).unwrap();
    let main = Suite { name: "trixie".into(), components: vec!["main".into()], mirror: None };
    let debian = Debian { mirror: None, suites: vec![main], arch: "arm64".into(), keyring: None };
    let sources = Sources { debian, wanted: vec![headers.wanted(part::KERNEL)] };
    fetch::all(&sources, None, store, &Options::default()).unwrap().0
}

pub(super) fn tree(store: &Store, parts: &Parts) -> FileTree {
    let packages = parts.get(part::KERNEL);
    let mut tree = FileTree::new();
    for (part, unpacked) in packages.iter().zip(unpack::debs(store, packages, 2).unwrap()) {
        tree.graft(&TreePath::root(), &tar::read(&unpacked.data.path, &part.pin.name).unwrap());
    }
    tree
}

/// The module, built into a store of its own from packages in the user's.
fn module(packages: &Parts, tree: &FileTree, dir: &Path) -> StoredFile {
    let digests: Vec<Sha256> = packages.get(part::KERNEL).iter().map(|part| part.pin.sha256).collect();
    let store = Store::open(dir).unwrap();
    let (source, toolchain) = (Source::rpi_vcio(), Toolchain::find().unwrap());
    let modules =
        oot::build(&store, &digests, || Ok::<_, OotError>(tree.clone()), &source, &toolchain).unwrap();
    modules[0].file.clone()
}

/// A project whose payload talks to `/dev/vcio`.
pub(super) fn project(config: &str) -> Project {
    let config = format!("{CONFIG}{config}");
    let project = Project::new(&[("factory.toml", &config), ("payload/run", PAYLOAD)]);
    let program = project.path("payload/vcio");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/boot/vcio.c");
    let options = ["-static", "-nostdlib", "-ffreestanding", "-O2", "-Wall", "-Werror", source, "-o"];
    tool("aarch64-linux-gnu-gcc", &[&options[..], &[program.to_str().unwrap()]].concat());
    tool("chmod", &["755", program.to_str().unwrap()]);
    let compat: Vec<u8> = COMPAT.into_iter().flat_map(u32::to_le_bytes).collect();
    std::fs::write(project.path("payload/compat.hex"), hex::encode(compat)).unwrap();
    project
}

/// Boots it: the device answers as it must, and then the other slot is tried once. Returns what the
/// manifest says of the module.
pub(super) fn prove(project: &Project, answers: &[&str]) -> Value {
    let image = project.image_of("rpi");
    let report = image.boot("^vcio: boot 2");
    let console = console(&report);
    let refused = ["short", "odd", "long", "huge", "room", "all", "end"].map(|name| format!("{name}=-22"));
    for line in answers.iter().map(ToString::to_string).chain(refused) {
        assert!(console.contains(&format!("vcio: {line}")), "no `{line}` in {}", report["log"]);
    }
    let [a, tried] = [["a", "false", "a"], ["b", "true", "b"]].map(|boot| boot.map(String::from));
    assert_eq!(boots(&report), [a, tried]);
    let manifest = std::fs::read(format!("{}.manifest.json", image.str())).unwrap();
    let listed = serde_json::from_slice::<Value>(&manifest).unwrap()["modules"][0].clone();
    assert_eq!((&listed["name"], &listed["licence"]), (&"rpi-vcio".into(), &"GPL".into()));
    assert_eq!(listed["source"]["sha256"], Source::rpi_vcio().digest().to_string());
    listed
}

#[test]
fn tryboot_is_armed_through_vcio_on_a_kernel_of_debian() {
    let user = Store::open(&Store::default_dir().unwrap()).unwrap();
    let packages = header_packages(&user, &Rpi.kernel());
    let tree = tree(&user, &packages);
    let project = project("");
    let built = module(&packages, &tree, &project.path("store"));
    let again = module(&packages, &tree, &project.path("another/store/elsewhere"));
    assert_eq!(built.sha256, again.sha256, "two builds differ");
    let listed = prove(&project, &[&ANSWERS[..], &["compat=1"]].concat());
    assert_eq!(listed["sha256"], built.sha256.to_string(), "the image has the module that was built here");
}
