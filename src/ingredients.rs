//! From fetched parts to the trees of an image.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::config::RootfsFormat;
use crate::disk::Trees;
use crate::fetch::unpack::{self, Pick, UnpackError};
use crate::fetch::{Part, Parts};
use crate::image::Formatted;
use crate::image::ext4::{self, Ext4Error, Usage};
use crate::image::extents::Extents;
use crate::kernel::{self, Kernel, KernelError};
use crate::plan::{Build, Plan, part};
use crate::progress;
use crate::source::Origin;
use crate::store::Store;
use crate::substrate::elf::Allow;
use crate::substrate::modules::{self, Wanted};
use crate::substrate::rootfs::Layer;
use crate::substrate::rootfs::dir::{self, DirError, Owner};
use crate::substrate::rootfs::dpkg::Package;
use crate::substrate::rootfs::squashfs::{self, SquashfsError};
use crate::substrate::rootfs::tar::{self, TarLayerError};
use crate::substrate::settings::Settings;
use crate::substrate::{self, Spec, Substrate, SubstrateError, contents};
use crate::track::{Ingredients, Member};
use crate::tree::{FileTree, TreePath};

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
    /// A directory of the project cannot be used.
    #[error(transparent)]
    Directory(#[from] DirError),
    /// Initramfs or root file system cannot be made.
    #[error(transparent)]
    Substrate(#[from] SubstrateError),
    /// The root file system cannot be formatted.
    #[error("formatting the root file system")]
    Format(#[source] Ext4Error),
    /// The root file system cannot be packed.
    #[error(transparent)]
    Squashfs(#[from] SquashfsError),
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
}

/// Dresses the trees of a plan's image.
///
/// # Errors
/// When a part is missing or damaged, or the project asks for what the parts do not have.
pub fn trees(plan: &Plan, build: &Build, store: &Store, parts: &Parts) -> Result<Trees, IngredientsError> {
    let kitchen = Kitchen { plan, build, store, parts };
    let members = kitchen.members()?;
    let kernel = kitchen.kernel()?;
    let Substrate { initramfs, rootfs } = kitchen.substrate(&kernel, &members[part::BUSYBOX])?;
    let scratch = tempfile::tempdir().map_err(IngredientsError::Scratch)?;
    let ingredients = Ingredients {
        initramfs,
        kernel: kernel.image,
        rootfs: rootfs.map(|tree| kitchen.rootfs(&tree, scratch.path())).transpose()?,
        cmdline: &plan.kernel.cmdline,
        secure_boot: plan.loader.secure_boot,
        members: &|name| members[name].clone(),
    };
    let slot = plan.track.slot(&ingredients);
    let mut selector = plan.track.selector(&ingredients);
    if let Some(files) = parts.one(part::SELECTOR) {
        selector.graft(&TreePath::root(), &dir::read(&files.path, Owner::Root)?);
    }
    Ok(Trees { slot, selector, scratch: Some(scratch) })
}

impl Kitchen<'_> {
    fn one(&self, name: &str) -> Result<&Part, IngredientsError> {
        self.parts.one(name).ok_or_else(|| IngredientsError::NoPart(name.to_owned()))
    }

    /// The files that are taken out of packages one by one, by the names of their parts.
    fn members(&self) -> Result<BTreeMap<&'static str, Member>, IngredientsError> {
        let wanted = self.plan.track.members(self.plan.loader.secure_boot).into_iter();
        wanted
            .map(|(name, path)| {
                let pick = Pick { path: &path, name };
                let derived = unpack::members(self.store, self.one(name)?, &[pick])?;
                let file = derived.get(name).ok_or_else(|| IngredientsError::NoPart(name.to_owned()))?;
                Ok((name, Member { path: file.path.clone(), size: file.size }))
            })
            .collect()
    }

    fn kernel(&self) -> Result<Kernel, IngredientsError> {
        let part = self.one(part::KERNEL)?;
        let unpacked = unpack::deb(self.store, part)?;
        let tree = tar::read(&unpacked.data.path)?;
        let image = self.plan.track.kernel().image.unwrap_or_default();
        Ok(kernel::from_package(self.store, &part.pin.name, part.pin.sha256, &tree, &image)?)
    }

    fn substrate(&self, kernel: &Kernel, busybox: &Member) -> Result<Substrate, IngredientsError> {
        let Plan { substrate, rootfs, .. } = self.plan;
        let mut modules = modules::parse_list(contents::MODULES, contents::MODULES_NAME);
        modules.extend(substrate.modules.iter().map(|name| Wanted {
            name: name.clone(),
            is_optional: false,
            origin: "factory.toml: substrate.modules".to_owned(),
        }));
        let libraries = rootfs.as_ref().map(|rootfs| rootfs.allow_missing.clone()).unwrap_or_default();
        let spec = Spec {
            settings: self.settings(),
            modules,
            compression: substrate.compression,
            epoch: self.build.epoch,
            allow: Allow { paths: Vec::new(), libraries },
        };
        let payload = self.parts.one(part::PAYLOAD);
        let payload = payload.map(|part| dir::read(&part.path, Owner::Root)).transpose()?;
        let layers = rootfs.as_ref().map_or(0, |rootfs| rootfs.layers);
        let layers: Vec<Layer> = (1..=layers).map(|number| self.layer(number)).collect::<Result<_, _>>()?;
        let parts = substrate::Parts {
            busybox: Arc::new(Extents::file(busybox.path.clone(), 0, busybox.size)),
            module_dir: &kernel.modules,
            index: &kernel.index,
            payload: payload.as_ref(),
            layers: &layers,
        };
        Ok(substrate::assemble(&spec, &parts)?)
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
        }
    }

    /// The root file system as one file, with its name in the slot.
    fn rootfs(&self, tree: &FileTree, scratch: &Path) -> Result<(&'static str, Extents), IngredientsError> {
        match self.plan.rootfs.as_ref().map(|rootfs| rootfs.format) {
            Some(RootfsFormat::Squashfs) => {
                let bar = progress::spinner("packing the root file system");
                let packed = squashfs::write(tree, self.build.epoch, &scratch.join("rootfs.squashfs"))?;
                bar.finish_and_clear();
                Ok(("rootfs.squashfs", packed))
            }
            Some(RootfsFormat::Ext4) | None => Ok(("rootfs.ext4", self.ext4(tree)?.extents)),
        }
    }

    fn ext4(&self, tree: &FileTree) -> Result<Formatted, IngredientsError> {
        let usage = Usage::ReadOnly;
        let options = ext4::Options {
            size: ext4::needed(tree, usage).map_err(IngredientsError::Format)?,
            uuid: self.build.id.uuid("volume rootfs").into_bytes(),
            label: "rootfs".to_owned(),
            epoch: self.build.epoch.into(),
            usage,
        };
        ext4::format(tree, &options).map_err(IngredientsError::Format)
    }

    fn layer(&self, number: usize) -> Result<Layer, IngredientsError> {
        let name = part::layer(number);
        let wanted = self.plan.sources.wanted.iter().find(|wanted| wanted.name == name);
        if let Some(Origin::Packages { .. }) = wanted.map(|wanted| &wanted.origin) {
            let unpacked = unpack::debs(self.store, self.parts.get(&name), JOBS)?;
            let package = |unpacked: unpack::Unpacked| {
                Ok(Package { control: unpacked.control_files()?, data: unpacked.data.path })
            };
            return Ok(Layer::Packages(
                unpacked.into_iter().map(package).collect::<Result<_, UnpackError>>()?,
            ));
        }
        let part = self.one(&name)?;
        if part.path.is_dir() {
            return Ok(Layer::Dir { path: part.path.clone(), owner: Owner::Root });
        }
        Ok(Layer::Tar(unpack::tar(self.store, part)?.path))
    }
}
