//! The directory that modules are built in.
//!
//! ```text
//!   headers/...                       as the packages have them
//!   <source>/Kbuild, a.c, ...
//!   <source>/a.o, modules.order       after the first call of make
//!   <source>/a.mod.c                  ours
//!   <source>/a.ko                     after the second call
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use super::headers::Headers;
use super::linkage::{self, LinkageError};
use super::object::Object;
use super::{OotError, Source, toolchain, write};
use crate::progress;
use crate::tool;
use crate::tree::FileTree;

/// List of the modules that a Makefile makes.
const ORDER: &str = "modules.order";

/// Builds the modules of `source` against headers that are in `tree`: their bytes, by name.
pub(super) fn build(tree: &FileTree, source: &Source) -> Result<BTreeMap<String, Vec<u8>>, OotError> {
    let scratch = tempfile::tempdir().map_err(OotError::on(&std::env::temp_dir()))?;
    let bar = progress::spinner(format!("building the kernel modules of {}", source.name));
    let workshop = Workshop::open(tree, source, scratch.path())?;
    let drafts = workshop.drafts()?;
    workshop.describe(&drafts)?;
    let modules = workshop.link(&drafts);
    bar.finish_and_clear();
    modules
}

/// A module before it is linked.
struct Draft {
    name: String,
    /// Its files, without the ending.
    stem: PathBuf,
    object: Object,
}

/// A directory with headers and source.
struct Workshop<'a> {
    source: &'a Source,
    headers: Headers,
    /// Where the source lies.
    dir: PathBuf,
}

impl<'a> Workshop<'a> {
    fn open(tree: &FileTree, source: &'a Source, scratch: &Path) -> Result<Self, OotError> {
        let headers = Headers::lay_out(tree, &scratch.join("headers"))?;
        let dir = scratch.join(&source.name);
        source.write_to(&dir)?;
        Ok(Workshop { source, headers, dir })
    }

    /// Compiles all, to see what the modules need.
    fn drafts(&self) -> Result<Vec<Draft>, OotError> {
        self.make(&["KBUILD_MODPOST_NOFINAL=1", "modules"])?;
        let list = fs::read_to_string(self.dir.join(ORDER)).map_err(OotError::on(&self.dir.join(ORDER)))?;
        let drafts: Vec<Draft> = list.lines().map(|line| self.draft(line)).collect::<Result<_, _>>()?;
        let none = || OotError::NoModule(self.source.name.clone());
        (!drafts.is_empty()).then_some(drafts).ok_or_else(none)
    }

    /// Looks at a module that the list has as `line`: a path, absolute or in the directory.
    fn draft(&self, line: &str) -> Result<Draft, OotError> {
        let stem = self.dir.join(line).with_extension("");
        let name = stem.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = file(&stem, "o");
        let bytes = fs::read(&path).map_err(OotError::on(&path))?;
        let object = Object::decode(&bytes, &name).ok_or(OotError::Object(path))?;
        Ok(Draft { name, stem, object })
    }

    /// Writes what the modules say of themselves.
    fn describe(&self, drafts: &[Draft]) -> Result<(), OotError> {
        let digest = self.source.digest().0;
        let checksum = u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]);
        let mut exports = self.headers.exports()?;
        for draft in drafts {
            exports.add(&draft.name, &draft.object, checksum).map_err(|error| self.refused(draft, error))?;
        }
        drafts.iter().try_for_each(|draft| {
            let text = linkage::text(&draft.name, &draft.object, &exports, checksum);
            write(&file(&draft.stem, "mod.c"), text.map_err(|error| self.refused(draft, error))?.as_bytes())
        })
    }

    /// Links the modules with what was written of them.
    fn link(&self, drafts: &[Draft]) -> Result<BTreeMap<String, Vec<u8>>, OotError> {
        self.make(&["modules"])?;
        let module = |draft: &Draft| {
            let path = file(&draft.stem, "ko");
            Ok((draft.name.clone(), fs::read(&path).map_err(OotError::on(&path))?))
        };
        drafts.iter().map(module).collect()
    }

    fn make(&self, goals: &[&str]) -> Result<(), OotError> {
        let variable = |name: &str, value: &Path| {
            let mut text = OsString::from(format!("{name}="));
            text.push(value);
            text
        };
        // What warnings of the kernel say must not tell where a module was built.
        let mut flags = variable("KCFLAGS=-fmacro-prefix-map", &self.dir);
        flags.push(format!("={}", self.source.name));
        let mut arguments: Vec<OsString> = ["-s", "-C"].map(OsString::from).into();
        arguments.push(self.headers.common.clone().into());
        arguments.extend(toolchain::VARIABLES.map(OsString::from));
        arguments.extend([variable("O", &self.headers.dir), variable("M", &self.dir), flags]);
        arguments.push(format!("-j{}", thread::available_parallelism().map_or(1, NonZero::get)).into());
        arguments.extend(goals.iter().map(OsString::from));
        let failed = |source| OotError::Tool { name: self.source.name.clone(), source };
        tool::MAKE.run_alone(&arguments).map(drop).map_err(failed)
    }

    fn refused(&self, draft: &Draft, source: LinkageError) -> OotError {
        OotError::Linkage { module: draft.name.clone(), release: self.headers.release.clone(), source }
    }
}

/// A file of a module; names of modules may have dots.
fn file(stem: &Path, ending: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(".");
    path.push(ending);
    path.into()
}
