//! Clear-signed text (RFC 9580 section 7) and the keys that may sign it.

use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PublicKey, Signature, SignatureType};
use pgp::types::{KeyDetails, Tag, VerifyingKey};

const BEGIN_TEXT: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const END_TEXT: &str = "-----END PGP SIGNATURE-----";
const BEGIN_KEYS: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// Public keys that are trusted to sign.
#[derive(Clone, Debug)]
pub struct Keyring {
    keys: Vec<SignedPublicKey>,
}

/// Why a text is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// There is no clear-signed text.
    #[error("it is not signed")]
    Unsigned,
    /// The signed text or its signatures are malformed.
    #[error("its signature is damaged")]
    Damaged(#[source] Box<pgp::errors::Error>),
    /// No signature is by a key of the keyring.
    #[error("it is signed by {signers}, and the keyring has no such key")]
    UnknownKey {
        /// Identifiers of the keys that signed.
        signers: String,
    },
    /// A key of the keyring signed another text.
    #[error("the signature by key {key} is wrong: the text was changed after it was signed")]
    Wrong {
        /// Fingerprint of the key.
        key: String,
    },
    /// The signature is by a known key and must not be relied on all the same.
    #[error("the signature by key {key} does not count: {reason}")]
    Rejected {
        /// Fingerprint of the key.
        key: String,
        /// What is the matter.
        reason: &'static str,
    },
}

/// Why a text holds no keys.
#[derive(Debug, thiserror::Error)]
#[error("there are no OpenPGP keys in it")]
pub struct NoKeys;

impl Keyring {
    /// Reads keys, binary or armored; several armored blocks may follow one another. Keys of
    /// kinds that are not supported are left out.
    ///
    /// # Errors
    /// When no key is left.
    pub fn parse(content: &[u8]) -> Result<Self, NoKeys> {
        let mut keys: Vec<SignedPublicKey> = Vec::new();
        match std::str::from_utf8(content) {
            Ok(text) if text.contains(BEGIN_KEYS) => {
                for block in text.split(BEGIN_KEYS).skip(1) {
                    let block = format!("{BEGIN_KEYS}{block}");
                    let Ok((found, _)) = SignedPublicKey::from_string_many(&block) else { continue };
                    keys.extend(found.filter_map(Result::ok));
                }
            }
            _ => {
                let found = SignedPublicKey::from_bytes_many(content).map_err(|_| NoKeys)?;
                keys.extend(found.filter_map(Result::ok));
            }
        }
        if keys.is_empty() { Err(NoKeys) } else { Ok(Keyring { keys }) }
    }

    /// Takes over the keys of another keyring.
    pub fn extend(&mut self, other: Keyring) {
        self.keys.extend(other.keys);
    }

    /// The text in `message` that a key of this ring has signed; whatever stands around it is
    /// left out. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// When there is no signature that counts.
    pub fn verify(&self, message: &str, now: i64) -> Result<String, SignatureError> {
        let signed = signed_part(message).ok_or(SignatureError::Unsigned)?;
        let (signed, _) = CleartextSignedMessage::from_string(signed)
            .map_err(|error| SignatureError::Damaged(Box::new(error)))?;
        let text = signed.signed_text();
        let mut worst = None;
        for signature in signed.signatures() {
            match self.check(signature, &text, now) {
                Ok(()) => return Ok(text),
                // What is known of a key tells more than that another one is not known.
                Err(error @ SignatureError::UnknownKey { .. }) => worst = worst.or(Some(error)),
                Err(error) => worst = Some(error),
            }
        }
        Err(worst.unwrap_or(SignatureError::Unsigned))
    }

    /// Whether one of the keys that `signature` names has made it and may.
    fn check(&self, signature: &Signature, text: &str, now: i64) -> Result<(), SignatureError> {
        let mut result = Err(SignatureError::UnknownKey { signers: issuers(signature) });
        // A ring may hold one key twice, once from before its life was made longer.
        for signer in self.keys.iter().filter_map(|key| Signer::of(signature, key)) {
            result = signer.check(signature, text, now);
            if result.is_ok() {
                break;
            }
        }
        result
    }
}

/// From the first line of a clear-signed text to the last.
fn signed_part(message: &str) -> Option<&str> {
    let at_line = |line: &str, from: usize| {
        let starts = message[from..].match_indices(line).map(|(at, _)| from + at);
        starts.into_iter().find(|at| *at == 0 || message.as_bytes()[at - 1] == b'\n')
    };
    let start = at_line(BEGIN_TEXT, 0)?;
    let end = at_line(END_TEXT, start)?;
    Some(&message[start..end + END_TEXT.len()])
}

fn issuers(signature: &Signature) -> String {
    let by_fingerprint = signature.issuer_fingerprint().into_iter().map(|print| format!("`{print:X}`"));
    let mut names: Vec<String> = by_fingerprint.collect();
    if names.is_empty() {
        names = signature
            .issuer_key_id()
            .into_iter()
            .map(|id| format!("`{}`", id.to_string().to_uppercase()))
            .collect();
    }
    if names.is_empty() { "nobody in particular".to_owned() } else { names.join(", ") }
}

fn signature_flaw(signature: &Signature, now: i64) -> Option<&'static str> {
    let strong = matches!(
        signature.hash_alg(),
        Some(
            HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        )
    );
    if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
        return Some("it is not a signature of a text");
    }
    if !strong {
        return Some("its digest is too weak");
    }
    let lifetime = signature.signature_expiration_time().map_or(0, pgp::types::Duration::as_secs);
    let Some(created) = signature.created() else { return Some("it has no date") };
    is_over(created.as_secs(), lifetime, now).then_some("it has expired")
}

/// Whether something from `created` with a `lifetime` in seconds (0: no end) is over.
fn is_over(created: u32, lifetime: u32, now: i64) -> bool {
    lifetime != 0 && now >= i64::from(created) + i64::from(lifetime)
}

/// A key of the ring that a signature names: a primary key, or one of its subkeys.
struct Signer<'a> {
    key: &'a SignedPublicKey,
    subkey: Option<&'a SignedPublicSubKey>,
}

impl<'a> Signer<'a> {
    fn of(signature: &Signature, key: &'a SignedPublicKey) -> Option<Self> {
        let named = |candidate: &dyn KeyDetails| {
            signature.issuer_fingerprint().contains(&&candidate.fingerprint())
                || signature.issuer_key_id().contains(&&candidate.legacy_key_id())
        };
        if named(&key.primary_key) {
            return Some(Signer { key, subkey: None });
        }
        let subkey = key.public_subkeys.iter().find(|subkey| named(&subkey.key))?;
        Some(Signer { key, subkey: Some(subkey) })
    }

    fn fingerprint(&self) -> String {
        let fingerprint = match self.subkey {
            Some(subkey) => subkey.key.fingerprint(),
            None => self.key.primary_key.fingerprint(),
        };
        format!("`{fingerprint:X}`")
    }

    fn check(&self, signature: &Signature, text: &str, now: i64) -> Result<(), SignatureError> {
        let key = self.fingerprint();
        if !self.has_signed(signature, text) {
            return Err(SignatureError::Wrong { key });
        }
        signature_flaw(signature, now)
            .or_else(|| self.flaw(now))
            .map_or(Ok(()), |reason| Err(SignatureError::Rejected { key, reason }))
    }

    fn has_signed(&self, signature: &Signature, text: &str) -> bool {
        match self.subkey {
            Some(subkey) => signature.verify(&subkey.key, text.as_bytes()).is_ok(),
            None => signature.verify(&self.key.primary_key, text.as_bytes()).is_ok(),
        }
    }

    /// Why the key may not sign now.
    fn flaw(&self, now: i64) -> Option<&'static str> {
        primary_flaw(self.key, self.subkey.is_none(), now)
            .or_else(|| self.subkey.and_then(|subkey| subkey_flaw(&self.key.primary_key, subkey, now)))
    }
}

fn primary_flaw(key: &SignedPublicKey, signs: bool, now: i64) -> Option<&'static str> {
    let primary = &key.primary_key;
    if key.details.revocation_signatures.iter().any(|signature| signature.verify_key(primary).is_ok()) {
        return Some("the key is revoked");
    }
    let about_users = key.details.users.iter().flat_map(|user| {
        let own = |signature: &&Signature| {
            signature.typ() != Some(SignatureType::CertRevocation)
                && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        };
        user.signatures.iter().filter(own)
    });
    let direct = key.details.direct_signatures.iter().filter(|own| own.verify_key(primary).is_ok());
    let Some(newest) = about_users.chain(direct).max_by_key(|signature| signature.created()) else {
        return Some("the key does not vouch for itself");
    };
    let flags = newest.key_flags();
    if signs && !flags.sign() && has_key_flags(newest) {
        return Some("the key is not for signing");
    }
    has_expired(newest, primary, now)
}

fn subkey_flaw(primary: &PublicKey, subkey: &SignedPublicSubKey, now: i64) -> Option<&'static str> {
    let mut own =
        subkey.signatures.iter().filter(|own| own.verify_subkey_binding(primary, &subkey.key).is_ok());
    if own.clone().any(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation)) {
        return Some("the key is revoked");
    }
    let newest = own.by_ref().max_by_key(|signature| signature.created());
    let Some(newest) = newest else { return Some("the key is not bound to its primary key") };
    // A subkey must agree to be one, or anybody could claim another's key as theirs.
    let agrees = newest
        .embedded_signature()
        .is_some_and(|back| back.verify_primary_key_binding(&subkey.key, primary).is_ok());
    if !newest.key_flags().sign() || !agrees {
        return Some("the key is not for signing");
    }
    has_expired(newest, &subkey.key, now)
}

fn has_key_flags(signature: &Signature) -> bool {
    use pgp::packet::SubpacketData;
    let config = signature.config();
    config.is_some_and(|config| {
        config.hashed_subpackets().any(|packet| matches!(packet.data, SubpacketData::KeyFlags(_)))
    })
}

fn has_expired(vouching: &Signature, key: &impl VerifyingKey, now: i64) -> Option<&'static str> {
    let lifetime = vouching.key_expiration_time().map_or(0, pgp::types::Duration::as_secs);
    is_over(key.created_at().as_secs(), lifetime, now).then_some("the key has expired")
}
