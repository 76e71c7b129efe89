//! Modules of a project's own: two of them, which use each other, built against the headers of real
//! kernels and loaded by one.

use std::path::Path;

use factory::digest::Sha256;
use factory::fetch::Parts;
use factory::firmware::Part;
use factory::oot::{self, BuiltModule, LinkageError, OotError, Source, Toolchain};
use factory::plan::part;
use factory::store::Store;
use factory::track::{Track, generic::Generic, rpi::Rpi};
use factory::tree::FileTree;

use serde_json::Value;

use super::vcio::{header_packages, tree};
use super::{Project, console, tool};

const KBUILD: &str = "obj-m := plant/ fact-client.o\nfact-client-y := client.o answer.o\n";

/// In a directory of its own, of two files, one of them with the module's name.
const PLANT: [(&str, &str); 4] = [
    ("src/plant/Makefile", "obj-m := fact-server.o\nfact-server-y := server.o count.o\n"),
    ("src/plant/fact.h", "extern int fact_count;\nint fact_serve(int number);\n"),
    (
        "src/plant/count.c",
        "#include <linux/export.h>\n#include \"fact.h\"\n\nint fact_count = 40;\nEXPORT_SYMBOL(fact_count);\n",
    ),
    (
        "src/plant/server.c",
        r#"#include <linux/module.h>
#include "fact.h"

int fact_serve(int number)
{
	WARN_ON_ONCE(!number);
	return fact_count + number;
}
EXPORT_SYMBOL_NS_GPL(fact_serve, FACT_NS);

MODULE_DESCRIPTION("Serves");
MODULE_LICENSE("GPL");
"#,
    ),
];

const CLIENT: [(&str, &str); 2] = [
    (
        "src/answer.c",
        r#"#include <linux/printk.h>
#include "plant/fact.h"

void answer(int number);
void answer(int number)
{
	pr_info("fact: %d of %d\n", fact_serve(number), fact_count);
}
"#,
    ),
    (
        "src/client.c",
        r#"#include <linux/module.h>
#include <linux/of.h>
#include <linux/mod_devicetable.h>
#include <linux/pci.h>

void answer(int number);

static int number = 1;
module_param(number, int, 0444);

static const struct of_device_id fact_nodes[] = {
	{ .compatible = "acme,fact", .data = &number },
	{ }
};
MODULE_DEVICE_TABLE(of, fact_nodes);

static const struct pci_device_id fact_cards[] = {
	/* The bridge of QEMU's machine. */
	{ PCI_DEVICE(0x1b36, 0x0008), .driver_data = (kernel_ulong_t)&number },
	{ }
};
MODULE_DEVICE_TABLE(pci, fact_cards);

static int __init client_init(void)
{
	answer(number);
	return 0;
}
module_init(client_init);

static void __exit client_exit(void)
{
	pr_info("fact: gone\n");
}
module_exit(client_exit);

MODULE_DESCRIPTION("Asks");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(FACT_NS);
"#,
    ),
];

const CONFIG: &str = r#"
[kernel]
modules = ["src"]

[substrate]
payload = "payload"
shell = false
"#;

/// One is loaded at the start, the other as its device is there; the second time, it asks for the first.
const PAYLOAD: &str = r#"#!/bin/sh
rmmod fact_server 2>/dev/null || echo 'own: in use'
rmmod fact_client && rmmod fact_server && modprobe fact_client number=2
echo "own: parameter $(cat /sys/module/fact_client/parameters/number)"
dmesg | sed -n 's/.*fact: /own: said /p'
dmesg | grep -E 'disagrees|no symbol version|Unknown symbol' | sed 's/^/own: bad /'
echo 'own: end'
"#;

/// The text of a module for a kernel, where macros took names before Linux 6.13, and take texts since.
fn for_kernel(text: &str, is_new: bool) -> String {
    if is_new { text.replace("FACT_NS)", "\"FACT_NS\")") } else { text.to_owned() }
}

fn project(is_new: bool) -> Project {
    let mut files = vec![("factory.toml", CONFIG.to_owned()), ("payload/run", PAYLOAD.to_owned())];
    files.push(("src/Kbuild", KBUILD.to_owned()));
    files.extend(PLANT.into_iter().chain(CLIENT).map(|(name, text)| (name, for_kernel(text, is_new))));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    Project::new(&files)
}

/// Headers of a kernel, unpacked.
struct Headers {
    packages: Parts,
    tree: FileTree,
}

impl Headers {
    fn of(kernel: &Part) -> Self {
        let user = Store::open(&Store::default_dir().unwrap()).unwrap();
        let packages = header_packages(&user, kernel);
        let tree = tree(&user, &packages);
        Headers { packages, tree }
    }

    /// Builds into a store of its own.
    fn build(&self, source: &Path, store: &Path) -> Result<Vec<BuiltModule>, OotError> {
        let digests: Vec<Sha256> = self.packages.get(part::KERNEL).iter().map(|it| it.pin.sha256).collect();
        let (store, source) = (Store::open(store).unwrap(), Source::of_dir(source)?);
        oot::build(
            &store,
            &digests,
            || Ok::<_, OotError>(self.tree.clone()),
            &source,
            &Toolchain::find().unwrap(),
        )
    }
}

/// What the system's own `modinfo` reads.
fn modinfo(file: &Path, field: &str) -> Vec<String> {
    let output = tool("modinfo", &["-F", field, file.to_str().unwrap()]);
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn check(modules: &[BuiltModule]) {
    let [client, server] = modules else { panic!("{modules:?}") };
    assert_eq!((client.name.as_str(), server.name.as_str()), ("fact-client", "fact-server"));
    let [asks, serves] = [&client.file.path, &server.file.path];
    assert_eq!(modinfo(asks, "depends"), ["fact-server"]);
    assert_eq!(modinfo(asks, "parmtype"), ["number:int"]);
    let mut aliases = modinfo(asks, "alias");
    aliases.sort_unstable();
    let cards = "pci:v00001B36d00000008sv*sd*bc*sc*i*";
    assert_eq!(aliases, ["of:N*T*Cacme,fact", "of:N*T*Cacme,factC*", cards]);
    for file in [asks, serves] {
        let bytes = std::fs::read(file).unwrap();
        assert!(!bytes.windows(5).any(|part| part == b"/tmp/"), "a path of the machine is in {file:?}");
    }
}

fn digests(modules: &[BuiltModule]) -> Vec<String> {
    modules.iter().map(|module| module.file.sha256.to_string()).collect()
}

#[test]
fn modules_of_a_project_are_built_and_loaded_by_a_kernel_with_checksums() {
    let project = project(false);
    let report = project.image().boot("^own: end");
    let console = console(&report);
    for line in ["in use", "said 41 of 40", "said gone", "said 42 of 40", "parameter 2"] {
        assert!(console.contains(&format!("own: {line}")), "no `{line}` in {}", report["log"]);
    }
    assert!(!console.contains("own: bad"), "see {}", report["log"]);

    let modules = Headers::of(&Generic.kernel()).build(&project.path("src"), &project.path("store")).unwrap();
    check(&modules);
    let manifest = std::fs::read(project.path("disk.img.manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let listed = manifest["modules"].as_array().unwrap().iter().map(|row| row["sha256"].as_str().unwrap());
    assert_eq!(listed.collect::<Vec<_>>(), digests(&modules), "the image has the same");
}

#[test]
fn modules_of_a_project_are_built_for_a_newer_kernel() {
    let (headers, project) = (Headers::of(&Rpi.kernel()), project(true));
    let build = |store: &str| headers.build(&project.path("src"), &project.path(store)).unwrap();
    let modules = build("store");
    check(&modules);
    assert_eq!(digests(&build("another/store/elsewhere")), digests(&modules));
}

#[test]
fn modules_that_a_kernel_would_not_load_are_refused() {
    let headers = Headers::of(&Generic.kernel());
    let refused = |module: &str| {
        let text = format!("#include <linux/module.h>\n#include <linux/hid.h>\n{module}\n");
        let project = Project::new(&[("src/Kbuild", "obj-m := own.o\n"), ("src/own.c", &text)]);
        match headers.build(&project.path("src"), &project.path("store")).unwrap_err() {
            OotError::Linkage { module, source, .. } if module == "own" => source,
            other => panic!("{other:?}"),
        }
    };
    let licence = "MODULE_LICENSE(\"GPL\");\n";
    let table =
        "static const struct hid_device_id ids[] = { { .vendor = 1 }, { } };\nMODULE_DEVICE_TABLE(hid, ids);";
    assert_eq!(refused(&format!("{licence}{table}")), LinkageError::Devices("hid".into()));
    assert_eq!(refused(""), LinkageError::NoLicense);
    let call =
        "extern int nobody_has_this(void);\nint call(void);\nint call(void) { return nobody_has_this(); }\n";
    assert_eq!(refused(&format!("{licence}{call}")), LinkageError::Symbol("nobody_has_this".into()));
    let gpl =
        "#include <linux/kobject.h>\nvoid call(void);\nvoid call(void) { kobject_uevent(NULL, KOBJ_ADD); }\n";
    let proprietary = format!("MODULE_LICENSE(\"Proprietary\");\n{gpl}");
    assert_eq!(refused(&proprietary), LinkageError::GplOnly("kobject_uevent".into()));
}

#[test]
fn what_a_makefile_cannot_make_is_said() {
    let headers = Headers::of(&Generic.kernel());
    let refused = |makefile: &str| {
        let project = Project::new(&[("src/Kbuild", makefile), ("src/own.c", "int x = y;\n")]);
        headers.build(&project.path("src"), &project.path("store")).unwrap_err()
    };
    let error = refused("# obj-m := own.o\n");
    assert!(matches!(&error, OotError::NoModule(name) if name == "src"), "{error:?}");
    let error = refused("obj-m := own.o\n");
    let OotError::Tool { source, .. } = &error else { panic!("{error:?}") };
    assert!(source.to_string().contains("src/own.c:1:9: error: 'y' undeclared"), "{source}");
    assert!(!source.to_string().contains("/tmp/"), "{source}");
}
