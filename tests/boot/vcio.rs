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

use super::pi::boots;
use super::{Project, console, tool};

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
	/payload/vcio | sed 's/^/vcio: /'
	rmmod rpi_vcio && [ ! -e /dev/vcio ] && echo 'vcio: gone'
	reboot
fi
echo "vcio: boot $boots"
"#;

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

#[test]
fn tryboot_is_armed_through_vcio_on_a_kernel_of_debian() {
    let user = Store::open(&Store::default_dir().unwrap()).unwrap();
    let packages = header_packages(&user, &Rpi.kernel());
    let tree = tree(&user, &packages);
    let project = Project::new(&[("factory.toml", CONFIG), ("payload/run", PAYLOAD)]);
    let built = module(&packages, &tree, &project.path("store"));
    let again = module(&packages, &tree, &project.path("another/store/elsewhere"));
    assert_eq!(built.sha256, again.sha256, "two builds differ");

    let program = project.path("payload/vcio");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/boot/vcio.c");
    let options = ["-static", "-nostdlib", "-ffreestanding", "-O2", "-Wall", "-Werror", source, "-o"];
    tool("aarch64-linux-gnu-gcc", &[&options[..], &[program.to_str().unwrap()]].concat());
    tool("chmod", &["755", project.path("payload/run").to_str().unwrap(), program.to_str().unwrap()]);

    let report = project.image_of("rpi").boot("^vcio: boot 2");
    let console = console(&report);
    let refused = ["short", "odd", "long", "huge", "room", "all", "end"].map(|name| format!("{name}=-22"));
    let expected = ["crw------- 0", "open=0", "request=-25", "nowhere=-14", "arm=0", "answer=1", "gone"];
    for line in expected.map(str::to_owned).into_iter().chain(refused) {
        assert!(console.contains(&format!("vcio: {line}")), "no `{line}` in {}", report["log"]);
    }
    let [a, tried] = [["a", "false", "a"], ["b", "true", "b"]].map(|boot| boot.map(String::from));
    assert_eq!(boots(&report), [a, tried]);
}
