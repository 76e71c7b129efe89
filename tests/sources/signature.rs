//! Who may sign a suite, and what is signed.

use std::time::Duration;

use factory::source::signature::Keyring;
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, KeyType, SignedKeyDetails, SignedPublicKey, SignedPublicSubKey,
    SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId};
use pgp::types::{KeyDetails, Password, SignedUser, Tag, Timestamp};

use crate::support::archive::{key, key_of, public, sign};
use crate::world::told;

const TEXT: &str = "Suite: stable\n- dashes\nlast\n";
const SIGNED: &str = "Suite: stable\r\n- dashes\r\nlast\r\n";

/// A moment after keys of this test were made.
fn now() -> i64 {
    i64::from(Timestamp::now().as_secs()) + 1
}

fn ring(key: &SignedSecretKey) -> Keyring {
    Keyring::parse(&public(key)).unwrap()
}

fn refusal(keyring: &Keyring, message: &str, now: i64) -> String {
    let told = told(&keyring.verify(message, now).unwrap_err());
    // Fingerprints differ from run to run.
    let is_print = |word: &str| word.len() > 20 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    told.split('`').map(|word| if is_print(word) { "KEY" } else { word }).collect::<Vec<_>>().join("`")
}

/// Signs with the subkey, as `change` wants the signature.
fn sign_with(key: &SignedSecretKey, change: impl FnOnce(&mut SignatureConfig)) -> String {
    let subkey = &key.secret_subkeys[0].key;
    let mut config = SignatureConfig::from_key(rand::thread_rng(), subkey, SignatureType::Text).unwrap();
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::now())).unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(subkey.fingerprint())).unwrap(),
    ];
    change(&mut config);
    let signed = CleartextSignedMessage::new(TEXT, config, subkey, &Password::empty()).unwrap();
    signed.to_armored_string(ArmorOptions::default()).unwrap()
}

/// A signature of the primary key about itself and its user, with `packets`.
fn certify(key: &SignedSecretKey, packets: Vec<SubpacketData>) -> SignedUser {
    let mut config =
        SignatureConfig::from_key(rand::thread_rng(), &key.primary_key, SignatureType::CertPositive).unwrap();
    config.hashed_subpackets = [SubpacketData::SignatureCreationTime(Timestamp::now())]
        .into_iter()
        .chain(packets)
        .map(|packet| Subpacket::regular(packet).unwrap())
        .collect();
    let user = UserId::from_str(Default::default(), "Archive").unwrap();
    let public = key.primary_key.public_key();
    let signature =
        config.sign_certification(&key.primary_key, &public, &Password::empty(), Tag::UserId, &user).unwrap();
    SignedUser::new(user, vec![signature])
}

/// The public key with other signatures about it.
fn ring_with(
    key: &SignedSecretKey,
    users: Vec<SignedUser>,
    revocations: Vec<Signature>,
    subkeys: Vec<SignedPublicSubKey>,
) -> Keyring {
    let details = SignedKeyDetails::new(revocations, Vec::new(), users, Vec::new());
    let public = SignedPublicKey::new(key.primary_key.public_key().clone(), details, subkeys);
    Keyring::parse(&public.to_armored_bytes(ArmorOptions::default()).unwrap()).unwrap()
}

#[test]
fn signed_text_is_given_back_without_escapes_and_trailing_blanks() {
    let key = key();
    let message = sign(&key, TEXT);
    let blank = message.replace("\n- - dashes\n", "\n- - dashes \t\n");
    assert_ne!(blank, message);
    assert_eq!(ring(&key).verify(&blank, now()).unwrap(), SIGNED);
}

#[test]
fn what_stands_around_the_signed_text_is_left_out() {
    let key = key();
    let message = format!("Suite: before\n\n{}\nSuite: after\n", sign(&key, TEXT));
    assert_eq!(ring(&key).verify(&message, now()).unwrap(), SIGNED);
}

#[test]
fn keyrings_are_binary_or_armored_and_hold_several_keys() {
    let (one, two) = (key(), key());
    let armored = |key: &SignedSecretKey| {
        SignedPublicKey::from(key.clone()).to_armored_string(ArmorOptions::default()).unwrap()
    };
    let both = [[public(&one), public(&two)].concat(), (armored(&one) + &armored(&two)).into_bytes()];
    for content in both {
        let keyring = Keyring::parse(&content).unwrap();
        for key in [&one, &two] {
            assert!(keyring.verify(&sign(key, TEXT), now()).is_ok());
        }
    }
    for content in [&b""[..], b"nonsense", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n", &[0x99; 100]] {
        assert!(Keyring::parse(content).is_err());
    }
}

#[test]
fn texts_without_a_sound_signature_are_refused() {
    let key = key();
    let message = sign(&key, TEXT);
    assert_eq!(refusal(&ring(&key), TEXT, now()), "it is not signed");
    let cut = &message[..message.len() - 60];
    assert_eq!(refusal(&ring(&key), cut, now()), "it is not signed");
    let changed = message.replace("stable", "staple");
    let wrong = "the signature by key `KEY` is wrong: the text was changed after it was signed";
    assert_eq!(refusal(&ring(&key), &changed, now()), wrong);
    let unknown = refusal(&ring(&self::key()), &message, now());
    assert_eq!(unknown, "it is signed by `KEY`, and the keyring has no such key");
    let start = message.find("-----BEGIN PGP SIGNATURE").unwrap();
    let garbled = format!(
        "{}-----BEGIN PGP SIGNATURE-----\n\nnonsense!\n-----END PGP SIGNATURE-----\n",
        &message[..start]
    );
    assert!(refusal(&ring(&key), &garbled, now()).starts_with("its signature is damaged: "));
}

#[test]
fn signatures_with_weak_digests_do_not_count() {
    // Keys on elliptic curves cannot sign those at all.
    let key = key_of(KeyType::Rsa(2048));
    let strong = sign_with(&key, |config| config.hash_alg = HashAlgorithm::Sha512);
    assert!(ring(&key).verify(&strong, now()).is_ok());
    let weak = sign_with(&key, |config| config.hash_alg = HashAlgorithm::Sha1);
    assert_eq!(
        refusal(&ring(&key), &weak, now()),
        "the signature by key `KEY` does not count: its digest is too weak"
    );
    let broken = sign_with(&key, |config| config.hash_alg = HashAlgorithm::Md5);
    assert!(ring(&key).verify(&broken, now()).is_err());
}

#[test]
fn signatures_that_are_over_do_not_count() {
    let key = key();
    let refused = |message: &str, after: i64| refusal(&ring(&key), message, now() + after);
    let reason = |reason: &str| format!("the signature by key `KEY` does not count: {reason}");
    let short = sign_with(&key, |config| {
        let day = pgp::types::Duration::from_secs(86_400);
        config
            .hashed_subpackets
            .push(Subpacket::regular(SubpacketData::SignatureExpirationTime(day)).unwrap());
    });
    assert!(ring(&key).verify(&short, now()).is_ok());
    assert_eq!(refused(&short, 2 * 86_400), reason("it has expired"));
}

#[test]
fn keys_that_are_over_revoked_or_not_for_signing_do_not_count() {
    let key = key();
    let reason = |reason: &str| format!("the signature by key `KEY` does not count: {reason}");
    let subkeys = SignedPublicKey::from(key.clone()).public_subkeys;
    let message = sign(&key, TEXT);
    let day = Duration::from_secs(86_400).as_secs() as u32;
    let lifetime = SubpacketData::KeyExpirationTime(pgp::types::Duration::from_secs(day));
    let ring = ring_with(&key, vec![certify(&key, vec![lifetime])], vec![], subkeys.clone());
    assert!(ring.verify(&message, now()).is_ok());
    assert_eq!(refusal(&ring, &message, now() + 2 * 86_400), reason("the key has expired"));

    let config =
        SignatureConfig::from_key(rand::thread_rng(), &key.primary_key, SignatureType::KeyRevocation);
    let public = key.primary_key.public_key();
    let revocation = config.unwrap().sign_key(&key.primary_key, &Password::empty(), &public).unwrap();
    let ring = ring_with(&key, vec![certify(&key, vec![])], vec![revocation], subkeys.clone());
    assert_eq!(refusal(&ring, &message, now()), reason("the key is revoked"));

    let ring = ring_with(&key, vec![], vec![], subkeys);
    assert_eq!(refusal(&ring, &message, now()), reason("the key does not vouch for itself"));

    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    let ring = ring_with(&key, vec![certify(&key, vec![SubpacketData::KeyFlags(flags)])], vec![], vec![]);
    let by_primary =
        CleartextSignedMessage::sign(rand::thread_rng(), TEXT, &key.primary_key, &Password::empty());
    let by_primary = by_primary.unwrap().to_armored_string(ArmorOptions::default()).unwrap();
    assert_eq!(refusal(&ring, &by_primary, now()), reason("the key is not for signing"));
}

#[test]
fn of_a_key_that_is_there_twice_the_better_copy_counts() {
    let key = key();
    let second = SubpacketData::KeyExpirationTime(pgp::types::Duration::from_secs(1));
    let subkeys = SignedPublicKey::from(key.clone()).public_subkeys;
    let mut keyring = ring_with(&key, vec![certify(&key, vec![second])], vec![], subkeys);
    let message = sign(&key, TEXT);
    assert!(keyring.verify(&message, now() + 60).is_err());
    keyring.extend(ring(&key));
    assert!(keyring.verify(&message, now() + 60).is_ok());
}

#[test]
fn a_subkey_of_somebody_else_does_not_count() {
    let (owner, thief) = (key(), key());
    let stolen = SignedPublicKey::from(owner.clone()).public_subkeys;
    let ring = ring_with(&thief, vec![certify(&thief, vec![])], vec![], stolen);
    assert_eq!(
        refusal(&ring, &sign(&owner, TEXT), now()),
        "the signature by key `KEY` does not count: the key is not bound to its primary key"
    );
}
