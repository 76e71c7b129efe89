//! From fetched parts to the trees of an image.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use crate::addons::{self, Addons};
use crate::config::RootfsFormat;
use crate::digest::Sha256;
use crate::disk::Trees;
use crate::fetch::unpack::{self, UnpackError};
use crate::fetch::{Part, Parts};
use crate::firmware::Pick;
use crate::image::Formatted;
use crate::image::ext4::{self, Ext4Error, Usage};
use crate::image::extents::Extents;
use crate::kernel::{self, KernelError};
use crate::oot::Source;
use crate::plan::{Build, Plan, Rootfs, part};
use crate::progress;
use crate::source::Origin;
use crate::store::{Derived, Output, Store, StoreError, StoredFile};
use crate::substrate::contents::Programs;
use crate::substrate::elf::Allow;
use crate::substrate::modules::{self, Wanted};
use crate::substrate::rootfs::dir::{self, DirError, Owner};
use crate::substrate::rootfs::dpkg::Package;
use crate::substrate::rootfs::squashfs::{self, SquashfsError};
use crate::substrate::rootfs::tar::TarLayerError;
use crate::substrate::rootfs::{self, Layer, RootfsError};
use crate::substrate::settings::Settings;
use crate::substrate::{self, Spec, SubstrateError, contents};
use crate::track::{self, Ingredients, Member, Members, TrackError};
use crate::tree::{FileTree, TreePath};
use crate::units::Bytes;

/// Name of the packed initramfs in the store.
const INITRAMFS: &str = "initramfs.img";
/// Packages unpacked at the same time.
const JOBS: usize = 2;

/// Why parts do not make the trees of an image.
#[derive(Debug, thiserror::Error)]
pub enum IngredientsError {
    /// A part was not fetched.
    #[error("part `{0}` is missing")]
    NoPart(String),
    /// A part is damaged.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The kernel's package cannot be read as a tree.
    #[error(transparent)]
    Package(#[from] TarLayerError),
    /// The kernel cannot be used.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The root file system cannot be made.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// The store does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A directory of the project cannot be used.
    #[error(transparent)]
    Directory(#[from] DirError),
    /// The parts do not go together.
    #[error(transparent)]
    Track(#[from] TrackError),
    /// The initramfs cannot be made.
    #[error(transparent)]
    Substrate(#[from] SubstrateError),
    /// The root file system cannot be formatted.
    #[error("formatting the root file system")]
    Format(#[source] Ext4Error),
    /// The root file system cannot be packed.
    #[error(transparent)]
    Squashfs(#[from] SquashfsError),
    /// A module cannot be read.
    #[error("reading a kernel module of the store")]
    Addon(#[source] io::Error),
    /// There is no room for temporary files.
    #[error("making a temporary directory")]
    Scratch(#[source] io::Error),
}

/// What a build takes its parts from.
struct Kitchen<'a> {
    plan: &'a Plan,
    build: &'a Build,
    store: &'a Store,
    parts: &'a Parts,
    addons: &'a Addons,
}

/// Dresses the trees of a plan's image.
///
/// # Errors
/// When a part is missing or damaged, or the project asks for what the parts do not have.
pub fn trees(
    plan: &Plan,
    build: &Build,
    store: &Store,
    parts: &Parts,
    addons: &Addons,
) -> Result<Trees, IngredientsError> {
    let kitchen = Kitchen { plan, build, store, parts, addons };
    let members = kitchen.members()?;
    let scratch = tempfile::tempdir().map_err(IngredientsError::Scratch)?;
    let files = parts.one(part::FILES).map(|part| dir::read(&part.path, Owner::Root)).transpose()?;
    let files = files.unwrap_or_default();
    let ingredients = Ingredients {
        kernel: members[part::KERNEL].content(),
        initramfs: kitchen.initramfs(&members[part::BUSYBOX])?.content(),
        rootfs: plan.rootfs.as_ref().map(|rootfs| kitchen.rootfs(rootfs, scratch.path())).transpose()?,
        cmdline: &plan.kernel.cmdline,
        choices: &plan.loader.choices,
        files: &files,
        members: &members,
    };
    Ok(Trees { dressed: plan.track.dress(&ingredients)?, scratch: Some(scratch) })
}

impl Kitchen<'_> {
    fn one(&self, name: &str) -> Result<&Part, IngredientsError> {
        self.parts.one(name).ok_or_else(|| IngredientsError::NoPart(name.to_owned()))
    }

    /// All packages of a part, at least one.
    fn all(&self, name: &str) -> Result<&[Part], IngredientsError> {
        self.one(name).map(|_| self.parts.get(name))
    }

    /// The files that are taken out of parts one by one. Each part is read once.
    fn members(&self) -> Result<Members, IngredientsError> {
        let picks = self.plan.track.members(&self.plan.loader.choices);
        let mut by_part: BTreeMap<&str, Vec<&Pick>> = BTreeMap::new();
        for pick in &picks {
            by_part.entry(&pick.part).or_default().push(pick);
        }
        let mut members = Members::default();
        for (name, picks) in by_part {
            let (whole, inside): (Vec<&Pick>, Vec<&Pick>) =
                picks.into_iter().partition(|pick| pick.paths.is_empty());
            for pick in whole {
                let Part { path, pin } = self.one(name)?;
                members.insert(&pick.name, Member { path: path.clone(), size: pin.size });
            }
            if !inside.is_empty() {
                take(&mut members, &unpack::members(self.store, self.all(name)?, &inside)?, &inside);
            }
        }
        Ok(members)
    }

    /// The initramfs: packed once for the same inputs, and kept in the store.
    fn initramfs(&self, busybox: &Member) -> Result<Member, IngredientsError> {
        let inputs = [part::KERNEL, part::BUSYBOX, part::BOOTENV, part::PAYLOAD].map(|name| {
            let digests = self.parts.get(name).iter().map(|part| part.pin.sha256.to_string());
            format!("{name} {}", digests.collect::<Vec<_>>().join(" "))
        });
        let spec = self.spec();
        let version = env!("CARGO_PKG_VERSION");
        let built = self.addons.built.iter().map(|module| module.file.sha256);
        let addons: Vec<Sha256> = built.chain(self.addons.sources.iter().map(Source::digest)).collect();
        let key = format!("{INITRAMFS} {version} {inputs:?} {addons:?} {spec:?}").into_bytes();
        let key = Sha256::of(&[key, substrate::device_files()].concat());
        let kept = self.store.derived(key, |dir| {
            let packed = self.pack(&spec, busybox)?;
            dir.file(INITRAMFS, |file| append(&packed, file))
        })?;
        member(&kept, INITRAMFS)
    }

    fn pack(&self, spec: &Spec, busybox: &Member) -> Result<Extents, IngredientsError> {
        let packages = self.all(part::KERNEL)?;
        let tree = addons::tree::<IngredientsError>(self.store, packages)?;
        let mut kernel = kernel::modules(self.store, &addons::digests(packages), &tree)?;
        for addon in &self.addons.built {
            let bytes = std::fs::read(&addon.file.path).map_err(IngredientsError::Addon)?;
            kernel.add(&addon.name, bytes)?;
        }
        let mut sources = FileTree::new();
        self.addons.sources.iter().for_each(|source| sources.graft(&TreePath::root(), &source.tree()));
        let payload = self.parts.one(part::PAYLOAD);
        let payload = payload.map(|part| dir::read(&part.path, Owner::Root)).transpose()?;
        let bootenv = self.one(part::BOOTENV)?;
        let program = |path: &Path, size| Arc::new(Extents::file(path, 0, size));
        let parts = substrate::Parts {
            programs: Programs {
                busybox: program(&busybox.path, busybox.size),
                bootenv: program(&bootenv.path, bootenv.pin.size),
            },
            module_dir: &kernel.files,
            index: &kernel.index,
            sources: &sources,
            payload: payload.as_ref(),
        };
        Ok(substrate::initramfs(spec, &parts)?)
    }

    fn spec(&self) -> Spec {
        let Plan { substrate, .. } = self.plan;
        let mut modules = modules::parse_list(contents::MODULES, contents::MODULES_NAME);
        modules.extend(
            substrate.modules.iter().map(|name| Wanted::new(name, "factory.toml  substrate.modules")),
        );
        modules.extend(self.addons.modules.iter().map(|addon| Wanted::new(&addon.name, &addon.name)));
        Spec {
            settings: self.settings(),
            modules,
            compression: substrate.compression,
            epoch: self.build.epoch,
            allow: self.allow(),
        }
    }

    fn allow(&self) -> Allow {
        Allow { paths: Vec::new(), libraries: self.plan.allow_missing.clone() }
    }

    fn settings(&self) -> Settings {
        let Plan { substrate, rootfs, .. } = self.plan;
        Settings {
            track: self.plan.track.name().to_owned(),
            version: self.plan.version.clone(),
            build: self.build.id.to_string(),
            hostname: self.plan.hostname.clone(),
            dhcp: substrate.network,
            shell: substrate.shell,
            rootfs_init: rootfs.as_ref().map(|rootfs| rootfs.init.clone()),
            numbers: track::numbers(self.plan.track),
        }
    }

    /// The root file system as one file, with its name in the slot.
    fn rootfs(&self, rootfs: &Rootfs, scratch: &Path) -> Result<(&'static str, Extents), IngredientsError> {
        let layers: Vec<Layer> =
            (1..=rootfs.layers).map(|number| self.layer(number)).collect::<Result<_, _>>()?;
        let options = rootfs::Options { init: rootfs.init.clone(), allow: self.allow() };
        let tree = rootfs::assemble(&layers)?;
        // The check reads from the layers what the other does not need.
        thread::scope(|scope| {
            let check = scope.spawn(|| rootfs::check(&tree, &options));
            let formatted = self.format(rootfs.format, &tree, scratch);
            check.join().expect("the check does not panic")?;
            formatted
        })
    }

    fn format(
        &self,
        format: RootfsFormat,
        tree: &FileTree,
        scratch: &Path,
    ) -> Result<(&'static str, Extents), IngredientsError> {
        match format {
            RootfsFormat::Ext4 => Ok(("rootfs.ext4", self.ext4(tree)?.extents)),
            RootfsFormat::Squashfs => {
                let bar = progress::spinner("packing the root file system");
                let packed = squashfs::write(tree, self.build.epoch, &scratch.join("rootfs.squashfs"))?;
                bar.finish_and_clear();
                Ok(("rootfs.squashfs", packed))
            }
        }
    }

    fn ext4(&self, tree: &FileTree) -> Result<Formatted, IngredientsError> {
        let options = ext4::Options {
            size: Bytes(0),
            uuid: self.build.id.uuid("volume rootfs").into_bytes(),
            label: "rootfs".to_owned(),
            epoch: self.build.epoch.into(),
            usage: Usage::ReadOnly,
        };
        ext4::format_smallest(tree, &options).map_err(IngredientsError::Format)
    }

    fn layer(&self, number: usize) -> Result<Layer, IngredientsError> {
        let name = part::layer(number);
        let wanted = self.plan.sources.wanted.iter().find(|wanted| wanted.name == name);
        if let Some(Origin::Packages { .. }) = wanted.map(|wanted| &wanted.origin) {
            let unpacked = unpack::debs(self.store, self.parts.get(&name), JOBS)?;
            let package = |(part, unpacked): (&Part, unpack::Unpacked)| {
                let (name, control) = (part.pin.name.clone(), unpacked.control_files()?);
                Ok(Package { name, control, data: unpacked.data.path })
            };
            let packages = self.parts.get(&name).iter().zip(unpacked).map(package);
            return Ok(Layer::Packages(packages.collect::<Result<_, UnpackError>>()?));
        }
        let part = self.one(&name)?;
        if part.path.is_dir() {
            return Ok(Layer::Dir { path: part.path.clone(), owner: Owner::Root });
        }
        Ok(Layer::Tar { path: unpack::tar(self.store, part)?.path, name: part.pin.name.clone() })
    }
}

/// Notes what was taken out of a part.
fn take(members: &mut Members, taken: &unpack::Taken, picks: &[&Pick]) {
    let member = |file: &StoredFile| Member { path: file.path.clone(), size: file.size };
    for pick in picks {
        for (name, file) in taken.all(pick) {
            if pick.is_many() {
                members.insert_into(&pick.name, name, member(file));
            } else {
                members.insert(&pick.name, member(file));
            }
        }
    }
}

fn member(derived: &Derived, name: &str) -> Result<Member, IngredientsError> {
    let file = derived.get(name).ok_or_else(|| IngredientsError::NoPart(name.to_owned()))?;
    Ok(Member { path: file.path.clone(), size: file.size })
}

/// Copies a content that is in memory.
fn append(content: &Extents, file: &mut Output) -> Result<(), IngredientsError> {
    let mut bytes = vec![0; content.size() as usize];
    content.read_at(0, &mut bytes).map_err(IngredientsError::Scratch)?;
    Ok(file.append(&bytes)?)
}
