//! The key that signs modules.
//!
//! ```text
//!   key.pem of the project --checked--> out/certs-factory.pem (mode 600) --make--> certificate in the kernel
//!                                             |                                    signatures in modules
//!                                             +-- removed when the build is over, however it ends
//! ```
//! A kernel that is to sign modules and gets no key makes a random one. Its certificate is part of the
//! kernel, so no two such kernels are the same.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustls::SignatureAlgorithm;
use rustls::crypto::ring::sign;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::digest::Sha256;
use crate::kconfig::{Config, Value};

/// What a kernel's configuration must ask for, as a fragment, to be signed with a key of the project.
pub const FRAGMENT: &str = concat!(
    "CONFIG_MODULE_SIG=y\n",
    "CONFIG_MODULE_SIG_ALL=y\n",
    "CONFIG_MODULE_SIG_KEY=\"certs-factory.pem\"\n",
);

/// Where the key stands in the build tree. In `certs/signing_key.pem` make would replace it by one of
/// its own as soon as another file there is newer.
const FILE: &str = "certs-factory.pem";
/// Where make puts a key that it has made itself.
const RANDOM: &str = "certs/signing_key.pem";
/// Bytes that a key file may have at the most.
const MOST: u64 = 64 << 10;

/// Why a kernel cannot be built with a key.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The file cannot be read, or put into the build tree.
    #[error("{doing} `{path}`")]
    File {
        /// What was tried, as a participle.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is no key with its certificate.
    #[error(
        "`{path}` cannot sign modules: {what}\n\nhint: `openssl req -new -x509 -newkey rsa:4096 -nodes -sha256 -days 36500 -subj /CN=modules -keyout key.pem -out key.pem` makes one that can"
    )]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There is a key, and the configuration does not use it.
    #[error(
        "the kernel's configuration has `CONFIG_{symbol}` {got}, so the signing key would not be used\n\nhint: leave `CONFIG_{symbol}` out of the project's fragments, or the signing key out of the project"
    )]
    NotUsed {
        /// The option.
        symbol: String,
        /// What it is.
        got: String,
    },
    /// The configuration uses a key, and there is none.
    #[error(
        "the kernel's configuration asks for the signing key of the project, which has none\n\nhint: give the project a signing key, or leave `CONFIG_MODULE_SIG_KEY` out of its fragments"
    )]
    NoKey,
}

/// How modules of a kernel are signed.
#[derive(Debug)]
pub(super) enum Signing {
    /// Not at all.
    Off,
    /// With a key that make makes for this one build.
    Random,
    /// With a key of the project.
    Own(Key),
}

/// A key with its certificate, checked.
pub(super) struct Key {
    pem: Vec<u8>,
}

/// Keeps private keys in a build tree no longer than it is there itself.
pub(super) struct Lent {
    out: PathBuf,
}

impl Signing {
    /// How modules are signed by this configuration, with the key file if there is one.
    pub(super) fn of(config: &Config, key: Option<&Path>) -> Result<Self, SigningError> {
        let named = Value::Text(FILE.to_owned());
        let file = config.value("MODULE_SIG_KEY");
        match key {
            Some(path) => {
                let wanted =
                    [("MODULE_SIG", Value::Yes), ("MODULE_SIG_ALL", Value::Yes), ("MODULE_SIG_KEY", named)];
                if let Some((symbol, _)) = wanted.iter().find(|(symbol, value)| config.value(symbol) != value)
                {
                    let got = config.get(symbol).map_or("off".to_owned(), |value| format!("at `{value}`"));
                    return Err(SigningError::NotUsed { symbol: (*symbol).to_owned(), got });
                }
                Key::read(path).map(Signing::Own)
            }
            None if *file == named => Err(SigningError::NoKey),
            None if *file == Value::Text(RANDOM.to_owned()) => Ok(Signing::Random),
            None => Ok(Signing::Off),
        }
    }

    /// What tells this way of signing from all others.
    pub(super) fn digest(&self) -> Option<Sha256> {
        match self {
            Signing::Own(key) => Some(Sha256::of(&key.pem)),
            Signing::Off | Signing::Random => None,
        }
    }

    /// Puts the key where make finds it in its directory `out`, for as long as the result lives.
    pub(super) fn lend(&self, out: &Path) -> Result<Lent, SigningError> {
        let lent = Lent { out: out.to_owned() };
        lent.remove();
        if let Signing::Own(key) = self {
            key.write(&out.join(FILE))?;
        }
        Ok(lent)
    }
}

impl Key {
    fn read(path: &Path) -> Result<Self, SigningError> {
        let mut pem = Vec::new();
        let file = fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut pem));
        file.map_err(on("reading", path))?;
        check(&pem).map_err(|what| SigningError::Unfit { path: path.to_owned(), what })?;
        Ok(Key { pem })
    }

    fn write(&self, to: &Path) -> Result<(), SigningError> {
        let write = || {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
            file.write_all(&self.pem)?;
            // Always the same time: a key that is not newer than the certificate made of it makes
            // nothing anew.
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1))
        };
        write().map_err(on("writing", to))
    }
}

impl std::fmt::Debug for Key {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Lent {
    fn remove(&self) {
        for name in [FILE, RANDOM] {
            let path = self.out.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "a private key stays in the build tree");
                }
                _ => {}
            }
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Whether the text holds an RSA key and the certificate of it. Signatures of other kinds of keys are
/// different each time.
fn check(pem: &[u8]) -> Result<(), &'static str> {
    if pem.len() as u64 > MOST {
        return Err("it is larger than 64 KiB");
    }
    let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| "it has no certificate")?;
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| "it has no private key without password")?;
    let key = sign::any_supported_type(&key).map_err(|_| "its key is not RSA with 2048 to 4096 bits")?;
    if key.algorithm() != SignatureAlgorithm::RSA {
        return Err("its key is not RSA, so signatures would be different each time");
    }
    let public = key.public_key().ok_or("its key has no public part")?;
    match memchr::memmem::find(&certificate, &public) {
        Some(_) => Ok(()),
        None => Err("its certificate is not that of its key"),
    }
}

fn on(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SigningError {
    let path = path.to_owned();
    move |source| SigningError::File { doing, path, source }
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;

    /// A new key of that kind with its certificate, in one file.
    pub(in crate::kbuild) fn key(dir: &Path, kind: &str) -> PathBuf {
        let path = dir.join(kind.replace(':', "-") + ".pem");
        let output = Command::new("openssl")
            .args(["req", "-new", "-x509", "-nodes", "-subj", "/CN=modules", "-newkey", kind, "-keyout"])
            .arg(&path)
            .args((kind == "ec").then_some(["-pkeyopt", "ec_paramgen_curve:prime256v1"]).iter().flatten())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let certificate = output.stdout;
        fs::write(&path, [fs::read(&path).unwrap(), certificate].concat()).unwrap();
        path
    }

    #[test]
    fn only_an_rsa_key_with_its_own_certificate_can_sign() {
        let dir = tempfile::tempdir().unwrap();
        let read = |kind| fs::read(key(dir.path(), kind)).unwrap();
        let (rsa, other, ec) = (read("rsa:2048"), read("rsa:2049"), read("ec"));
        let part = |pem: &[u8], certificate: bool| -> Vec<u8> {
            let at = memchr::memmem::find(pem, b"-----BEGIN CERTIFICATE").unwrap();
            if certificate { pem[at..].to_vec() } else { pem[..at].to_vec() }
        };
        check(&rsa).unwrap();
        check(&[part(&rsa, true), part(&rsa, false)].concat()).unwrap();
        let what = |pem: &[u8]| check(pem).unwrap_err();
        assert_eq!(what(&part(&rsa, false)), "it has no certificate");
        assert_eq!(what(&part(&rsa, true)), "it has no private key without password");
        assert_eq!(
            what(&[part(&rsa, false), part(&other, true)].concat()),
            "its certificate is not that of its key"
        );
        assert!(what(&ec).starts_with("its key is not RSA"));
        assert_eq!(what(b"-----BEGIN CERTIFICATE-----\nAAAA"), "it has no certificate");
        assert_eq!(what(&vec![b'a'; 65 << 10]), "it is larger than 64 KiB");
    }

    #[test]
    fn key_and_configuration_must_agree() {
        let dir = tempfile::tempdir().unwrap();
        let key = key(dir.path(), "rsa:2048");
        let of = |config: &str, key: Option<&Path>| Signing::of(&Config::parse(config), key);
        assert!(matches!(of("", None), Ok(Signing::Off)));
        assert!(matches!(of(FRAGMENT, Some(&key)), Ok(Signing::Own(_))));
        assert!(matches!(of(FRAGMENT, None), Err(SigningError::NoKey)));
        let random = format!("CONFIG_MODULE_SIG_KEY=\"{RANDOM}\"\n");
        assert!(matches!(of(&random, None), Ok(Signing::Random)));
        let error = of(&random, Some(&key)).unwrap_err();
        assert!(matches!(error, SigningError::NotUsed { symbol, .. } if symbol == "MODULE_SIG"));
    }

    #[test]
    fn a_key_is_lent_for_a_while_to_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = key(dir.path(), "rsa:2048");
        let signing = Signing::of(&Config::parse(FRAGMENT), Some(&path)).unwrap();
        let there = dir.path().join(FILE);
        fs::write(&there, "left by a build that was killed").unwrap();
        let lent = signing.lend(dir.path()).unwrap();
        assert_eq!(fs::read(&there).unwrap(), fs::read(&path).unwrap());
        assert_eq!(fs::metadata(&there).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{signing:?}").contains("PRIVATE"));
        drop(lent);
        assert!(!there.exists());
    }
}
