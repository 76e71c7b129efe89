use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

fn nothing(_: &mut Partial) -> Result<(), StoreError> {
    panic!("the file was there and is fetched all the same")
}

#[test]
fn what_was_put_is_found_under_its_digest() {
    let (_dir, store) = store();
    assert_eq!(store.blob(Sha256::of(b"hello")).unwrap(), None);
    let digest = store.put(b"hello").unwrap();
    let path = store.blob(digest).unwrap().unwrap();
    assert_eq!(fs::read(path).unwrap(), b"hello");
    store.blob_or(digest, nothing).unwrap();
}

#[test]
fn a_damaged_blob_is_moved_away_and_fetched_again() {
    let (dir, store) = store();
    let digest = store.put(b"hello").unwrap();
    let path = store.blob(digest).unwrap().unwrap();
    fs::write(&path, b"hullo").unwrap();
    assert_eq!(store.blob(digest).unwrap(), None);
    let aside = dir.path().join("store/corrupt").join(digest.to_string());
    assert_eq!(fs::read(aside).unwrap(), b"hullo");
    store.blob_or(digest, |partial| partial.append(b"hello")).unwrap();
    assert_eq!(fs::read(path).unwrap(), b"hello");
}

#[test]
fn a_blob_that_only_looks_different_stays() {
    let (_dir, store) = store();
    let digest = store.put(b"hello").unwrap();
    let path = store.blob(digest).unwrap().unwrap();
    fs::write(&path, b"hello").unwrap();
    assert_eq!(store.blob(digest).unwrap(), Some(path));
}

#[test]
fn a_download_that_was_cut_off_is_gone_on_with() {
    let (_dir, store) = store();
    let digest = Sha256::of(b"hello");
    let cut = store.blob_or(digest, |partial| {
        partial.append(b"hel")?;
        Err(StoreError::Interrupted(Interrupted))
    });
    assert!(matches!(cut, Err(StoreError::Interrupted(_))));
    assert_eq!(store.blob(digest).unwrap(), None);
    let rest = |partial: &mut Partial| {
        assert_eq!((partial.length(), partial.digest()), (3, Sha256::of(b"hel")));
        partial.append(b"lo")
    };
    let path = store.blob_or(digest, rest).unwrap();
    assert_eq!(fs::read(path).unwrap(), b"hello");
}

#[test]
fn of_many_at_once_one_fetches() {
    let (_dir, store) = store();
    let fetched = AtomicUsize::new(0);
    let fetch = |partial: &mut Partial| {
        fetched.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(50));
        partial.append(b"hello")
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| store.blob_or(Sha256::of(b"hello"), fetch).unwrap());
        }
    });
    assert_eq!(fetched.into_inner(), 1);
}

/// Makes two files and counts how often.
fn make(store: &Store, count: &mut usize) -> Derived {
    let make = |dir: &mut DerivedDir| -> Result<(), StoreError> {
        *count += 1;
        let write = |bytes: &'static [u8]| move |out: &mut Output| out.append(bytes);
        dir.file("a", write(b"one"))?;
        dir.file("b", write(b"two"))
    };
    store.derived(Sha256::of(b"key"), make).unwrap()
}

#[test]
fn derived_files_are_made_once() {
    let (_dir, store) = store();
    let mut count = 0;
    let first = make(&store, &mut count);
    let second = make(&store, &mut count);
    assert_eq!(count, 1);
    assert_eq!(first.files(), second.files());
    let file = first.get("b").unwrap();
    assert_eq!(fs::read(&file.path).unwrap(), b"two");
    assert_eq!((file.size, file.sha256), (3, Sha256::of(b"two")));
}

#[test]
fn derived_files_that_are_damaged_or_gone_are_made_again() {
    let (_dir, store) = store();
    let mut count = 0;
    let path = make(&store, &mut count).get("a").unwrap().path.clone();
    fs::write(&path, b"0ne").unwrap();
    make(&store, &mut count);
    assert_eq!((count, fs::read(&path).unwrap()), (2, b"one".to_vec()));
    fs::remove_file(&path).unwrap();
    make(&store, &mut count);
    fs::write(path.with_file_name("manifest.json"), "{").unwrap();
    make(&store, &mut count);
    assert_eq!((count, fs::read(&path).unwrap()), (4, b"one".to_vec()));
}

#[test]
fn derived_files_that_only_look_different_stay() {
    let (_dir, store) = store();
    let mut count = 0;
    let path = make(&store, &mut count).get("a").unwrap().path.clone();
    let manifest = || fs::read(path.with_file_name("manifest.json")).unwrap();
    let before = manifest();
    fs::write(&path, b"one").unwrap();
    make(&store, &mut count);
    assert_ne!(manifest(), before, "the new look is remembered");
    assert_eq!(count, 1);
}

#[test]
fn a_maker_that_fails_leaves_nothing() {
    let (dir, store) = store();
    let fail = |making: &mut DerivedDir| {
        making.file("a", |_| Ok::<(), StoreError>(()))?;
        Err(StoreError::NoHome)
    };
    assert!(store.derived(Sha256::of(b"key"), fail).is_err());
    assert_eq!(fs::read_dir(dir.path().join("store/derived")).unwrap().count(), 0);
}

#[test]
fn a_workplace_keeps_what_is_in_it_and_has_one_user_at_a_time() {
    let (_dir, store) = store();
    let users = AtomicUsize::new(0);
    let work = || {
        let place = store.workplace("rpi").unwrap();
        assert_eq!(users.fetch_add(1, Ordering::SeqCst), 0, "two at once");
        let log = place.dir().join("log");
        let before = fs::read(&log).unwrap_or_default();
        std::thread::sleep(Duration::from_millis(20));
        fs::write(&log, [before, b"x".to_vec()].concat()).unwrap();
        users.fetch_sub(1, Ordering::SeqCst);
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(work);
        }
    });
    let place = store.workplace("rpi").unwrap();
    assert_eq!(fs::read(place.dir().join("log")).unwrap(), b"xxx");
    place.clear().unwrap();
    assert_eq!(fs::read_dir(place.dir()).unwrap().count(), 0);
}
