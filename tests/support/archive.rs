//! A tiny Debian archive with a key of its own.

use factory::digest::Sha256;
use pgp::composed::{
    CleartextSignedMessage, EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedPublicKey,
    SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::ser::Serialize;
use pgp::types::Password;

use super::packages::xz;
use super::server::Server;

/// One suite of an archive, `trixie` at first, behind a server.
pub struct Archive {
    pub server: Server,
    pub key: SignedSecretKey,
    /// What the next `publish` puts into `InRelease`, by field; a damaged archive changes it.
    pub release: Vec<(&'static str, String)>,
    /// The index as it is packed and signed, when that is not the right one.
    pub damaged_index: Option<Vec<u8>>,
    packages: String,
    suite: &'static str,
    component: &'static str,
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

impl Archive {
    /// An archive without packages, published at 2025-11-15 10:00:41 and valid for a week.
    pub fn new() -> Self {
        Archive {
            server: Server::start(),
            key: key(),
            release: vec![
                ("Suite", "stable".into()),
                ("Codename", "trixie".into()),
                ("Date", "Sat, 15 Nov 2025 10:00:41 UTC".into()),
                ("Valid-Until", "Sat, 22 Nov 2025 10:00:41 UTC".into()),
                ("Acquire-By-Hash", "yes".into()),
                ("Components", "main contrib".into()),
            ],
            damaged_index: None,
            packages: String::new(),
            suite: "trixie",
            component: "main",
        }
    }

    /// Another suite of the same archive, without packages, whose packages are of `component`.
    pub fn beside(&self, suite: &'static str, component: &'static str) -> Self {
        let mut release = self.release.clone();
        for (field, value) in [("Suite", suite), ("Codename", suite), ("Components", component)] {
            release.retain(|(name, _)| *name != field);
            release.push((field, value.to_owned()));
        }
        let (server, key) = (self.server.clone(), self.key.clone());
        let (damaged_index, packages) = (None, String::new());
        Archive { server, key, release, damaged_index, packages, suite, component }
    }

    /// Its address.
    pub fn mirror(&self) -> String {
        format!("{}/debian/", self.server.url)
    }

    /// Where the file of a package is.
    pub fn pool_path(name: &str, version: &str) -> String {
        format!("/debian/pool/main/{name}_{}.deb", version.replace(':', "."))
    }

    /// Adds a package to the next `publish`, and serves its file.
    pub fn add(&mut self, name: &str, version: &str, fields: &str, deb: &[u8]) {
        let path = Archive::pool_path(name, version);
        let file = path.trim_start_matches("/debian/");
        let digest = Sha256::of(deb);
        self.packages += &format!(
            "Package: {name}\nVersion: {version}\nFilename: {file}\nSize: {}\nSHA256: {digest}\n{fields}\n\n",
            deb.len()
        );
        self.server.file(&path, deb.to_vec());
    }

    /// Changes a field of `InRelease`, and publishes it.
    pub fn set(&mut self, field: &str, value: &str) {
        let found = self.release.iter_mut().find(|(name, _)| *name == field);
        found.expect("the field is there").1 = value.to_owned();
        self.publish();
    }

    /// The text of `InRelease`, not signed.
    pub fn release_text(&self) -> String {
        let index = self.packed_index();
        let component = self.component;
        let fields: String = self.release.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        format!(
            "{fields}SHA256:\n {} {} {component}/binary-arm64/Packages\n {} {} \
             {component}/binary-arm64/Packages.xz\n",
            Sha256::of(self.packages.as_bytes()),
            self.packages.len(),
            Sha256::of(&index),
            index.len(),
        )
    }

    /// The index of packages, packed.
    pub fn packed_index(&self) -> Vec<u8> {
        self.damaged_index.clone().unwrap_or_else(|| xz(self.packages.as_bytes()))
    }

    pub fn index_path(&self) -> String {
        let digest = Sha256::of(&self.packed_index());
        format!("/debian/dists/{}/{}/binary-arm64/by-hash/SHA256/{digest}", self.suite, self.component)
    }

    pub fn publish(&self) {
        self.server.file(&self.index_path(), self.packed_index());
        self.publish_release(&sign(&self.key, &self.release_text()));
    }

    pub fn publish_release(&self, text: &str) {
        self.server.file(&format!("/debian/dists/{}/InRelease", self.suite), text.as_bytes().to_vec());
    }
}
