//! From a recipe to what the store keeps.
//!
//! ```text
//!   .config --make syncconfig: does it stay?--make Image modules dtbs--> out/ --+--> kernel.tar
//!   modules from outside, one after the other --make M=... modules------> .ko --+
//!                                             --make run-command------> staging/ --> headers.tar
//! ```

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::make::{Tally, Watch};
use super::recipe::{has_debug_info, has_modules};
use super::shop::{self, Shop, check_config};
use super::signing::Signing;
use super::{BuildError, LauncherStats, Make, Recipe, estimate, headers, products};
use crate::kconfig::Config;
use crate::ksource;
use crate::store::{Derived, DerivedDir, Store, StoredFile, Workplace};
use crate::substrate::tarball;
use crate::tree::FileTree;

const KERNEL: &str = "kernel.tar";
const HEADERS: &str = "headers.tar";
const LOG: &str = "build.log";
const INFO: &str = "info.json";

const RANDOM_KEY: &str = "The kernel trusts modules that are signed with a key made for this one build, which is \
    gone: another build will be another kernel, and no module can be signed for this one later. A signing key \
    of the project makes it the same each time.";
const DEBUG_INFO: &str = "This kernel has debug information. Built in another place or through a farm it may come out as \
    other bytes: two such builds did.";
const NO_HEADERS: &str = "This kernel is too old to tell which of its headers modules from outside need, so \
    there are none.";

/// A kernel that was built.
#[derive(Clone, Debug, Serialize)]
pub struct Built {
    /// Its release, as `uname -r` says it.
    pub release: String,
    /// `kernel.tar`: kernel, device trees and modules, laid out as a kernel package of Debian.
    pub kernel: StoredFile,
    /// `headers.tar`: what modules from outside are built with, on a machine like this one. None when the
    /// kernel takes no modules, or its source is too old to tell what belongs to them.
    pub headers: Option<StoredFile>,
    /// All that make said.
    pub log: StoredFile,
    /// How long building took, in seconds.
    pub seconds: u64,
    /// What make did for kernel, modules and device trees, in steps as it counts them.
    pub steps: u64,
    /// How many of them compiled a file for the device: few when an earlier build had left the others.
    pub compiled: u64,
    /// What a person should know of it, each a sentence.
    #[serde(skip)]
    pub notes: Vec<String>,
    /// What the launcher said of its part, unless the store had the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launcher: Option<LauncherStats>,
    /// Whether the store had it.
    pub is_kept: bool,
}

/// What the store keeps beside the files.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Info {
    release: String,
    seconds: u64,
    steps: u64,
    compiled: u64,
    notes: Vec<String>,
}

/// Builds a kernel, once for the same recipe, and keeps it in the store.
///
/// # Errors
/// When the recipe asks for what the source or the configuration does not have; when a program is missing
/// or fails; when there is no room; and when the user asks to stop. Then the store keeps nothing, and the
/// next build goes on where this one stopped.
pub fn build(store: &Store, recipe: &Recipe) -> Result<Built, BuildError> {
    let config = Config::parse(recipe.config);
    let signing = Signing::of(&config, recipe.signing_key)?;
    let goals = recipe.goals(&config)?;
    recipe.check_modules(&config)?;
    let job = Job { recipe, config, signing, goals };
    let mut tally = None;
    let kept = store.derived(recipe.key(&job.signing), |dir| {
        tally = Some(job.run(store, dir)?);
        Ok::<(), BuildError>(())
    })?;
    Built::of(&kept, tally)
}

impl Built {
    fn of(kept: &Derived, tally: Option<Tally>) -> Result<Self, BuildError> {
        let gone = || BuildError::Info(io::ErrorKind::NotFound.into());
        let file = |name| kept.get(name).cloned().ok_or_else(gone);
        let text = std::fs::read(file(INFO)?.path).map_err(BuildError::Info)?;
        let info: Info = serde_json::from_slice(&text).map_err(|error| BuildError::Info(error.into()))?;
        Ok(Built {
            release: info.release,
            kernel: file(KERNEL)?,
            headers: kept.get(HEADERS).cloned(),
            log: file(LOG)?,
            seconds: info.seconds,
            steps: info.steps,
            compiled: info.compiled,
            notes: info.notes,
            is_kept: tally.is_none(),
            launcher: tally.and_then(|tally| tally.launcher),
        })
    }

    /// The files that the store keeps, by name.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &StoredFile)> {
        let all = [(KERNEL, Some(&self.kernel)), (HEADERS, self.headers.as_ref()), (LOG, Some(&self.log))];
        all.into_iter().filter_map(|(name, file)| Some((name, file?)))
    }
}

impl fmt::Display for Built {
    /// What was done, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Built { release, steps, compiled, seconds, .. } = self;
        if self.is_kept {
            return write!(f, "kernel {release} was built before, and is in the store");
        }
        write!(f, "built kernel {release} in {steps} steps and {seconds} s; {compiled} of them compiled")?;
        self.launcher.as_ref().map_or(Ok(()), |stats| write!(f, "; {stats}"))
    }
}

/// A recipe that was checked.
struct Job<'a> {
    recipe: &'a Recipe<'a>,
    config: Config,
    signing: Signing,
    goals: Vec<String>,
}

impl Job<'_> {
    fn run(&self, store: &Store, dir: &mut DerivedDir) -> Result<Tally, BuildError> {
        shop::bear(&self.recipe.source.path)?;
        let place = store.workplace(&self.recipe.workplace(&self.signing))?;
        let is_clean = self.recipe.is_clean || self.hides_changes(&place)?;
        let shop = Shop::open(place, self.recipe.config, is_clean)?;
        let lent = self.signing.lend(&shop.out())?;
        let made = self.make(&shop, dir).map_err(|error| shop.judge(error));
        drop(lent);
        let tally = made?;
        if self.has_changed(store)? {
            shop.discard()?;
            return Err(BuildError::Changed(self.recipe.source.path.clone()));
        }
        shop.close()?;
        Ok(tally)
    }

    /// Whether make would not see what has changed in a user's source since the last build.
    fn hides_changes(&self, place: &Workplace) -> Result<bool, BuildError> {
        let source = self.recipe.source;
        let since = shop::last_began(place).filter(|_| source.is_users);
        Ok(since.map(|since| ksource::hides_changes(&source.path, since)).transpose()?.unwrap_or_default())
    }

    /// Whether a user's source is not any more what it was when the build began.
    fn has_changed(&self, store: &Store) -> Result<bool, BuildError> {
        let source = self.recipe.source;
        Ok(source.is_users && ksource::of_dir(store, &source.path)?.id != source.id)
    }

    fn make(&self, shop: &Shop, dir: &mut DerivedDir) -> Result<Tally, BuildError> {
        let start = Instant::now();
        let Recipe { source, toolchain, config, .. } = *self.recipe;
        let make = Make::new(&source.path, &shop.out(), toolchain).dated(source.epoch);
        let make = make.with_debug_info(has_debug_info(&self.config));
        // Make would do the same first: so a change is seen before the long work, not after it.
        make.run(&["syncconfig"])?;
        check_config(config, &shop.config()?)?;
        let goals: Vec<&str> = self.goals.iter().map(String::as_str).collect();
        let expected = if shop.is_new() { estimate::steps(&source.path, &self.config) } else { None };
        let watch = self.watch(shop, format!("building kernel {}", source.version));
        let tally = make.watch(&goals, &Watch { expected, ..watch })?;
        check_config(config, &shop.config()?)?;
        let release = products::release(&shop.out())?;
        let modules = self.install_modules(&make, shop, &release)?;
        let tree = products::kernel(shop, &release, self.recipe.dtbs, modules.as_deref())?;
        self.pack(dir, KERNEL, &tree)?;
        if self.has_headers() {
            shop.clear_staging()?;
            headers::collect(make, &shop.staging())?;
            self.pack(dir, HEADERS, &products::headers(&shop.staging(), &release)?)?;
        }
        keep_log(dir, &shop.log())?;
        let seconds = start.elapsed().as_secs();
        let Tally { steps, compiled, .. } = tally;
        keep_info(dir, &Info { release, seconds, steps, compiled, notes: self.notes() })?;
        Ok(tally)
    }

    /// How something is followed that takes its time.
    fn watch(&self, shop: &Shop, label: String) -> Watch {
        Watch { jobs: self.recipe.jobs, label, log: shop.log(), expected: None }
    }

    /// Installs all modules, those from outside too; where they are then, if the kernel takes any.
    fn install_modules(
        &self,
        make: &Make,
        shop: &Shop,
        release: &str,
    ) -> Result<Option<PathBuf>, BuildError> {
        if !has_modules(&self.config) {
            return Ok(None);
        }
        shop.clear_staging()?;
        let make = make.clone().with("INSTALL_MOD_PATH", shop.staging()).with("DEPMOD", "true");
        // With several threads, newer versions of these programs write other bytes.
        let make = make.with("XZ", "xz --threads=1").with("ZSTD", "zstd --single-thread");
        let make = if self.recipe.strips_modules { make.with("INSTALL_MOD_STRIP", "1") } else { make };
        make.watch(&["modules_install"], &self.watch(shop, "installing the modules".to_owned()))?;
        for module in self.recipe.modules {
            let dir = shop.out().join("factory").join(&module.name);
            shop::remove_dir(&dir)?;
            module.write_to(&dir)?;
            let make = outside(&make, &dir);
            let watch = self.watch(shop, format!("building the kernel module {}", module.name));
            let build = |goal| make.watch(&[goal], &watch);
            let built = build("modules").and_then(|_| build("modules_install"));
            built.map_err(|error| BuildError::of_module(&module.name, error))?;
        }
        Ok(Some(shop.staging().join("lib/modules").join(release)))
    }

    fn has_headers(&self) -> bool {
        has_modules(&self.config) && headers::are_collected_by(&self.recipe.source.path)
    }

    fn pack(&self, dir: &mut DerivedDir, name: &str, tree: &FileTree) -> Result<(), BuildError> {
        let epoch = self.recipe.source.epoch;
        dir.file(name, |file| Ok::<(), BuildError>(tarball::write(tree, epoch, file)?))
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if matches!(self.signing, Signing::Random) {
            notes.push(RANDOM_KEY.to_owned());
        }
        if has_debug_info(&self.config) {
            notes.push(DEBUG_INFO.to_owned());
        }
        if has_modules(&self.config) && !self.has_headers() {
            notes.push(NO_HEADERS.to_owned());
        }
        notes
    }
}

/// Make for the module from outside in `dir`. In its messages it names itself as the source of a module in
/// the tree would: by a path that is the same on every machine.
fn outside(make: &Make, dir: &Path) -> Make {
    let maps = format!(
        "-ffile-prefix-map={}=. -fdebug-prefix-map={}/=",
        make.out().display(),
        make.source().display()
    );
    let make = make.clone().with("M", dir).with("INSTALL_MOD_DIR", "updates");
    make.with("KCFLAGS", &maps).with("KAFLAGS", &maps)
}

fn keep_log(dir: &mut DerivedDir, log: &Path) -> Result<(), BuildError> {
    let on = || BuildError::on("reading", log);
    let mut from = std::fs::File::open(log).map_err(on())?;
    dir.file(LOG, |file| io::copy(&mut from, file).map(drop).map_err(on()))
}

fn keep_info(dir: &mut DerivedDir, info: &Info) -> Result<(), BuildError> {
    let text = serde_json::to_vec_pretty(info).map_err(|error| BuildError::Info(error.into()))?;
    dir.file(INFO, |file| Ok::<(), BuildError>(file.append(&text)?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::digest::Sha256;
    use crate::kbuild::{MakeError, Toolchain, Wish};
    use crate::ksource::SourceTree;

    /// Makes what a kernel's Makefile makes, in an instant. Beside it, it notes the goals that it was
    /// called for, and fails as long as there is a file `broken`.
    const MAKEFILE: &str = r#"
$(shell echo "$(MAKECMDGOALS)" >> goals)
DIR = $(INSTALL_MOD_PATH)/lib/modules/7.3.4-fake
syncconfig:
	@test ! -e changing || echo CONFIG_NEW=y >> "$(O)/.config"
Image:
	@mkdir -p "$(O)/arch/arm64/boot" "$(O)/include/config" && cd "$(O)" && echo code > arch/arm64/boot/Image && \
		echo map > System.map && echo 7.3.4-fake > include/config/kernel.release && \
		touch modules.builtin modules.builtin.modinfo
	@test ! -e broken
modules:
	@:
modules_install:
	@mkdir -p "$(DIR)/kernel" && echo module > "$(DIR)/kernel/a.ko" && ln -s "$(O)" "$(DIR)/build"
"#;

    struct Fake {
        dir: tempfile::TempDir,
        source: SourceTree,
        toolchain: Toolchain,
    }

    impl Fake {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("source");
            fs::create_dir(&path).unwrap();
            fs::write(path.join("Makefile"), MAKEFILE).unwrap();
            let source = SourceTree {
                path,
                id: Sha256::of(b"fake"),
                version: "7.3.4".to_owned(),
                epoch: 1_790_000_000,
                is_users: false,
            };
            Fake { dir, source, toolchain: Toolchain::find(&Wish::default()).unwrap() }
        }

        fn build(&self, config: &str, key: Option<&Path>) -> Result<Built, BuildError> {
            let recipe = Recipe {
                source: &self.source,
                config,
                toolchain: &self.toolchain,
                dtbs: &[],
                modules: &[],
                signing_key: key,
                strips_modules: true,
                jobs: 1,
                shelf: "rpi",
                is_clean: false,
            };
            build(&Store::open(&self.dir.path().join("store")).unwrap(), &recipe)
        }

        fn touch(&self, name: &str) {
            fs::write(self.source.path.join(name), "").unwrap();
        }

        fn calls(&self) -> usize {
            fs::read_to_string(self.source.path.join("goals")).unwrap().lines().count()
        }

        /// All files of the store with this name.
        fn find(&self, name: &str) -> usize {
            let files = walkdir::WalkDir::new(self.dir.path().join("store")).into_iter();
            files.filter(|file| file.as_ref().unwrap().file_name() == name).count()
        }
    }

    #[test]
    fn a_kernel_that_the_store_has_is_not_built_again() {
        let fake = Fake::new();
        let first = fake.build("CONFIG_MODULES=y\n", None).unwrap();
        let calls = fake.calls();
        let second = fake.build("CONFIG_MODULES=y\n", None).unwrap();
        assert_eq!((first.is_kept, second.is_kept, fake.calls()), (false, true, calls));
        assert_eq!((&second.kernel, &second.notes), (&first.kernel, &first.notes));
        assert_eq!(first.release, "7.3.4-fake");
        assert_eq!((first.headers, first.notes), (None, vec![NO_HEADERS.to_owned()]));
        let other = fake.build("# CONFIG_MODULES is not set\n", None).unwrap();
        assert!(!other.is_kept && other.kernel != first.kernel && other.notes.is_empty());
    }

    #[test]
    fn a_build_that_fails_leaves_nothing_in_the_store_and_the_next_one_can_go_on() {
        let fake = Fake::new();
        fake.touch("broken");
        let error = fake.build("CONFIG_MODULES=y\n", None).unwrap_err();
        assert!(matches!(error, BuildError::Make(MakeError::Failed { .. })), "{error:?}");
        assert_eq!((fake.find(KERNEL), fake.find("manifest.json"), fake.find("Image")), (0, 0, 1));
        fs::remove_file(fake.source.path.join("broken")).unwrap();
        assert!(!fake.build("CONFIG_MODULES=y\n", None).unwrap().is_kept);
    }

    #[test]
    fn a_configuration_that_make_changes_is_refused_before_anything_is_compiled() {
        let fake = Fake::new();
        fake.touch("changing");
        let error = fake.build("CONFIG_MODULES=y\n", None).unwrap_err();
        assert!(matches!(error, BuildError::Config { line: 2, .. }), "{error:?}");
        assert_eq!((fake.calls(), fake.find("Image")), (1, 0));
    }

    #[test]
    fn a_signing_key_is_gone_from_the_build_tree_however_the_build_ends() {
        let fake = Fake::new();
        let key = crate::kbuild::signing::tests::key(fake.dir.path(), "rsa:2048");
        let config = format!("CONFIG_MODULES=y\n{}", crate::kbuild::signing::FRAGMENT);
        fake.touch("broken");
        fake.build(&config, Some(&key)).unwrap_err();
        assert_eq!(fake.find("certs-factory.pem"), 0);
        fs::remove_file(fake.source.path.join("broken")).unwrap();
        fake.build(&config, Some(&key)).unwrap();
        assert_eq!(fake.find("certs-factory.pem"), 0);
    }
}
