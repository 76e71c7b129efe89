//! `factory plan`: print every decision, touch nothing.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use crate::addons;
use crate::cli;
use crate::config::RootfsFormat;
use crate::lock::{Lock, Pins};
use crate::plan::{self, Kernel, Plan, part};
use crate::source::{Origin, Wanted};
use crate::substrate::contents;
use crate::substrate::initramfs::Compression;
use crate::substrate::modules::parse_list;
use crate::track::Format;

/// A plan with what is pinned already.
#[derive(Serialize)]
struct Planned<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    pins: Option<&'a Pins>,
}

pub(super) fn run(arguments: &cli::Plan) -> anyhow::Result<ExitCode> {
    let plan = plan::load(&(&arguments.project).into())?;
    let lock = Lock::read(&plan.lock_file())?;
    let pins = plan.pins.as_deref().and_then(|name| lock.track(name));
    if arguments.json {
        super::print_json(&Planned { plan: &plan, pins })?;
    } else {
        super::print(&describe(&plan, pins))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The decisions as aligned lines.
fn describe(plan: &Plan, pins: Option<&Pins>) -> String {
    let file = if plan.has_file { "factory.toml" } else { "built-in default, no factory.toml here" };
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<12}{value}");
    };
    line("project", &format!("{} {} ({file})", plan.name, plan.version));
    line("track", plan.track.name());
    line("output", &plan.default_output().display().to_string());
    let sizes = [plan.sizes.selector, plan.sizes.system, plan.sizes.system, plan.sizes.data];
    for (partition, size) in plan.track.partitions().iter().zip(sizes) {
        line("partition", &format!("{} ({}), {size}", partition.name, format_name(partition.format)));
    }
    line("kernel", &kernel(plan));
    line("cmdline", &plan.kernel.cmdline);
    line("modules", &modules(plan));
    line("initramfs", &initramfs(plan));
    line("rootfs", &rootfs(plan));
    line("secure boot", if plan.loader.choices.secure_boot { "yes" } else { "no" });
    for suite in plan.sources.suites() {
        line("suite", &format!("{} {}", suite.name, suite.components.join(" ")));
    }
    for wanted in &plan.sources.wanted {
        let origin = origin(&wanted.origin) + &from(wanted);
        line("part", &format!("{}: {origin}{}", wanted.name, pinned(wanted, pins)));
    }
    let kernel = pins.and_then(|pins| pins.pins.iter().find(|pin| pin.wanted == part::KERNEL));
    let version = kernel.and_then(|pin| pin.version.as_deref());
    for note in addons::notes(plan).into_iter().chain(plan.track.notes(&plan.loader.choices, version)) {
        line("note", &note);
    }
    text
}

const fn format_name(format: Format) -> &'static str {
    match format {
        Format::Fat => "FAT",
        Format::Fat32 => "FAT32",
        Format::Ext4 => "ext4",
    }
}

fn kernel(plan: &Plan) -> String {
    let Kernel { package, build, .. } = &plan.kernel;
    let Some(build) = build else {
        return package.clone().unwrap_or_else(|| "built elsewhere".to_owned());
    };
    let dir = build.dir.as_ref().map(|dir| dir.display().to_string());
    let from = dir.or_else(|| package.clone()).unwrap_or_else(|| part::KERNEL_SOURCE.to_owned());
    let fragments: Vec<String> = build.fragments.iter().map(ToString::to_string).collect();
    let with = if fragments.is_empty() { String::new() } else { format!(" with {}", fragments.join(", ")) };
    format!("built from {from}{with}")
}

fn modules(plan: &Plan) -> String {
    let listed = parse_list(contents::MODULES, contents::MODULES_NAME);
    let names: Vec<&str> = listed.iter().map(|wanted| wanted.name.as_str()).collect();
    [names, plan.substrate.modules.iter().map(String::as_str).collect()].concat().join(" ")
}

fn initramfs(plan: &Plan) -> String {
    let substrate = &plan.substrate;
    let choices = [
        (substrate.payload, "payload"),
        (substrate.shell, "root shell on the console"),
        (substrate.network, "DHCP"),
    ];
    let chosen: Vec<&str> = choices.iter().filter(|(is_on, _)| *is_on).map(|(_, name)| *name).collect();
    let packing = match substrate.compression {
        Compression::Zstd => "zstd",
        Compression::Gzip => "gzip",
    };
    [vec![packing], chosen].concat().join(", ")
}

fn rootfs(plan: &Plan) -> String {
    let Some(rootfs) = &plan.rootfs else { return "none, the initramfs is the system".to_owned() };
    let format = match rootfs.format {
        RootfsFormat::Ext4 => "ext4",
        RootfsFormat::Squashfs => "squashfs",
    };
    format!("{format} from {} layers, starts {}", rootfs.layers, rootfs.init)
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Package { package, .. } => format!("package {package}"),
        Origin::Packages { packages, .. } => {
            format!("packages {} and what they depend on", packages.join(" "))
        }
        Origin::Url { url, .. } => url.clone(),
        Origin::Path { path, .. } => path.display().to_string(),
        Origin::BuiltIn => "comes with this program".to_owned(),
    }
}

/// The suite of a part that has its own.
fn from(wanted: &Wanted) -> String {
    wanted.suite.as_ref().map_or_else(String::new, |suite| format!(" from {suite}"))
}

fn pinned(wanted: &Wanted, pins: Option<&Pins>) -> String {
    if wanted.origin == Origin::BuiltIn {
        return String::new();
    }
    let Some(pins) = pins else { return ", not pinned yet".to_owned() };
    let mut versions = pins.pins.iter().filter(|pin| pin.wanted == wanted.name);
    match (versions.next(), versions.count()) {
        (None, _) => ", not pinned yet".to_owned(),
        (Some(pin), 0) => {
            format!(", pinned {} {}", pin.name, pin.version.as_deref().unwrap_or_default())
        }
        (Some(_), more) => format!(", {} pinned", more + 1),
    }
}
