//! A tiny Debian archive with a key of its own.

use std::io::Write;
use std::path::PathBuf;

use factory::digest::Sha256;
use factory::fetch::host::Host;
use factory::fetch::http::Patience;
use factory::fetch::{self, FetchError, Options, Parts};
use factory::lock::Pins;
use factory::source::{Debian, Origin, Sources, Suite, Wanted};
use factory::store::Store;
use pgp::composed::{
    CleartextSignedMessage, EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedPublicKey,
    SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::ser::Serialize;
use pgp::types::Password;

use crate::server::Server;

/// The time in tests, in seconds since 1970: 2025-11-15 10:00:41.
pub const NOW: i64 = 1_763_200_841;

/// One archive, one store and one machine.
pub struct World {
    pub server: Server,
    pub dir: tempfile::TempDir,
    pub key: SignedSecretKey,
    pub host: Host,
    pub store: Store,
    pub sources: Sources,
    /// What the next `publish` puts into `InRelease`, by field; a damaged archive changes it.
    pub release: Vec<(&'static str, String)>,
    packages: String,
}

/// A key that signs with a subkey, as those of Debian do.
pub fn key() -> SignedSecretKey {
    key_of(KeyType::Ed25519Legacy)
}

/// A key of another kind.
pub fn key_of(kind: KeyType) -> SignedSecretKey {
    let mut subkey = SubkeyParamsBuilder::default();
    subkey.key_type(kind.clone()).can_sign(true).can_encrypt(EncryptionCaps::None);
    let mut key = SecretKeyParamsBuilder::default();
    key.key_type(kind)
        .can_certify(true)
        .can_sign(true)
        .can_encrypt(EncryptionCaps::None)
        .primary_user_id("Archive <archive@example.org>".into())
        .subkeys(vec![subkey.build().unwrap()]);
    key.build().unwrap().generate(rand::thread_rng()).unwrap()
}

/// `text`, signed with the subkey of `key`.
pub fn sign(key: &SignedSecretKey, text: &str) -> String {
    let subkey = &key.secret_subkeys[0].key;
    let signed = CleartextSignedMessage::sign(rand::thread_rng(), text, subkey, &Password::empty());
    signed.unwrap().to_armored_string(Default::default()).unwrap()
}

pub fn public(key: &SignedSecretKey) -> Vec<u8> {
    let mut bytes = Vec::new();
    SignedPublicKey::from(key.clone()).to_writer(&mut bytes).unwrap();
    bytes
}

pub fn xz(content: &[u8]) -> Vec<u8> {
    let mut packed = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

/// A package whose archives hold `files`.
pub fn deb(files: &[(&str, &[u8])]) -> Vec<u8> {
    let data = xz(&tar(files));
    let control = xz(&tar(&[("./control", b"Package: x\n")]));
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in
        [("debian-binary", &b"2.0\n"[..]), ("control.tar.xz", &control), ("data.tar.xz", &data)]
    {
        bytes.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).bytes(),
        );
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

pub fn wanted(name: &str, origin: Origin) -> Wanted {
    Wanted { name: name.into(), origin }
}

pub fn package(name: &str) -> Origin {
    Origin::Package { package: name.into(), follow: None }
}

/// An error and its causes, as they are told.
pub fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl World {
    /// An archive with the packages `app` and `tool`, of which the plan wants `app`.
    pub fn new() -> Self {
        let (server, key) = (Server::start(), key());
        let dir = tempfile::tempdir().unwrap();
        let keyring = dir.path().join("keyring.gpg");
        std::fs::write(&keyring, public(&key)).unwrap();
        let suite = Suite { name: "trixie".into(), components: vec!["main".into()], mirror: None };
        let mirror = Some(format!("{}/debian/", server.url));
        let debian = Debian { mirror, suites: vec![suite], arch: "arm64".into(), keyring: Some(keyring) };
        let mut world = World {
            host: Host {
                root: dir.path().join("root"),
                mirror: None,
                keyring: None,
                check_valid_until: true,
                now: NOW,
                patience: Patience { timeout: ms(400), tries: 3, pause: ms(1) },
            },
            store: Store::open(&dir.path().join("store")).unwrap(),
            sources: Sources { debian, wanted: vec![wanted("app", package("app"))] },
            release: vec![
                ("Suite", "stable".into()),
                ("Codename", "trixie".into()),
                ("Date", "Sat, 15 Nov 2025 10:00:41 UTC".into()),
                ("Valid-Until", "Sat, 22 Nov 2025 10:00:41 UTC".into()),
                ("Acquire-By-Hash", "yes".into()),
                ("Components", "main contrib".into()),
            ],
            packages: String::new(),
            server,
            dir,
            key,
        };
        world.add("app", "1:1.0-1", "", &deb(&[("./usr/bin/app", b"the app")]));
        world.add("tool", "2.0", "", &deb(&[("./usr/bin/tool", b"the tool")]));
        world.publish();
        world
    }

    /// Adds a package to the next `publish`, and serves its file.
    pub fn add(&mut self, name: &str, version: &str, fields: &str, deb: &[u8]) {
        let file = format!("pool/main/{name}_{}.deb", version.replace(':', "."));
        let digest = Sha256::of(deb);
        self.packages += &format!(
            "Package: {name}\nVersion: {version}\nFilename: {file}\nSize: {}\nSHA256: {digest}\n{fields}\n\n",
            deb.len()
        );
        self.server.file(&format!("/debian/{file}"), deb.to_vec());
    }

    /// The text of `InRelease`, not signed.
    pub fn release_text(&self) -> String {
        let index = xz(self.packages.as_bytes());
        let fields: String = self.release.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        format!(
            "{fields}SHA256:\n {} {} main/binary-arm64/Packages\n {} {} main/binary-arm64/Packages.xz\n",
            Sha256::of(self.packages.as_bytes()),
            self.packages.len(),
            Sha256::of(&index),
            index.len(),
        )
    }

    pub fn index_path(&self) -> String {
        let digest = Sha256::of(&xz(self.packages.as_bytes()));
        format!("/debian/dists/trixie/main/binary-arm64/by-hash/SHA256/{digest}")
    }

    pub fn publish(&self) {
        self.server.file(&self.index_path(), xz(self.packages.as_bytes()));
        self.publish_release(&sign(&self.key, &self.release_text()));
    }

    pub fn publish_release(&self, text: &str) {
        self.server.file("/debian/dists/trixie/InRelease", text.as_bytes().to_vec());
    }

    pub fn fetch(&self, locked: Option<&Pins>, options: &Options) -> Result<(Parts, Pins), FetchError> {
        fetch::all_from(&self.host, &self.sources, locked, &self.store, options)
    }

    /// What is told when nothing is locked.
    pub fn refusal(&self) -> String {
        let error = self.fetch(None, &Options::default()).expect_err("this is to be refused");
        told(&error).replace(&self.server.url, "http://HOST")
    }

    /// Asks for what `origin` says, alone.
    pub fn want(&mut self, origin: Origin) {
        self.sources.wanted = vec![wanted("app", origin)];
    }

    pub fn blob(&self, digest: Sha256) -> PathBuf {
        self.dir.path().join("store/blobs").join(digest.to_string())
    }
}

pub fn ms(count: u64) -> std::time::Duration {
    std::time::Duration::from_millis(count)
}
