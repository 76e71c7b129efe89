//! What compiles a kernel: cross or native, GCC or LLVM, through a launcher or not.

use std::ffi::OsString;

use super::Launcher;
use crate::tool::{Tool, ToolError};

/// What the names of the cross compiler's programs start with in Debian.
const CROSS_COMPILE: &str = "aarch64-linux-gnu-";
/// What compilers for the device say that they compile for.
const MACHINE: &str = "aarch64";

/// Rust is not offered to kernels: a configuration names the version that it finds, used or not, so
/// that kernels would differ with compilers that had no part in them. No program has this name.
const NO_RUST: &str = "RUSTC=no-rustc";

/// What a person asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// What the names of the compiler's programs start with, be it with a path: `CROSS_COMPILE` of the
    /// kernel's makefiles.
    pub cross_compile: Option<String>,
    /// Whether clang and lld compile and link.
    pub llvm: bool,
    /// What compiler calls go through.
    pub launcher: Option<Launcher>,
}

/// Why the environment does not say what is asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{variable}` is `{value}` in the environment\n\nhint: set it to {wanted}, or do not set it")]
pub struct WishError {
    variable: &'static str,
    value: String,
    wanted: String,
}

impl Wish {
    /// What the environment asks for in the variables `CROSS_COMPILE` and `LLVM`, as developers of
    /// kernels set them, and `FACTORY_LAUNCHER`.
    ///
    /// # Errors
    /// When a variable has a value that means nothing here.
    pub fn from_environment() -> Result<Self, WishError> {
        Self::of(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Self, WishError> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let wrong = |variable, value, wanted| WishError { variable, value, wanted };
        let llvm = match set("LLVM") {
            Some(value) if value != "1" => return Err(wrong("LLVM", value, "1".to_owned())),
            value => value.is_some(),
        };
        let parse = |value: String| {
            value
                .parse()
                .map_err(|_| wrong("FACTORY_LAUNCHER", value, format!("one of {}", Launcher::names())))
        };
        let launcher = set("FACTORY_LAUNCHER").map(parse).transpose()?;
        Ok(Wish { cross_compile: variable("CROSS_COMPILE"), llvm, launcher })
    }
}

/// A compiler with all that there must be beside it.
#[derive(Clone, Debug)]
pub struct Toolchain {
    family: Family,
    launcher: Option<Launcher>,
    identity: String,
}

/// Whose programs compile and link.
#[derive(Clone, Debug)]
enum Family {
    /// GCC and binutils; what the names of their programs start with.
    Gnu(String),
    /// Clang and lld.
    Llvm,
}

impl Toolchain {
    /// Looks for what is asked for, else for what this machine needs to compile for the device.
    ///
    /// # Errors
    /// [`ToolError::Missing`] for the first program that is not there, [`ToolError::Unfit`] when what a
    /// person chose is not there, or compiles for other machines.
    pub fn find(wish: &Wish) -> Result<Self, ToolError> {
        if let Some(launcher) = wish.launcher {
            launcher.tool().find()?;
        }
        let family = Family::of(wish);
        let identity = family.check()?;
        Ok(Toolchain { family, launcher: wish.launcher, identity })
    }

    /// The variables that every call of make gets: `ARCH`, `CROSS_COMPILE`, `CC`, `HOSTCC`, `LLVM`, `RUSTC`.
    /// Caches also stand before the compiler for this machine; farms do not, as their hosts may be
    /// other machines.
    pub fn variables(&self) -> Vec<OsString> {
        let behind = |launcher: Option<Launcher>, compiler: &str| match launcher {
            Some(launcher) => format!("{launcher} {compiler}"),
            None => compiler.to_owned(),
        };
        let cache = self.launcher.filter(|launcher| launcher.is_cache());
        let family = match &self.family {
            Family::Gnu(prefix) => format!("CROSS_COMPILE={prefix}"),
            Family::Llvm => "LLVM=1".to_owned(),
        };
        let variables = [
            format!("ARCH={}", super::ARCH),
            family,
            format!("CC={}", behind(self.launcher, &self.family.compiler())),
            format!("HOSTCC={}", behind(cache, self.host_compiler().program)),
            NO_RUST.to_owned(),
        ];
        variables.map(OsString::from).into()
    }

    /// What compiler and linker call themselves, with their packages' versions: whoever has the same
    /// builds the same kernel. Launchers change nothing in what is built, and are not named.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What compiles programs for this machine.
    pub fn host_compiler(&self) -> Tool<'static> {
        match &self.family {
            Family::Gnu(_) => Tool { program: "gcc", package: "gcc" },
            Family::Llvm => Tool { program: "clang", package: "clang" },
        }
    }

    /// What compiler calls go through.
    pub fn launcher(&self) -> Option<Launcher> {
        self.launcher
    }
}

impl Family {
    fn of(wish: &Wish) -> Self {
        let native = cfg!(target_arch = "aarch64");
        let usual = if native { "" } else { CROSS_COMPILE };
        if wish.llvm {
            return Family::Llvm;
        }
        Family::Gnu(rooted(wish.cross_compile.as_deref().unwrap_or(usual)))
    }

    fn compiler(&self) -> String {
        match self {
            Family::Gnu(prefix) => format!("{prefix}gcc"),
            Family::Llvm => "clang".to_owned(),
        }
    }

    /// Looks for all programs, and returns what they call themselves.
    fn check(&self) -> Result<String, ToolError> {
        match self {
            Family::Gnu(prefix) => gnu(prefix),
            Family::Llvm => {
                let tool = |program, package| Tool { program, package };
                let identity = identity(tool("clang", "clang"), tool("ld.lld", "lld"))?;
                for program in ["llvm-ar", "llvm-nm", "llvm-objcopy", "llvm-strip"] {
                    tool(program, "llvm").find()?;
                }
                Ok(identity)
            }
        }
    }
}

fn gnu(prefix: &str) -> Result<String, ToolError> {
    let names = ["gcc", "ld", "nm", "objcopy", "strip"].map(|name| format!("{prefix}{name}"));
    let packages = match prefix {
        "" => Some(["gcc", "binutils"]),
        CROSS_COMPILE => Some(["gcc-aarch64-linux-gnu", "binutils-aarch64-linux-gnu"]),
        _ => None,
    };
    let [gcc_package, binutils] = packages.unwrap_or_default();
    let package = |at: usize| if at == 0 { gcc_package } else { binutils };
    let tools: Vec<Tool<'_>> =
        names.iter().enumerate().map(|(at, program)| Tool { program, package: package(at) }).collect();
    for tool in &tools {
        tool.find().map_err(|error| if packages.is_some() { error } else { chosen(tool.program) })?;
    }
    let machine = first_line(&tools[0], "-dumpmachine")?;
    if !machine.starts_with(MACHINE) {
        return Err(foreign(tools[0].program, &machine));
    }
    identity(tools[0], tools[1])
}

/// A person's choice that leads nowhere.
fn chosen(program: &str) -> ToolError {
    let reason = "is not there\n\nhint: `CROSS_COMPILE` is what the names of the compiler's programs start with, \
                  such as `aarch64-linux-gnu-` or `/opt/gcc/bin/aarch64-linux-gnu-`";
    ToolError::Unfit { program: program.to_owned(), reason: reason.to_owned() }
}

fn foreign(program: &str, machine: &str) -> ToolError {
    let reason = format!(
        "compiles for `{machine}`, not for 64-bit ARM\n\n\
         hint: set `CROSS_COMPILE` to `{CROSS_COMPILE}`, or do not set it"
    );
    ToolError::Unfit { program: program.to_owned(), reason }
}

fn identity(compiler: Tool<'_>, linker: Tool<'_>) -> Result<String, ToolError> {
    Ok(format!("{}, {}", first_line(&compiler, "--version")?, first_line(&linker, "--version")?))
}

fn first_line(tool: &Tool<'_>, question: &str) -> Result<String, ToolError> {
    let output = tool.run_alone(&[question])?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().trim().to_owned())
}

/// A prefix with a path, so that it leads to the same wherever make is.
fn rooted(prefix: &str) -> String {
    if !prefix.contains('/') {
        return prefix.to_owned();
    }
    std::path::absolute(prefix).map_or(prefix.to_owned(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(variables: &[(&str, &str)]) -> Result<Wish, WishError> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name);
        Wish::of(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    fn variables(family: Family, launcher: Option<Launcher>) -> Vec<String> {
        let toolchain = Toolchain { family, launcher, identity: String::new() };
        toolchain.variables().into_iter().map(|variable| variable.into_string().unwrap()).collect()
    }

    #[test]
    fn the_environment_asks_as_kernel_developers_do() {
        assert_eq!(wish(&[]), Ok(Wish::default()));
        let all = wish(&[("CROSS_COMPILE", "/x/a-"), ("LLVM", "1"), ("FACTORY_LAUNCHER", "distcc")]);
        let cross_compile = Some("/x/a-".to_owned());
        assert_eq!(all, Ok(Wish { cross_compile, llvm: true, launcher: Some(Launcher::Distcc) }));
        let message = |variables| wish(variables).unwrap_err().to_string();
        assert!(message(&[("LLVM", "-19")]).contains("`LLVM` is `-19`"));
        assert!(message(&[("FACTORY_LAUNCHER", "cache")]).contains("ccache, sccache, distcc, icecc"));
    }

    #[test]
    fn launchers_stand_before_the_compiler_and_caches_before_the_hosts_too() {
        let gnu = || Family::Gnu("a-".to_owned());
        let usual = ["ARCH=arm64", "CROSS_COMPILE=a-", "CC=a-gcc", "HOSTCC=gcc", NO_RUST];
        assert_eq!(variables(gnu(), None), usual);
        let cached = ["ARCH=arm64", "CROSS_COMPILE=a-", "CC=ccache a-gcc", "HOSTCC=ccache gcc", NO_RUST];
        assert_eq!(variables(gnu(), Some(Launcher::Ccache)), cached);
        let farmed = ["ARCH=arm64", "LLVM=1", "CC=icecc clang", "HOSTCC=clang", NO_RUST];
        assert_eq!(variables(Family::Llvm, Some(Launcher::Icecc)), farmed);
    }

    #[test]
    fn a_compiler_of_ones_own_must_be_there_and_compile_for_the_device() {
        let find = |prefix: &str| {
            let wish = Wish { cross_compile: Some(prefix.to_owned()), ..Wish::default() };
            Toolchain::find(&wish).map(|found| found.identity().to_owned()).map_err(|error| error.to_string())
        };
        let missing = find("/nowhere/aarch64-").unwrap_err();
        assert!(
            missing.starts_with("`/nowhere/aarch64-gcc` is not there\n\nhint: `CROSS_COMPILE`"),
            "{missing}"
        );
        if cfg!(target_arch = "x86_64") {
            let foreign = find("").unwrap_err();
            assert!(foreign.starts_with("`gcc` compiles for `x86_64-linux-gnu`, not"), "{foreign}");
        }
        let usual = Toolchain::find(&Wish::default()).unwrap();
        assert!(usual.identity().contains("gcc (") && usual.identity().contains(", GNU ld ("));
        if cfg!(target_arch = "x86_64") {
            assert_eq!(find("/usr/bin/aarch64-linux-gnu-").unwrap(), usual.identity());
        }
    }
}
