//! The large files, read once before the rules run, on as many threads as there are processors.
//!
//! ```text
//!   1  files of the slots:  slot A's are hashed; slot B's are compared with them, byte by byte,
//!                           and hashed only where they differ
//!   2  kernels, initramfs:  looked into, once where slots hold the same
//! ```

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Read};
use std::thread;

use sha2::Digest as _;

use super::scene::{Partition, Scene};
use super::systems::{self, Part};
use super::{Progress, initramfs, kernel};
use crate::digest::Sha256;
use crate::files::fill;
use crate::interrupt::{self, Interrupted};
use crate::parallel;
use crate::volume::{Opened, Region};

const CHUNK: usize = 1 << 20;

/// A file: the number of its partition, and its path.
pub(super) type Key = (u32, String);

/// What large files hold. Files that cannot be read are missing here.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Digests of the files that slots list.
    pub(super) digests: BTreeMap<Key, Sha256>,
    /// What is in kernels.
    pub(super) kernels: BTreeMap<Key, kernel::Kernel>,
    /// What is in initramfs.
    pub(super) archives: BTreeMap<Key, initramfs::Archive>,
}

/// Reads what rules will ask for.
pub(super) fn read(scene: &Scene, progress: &Progress<'_>) -> Result<Contents, Interrupted> {
    let regions = regions(scene);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let mut contents = Contents::default();
    let twins = if scene.options.digests { twins(scene) } else { Vec::new() };
    let total = twins.iter().map(|one| one.size * one.numbers.len() as u64).sum();
    let tell = |bytes| progress(bytes, total);
    let work = |opened: &mut Volumes, twins: &Twins| digest(opened, &regions, twins, &tell);
    for (done, failure) in parallel::map(&twins, workers, work)? {
        contents.digests.extend(done);
        failure.into_iter().for_each(|(place, error)| scene.fail(&place, &error));
    }
    let parts = parts(scene, &contents);
    let firsts: Vec<&(Key, Part, Vec<Key>)> = parts.iter().collect();
    let work = |opened: &mut Volumes, part: &&(Key, Part, Vec<Key>)| {
        interrupt::check()?;
        Ok::<_, Interrupted>(probe(opened, &regions, part))
    };
    for (found, (key, _, others)) in parallel::map(&firsts, workers, work)?.into_iter().zip(&parts) {
        let keys = others.iter().chain([key]).cloned();
        match found {
            Ok(Probed::Kernel(kernel)) => contents.kernels.extend(keys.map(|key| (key, kernel.clone()))),
            Ok(Probed::Archive(archive)) => contents.archives.extend(keys.map(|key| (key, archive.clone()))),
            Err(error) => scene.fail(&place(&regions, key), &error),
        }
    }
    Ok(contents)
}

/// Names and bytes of partitions, by their numbers.
type Regions = BTreeMap<u32, (String, Region)>;

fn place(regions: &Regions, (number, path): &Key) -> String {
    let name = regions.get(number).map_or("the disk", |(name, _)| name);
    format!("{name}: {path}")
}

fn regions(scene: &Scene) -> Regions {
    let readable = scene.partitions.iter().filter(|partition| partition.is_readable());
    readable.map(|one| (one.entry.number, (one.name(), one.region.clone()))).collect()
}

/// File systems that a thread has opened: those of ext4 cannot be shared.
#[derive(Default)]
struct Volumes(BTreeMap<u32, Opened>);

impl Volumes {
    fn reader<'a>(&'a mut self, regions: &Regions, key: &Key) -> io::Result<Box<dyn Read + 'a>> {
        self.enter(regions, key.0)?;
        self.0[&key.0].reader(&key.1)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Two readers at once.
    fn readers<'a>(&'a mut self, regions: &Regions, twins: &Twins) -> io::Result<Vec<Box<dyn Read + 'a>>> {
        twins.numbers.iter().try_for_each(|number| self.enter(regions, *number))?;
        let open = |number| self.0[number].reader(&twins.path)?.ok_or_else(|| io::ErrorKind::NotFound.into());
        twins.numbers.iter().map(open).collect()
    }

    fn enter(&mut self, regions: &Regions, number: u32) -> io::Result<()> {
        if let Entry::Vacant(place) = self.0.entry(number) {
            let (_, region) = regions.get(&number).ok_or(io::ErrorKind::NotFound)?;
            place.insert(Opened::enter(region).map_err(io::Error::other)?);
        }
        Ok(())
    }
}

/// A file that is in one slot, or in both with the same size.
#[derive(Clone, Debug)]
struct Twins {
    path: String,
    size: u64,
    numbers: Vec<u32>,
}

/// The listed files of all slots, the largest first, so that threads end at about the same time.
fn twins(scene: &Scene) -> Vec<Twins> {
    let mut twins: Vec<Twins> = Vec::new();
    for slot in scene.slots() {
        let listed = scene.list(slot).map_or(&[][..], |list| &list.files);
        for file in listed.iter().filter(|file| slot.size(&file.path) == Some(file.size)) {
            let known = twins.iter_mut().find(|one| one.path == file.path && one.size == file.size);
            match known {
                Some(known) => known.numbers.push(slot.entry.number),
                None => twins.push(Twins {
                    path: file.path.clone(),
                    size: file.size,
                    numbers: vec![slot.entry.number],
                }),
            }
        }
    }
    twins.sort_by_key(|one| std::cmp::Reverse(one.size));
    twins
}

type Digested = (Vec<(Key, Sha256)>, Option<(String, io::Error)>);

fn digest(
    opened: &mut Volumes,
    regions: &Regions,
    twins: &Twins,
    tell: &(dyn Fn(u64) + Sync),
) -> Result<Digested, Interrupted> {
    let key = |number: &u32| (*number, twins.path.clone());
    let same = opened.readers(regions, twins).and_then(|mut readers| hash_same(&mut readers, tell));
    match same {
        Ok(Some(hash)) => {
            return Ok((twins.numbers.iter().map(|number| (key(number), hash)).collect(), None));
        }
        Err(error) if interrupt::check().is_ok() && twins.numbers.len() == 1 => {
            return Ok((Vec::new(), Some((place(regions, &key(&twins.numbers[0])), error))));
        }
        _ => interrupt::check()?,
    }
    // They differ, or one cannot be read: each by itself.
    let mut done: Digested = (Vec::new(), None);
    for number in &twins.numbers {
        let alone = Twins { numbers: vec![*number], ..twins.clone() };
        let (digests, failure) = digest(opened, regions, &alone, tell)?;
        done.0.extend(digests);
        done.1 = done.1.or(failure);
    }
    Ok(done)
}

/// The digest of what all readers hold, `None` when they do not hold the same.
fn hash_same(readers: &mut [Box<dyn Read + '_>], tell: &(dyn Fn(u64) + Sync)) -> io::Result<Option<Sha256>> {
    let mut hash = sha2::Sha256::new();
    let (mut first, mut other) = (vec![0; CHUNK], vec![0; CHUNK]);
    let Some((leader, followers)) = readers.split_first_mut() else { return Ok(None) };
    loop {
        interrupt::check().map_err(io::Error::other)?;
        let length = fill(leader, &mut first)?;
        for follower in followers.iter_mut() {
            let count = fill(follower, &mut other)?;
            if first[..length] != other[..count] {
                return Ok(None);
            }
        }
        if length == 0 {
            return Ok(Some(Sha256::finish(hash)));
        }
        hash.update(&first[..length]);
        tell((length * (1 + followers.len())) as u64);
    }
}

enum Probed {
    Kernel(kernel::Kernel),
    Archive(initramfs::Archive),
}

/// The kernels and initramfs of all systems, each with those that are known to be the same.
fn parts(scene: &Scene, contents: &Contents) -> Vec<(Key, Part, Vec<Key>)> {
    let mut parts: Vec<(Key, Part, Vec<Key>, Option<Sha256>)> = Vec::new();
    for system in systems::all(scene) {
        for (part, path) in system.parts(scene) {
            let key = (system.entry.number, path.clone());
            let digest = digest_of(scene, contents, system, &key);
            let same = parts
                .iter_mut()
                .find(|(_, of, _, known)| *of == part && digest.is_some() && *known == digest);
            match same {
                Some((_, _, others, _)) => others.push(key),
                None => parts.push((key, part, Vec::new(), digest)),
            }
        }
    }
    parts.into_iter().map(|(key, part, others, _)| (key, part, others)).collect()
}

/// The digest of a file: as it is, or, where files are not read, as the slot's list says. What has no
/// list of its own, as the partition that is read first, was then just made from the same files.
fn digest_of(scene: &Scene, contents: &Contents, system: &Partition, key: &Key) -> Option<Sha256> {
    if scene.options.digests {
        return contents.digests.get(key).copied();
    }
    let own = scene.list(system).ok();
    let list = own.or_else(|| scene.slots().find_map(|slot| scene.list(slot).ok()))?;
    let size = system.size(&key.1)?;
    list.files.iter().find(|file| file.path == key.1 && file.size == size).map(|file| file.sha256)
}

fn probe(
    opened: &mut Volumes,
    regions: &Regions,
    (key, part, _): &(Key, Part, Vec<Key>),
) -> io::Result<Probed> {
    let mut source = Watched { inner: opened.reader(regions, key)?, failed: None };
    let probed = match part {
        Part::Kernel => Probed::Kernel(kernel::probe(&mut source)),
        Part::Initramfs => Probed::Archive(initramfs::probe(&mut source)),
    };
    source.failed.map_or(Ok(probed), Err)
}

/// A reader that remembers that it failed, since to those above it that is one kind of damage.
struct Watched<R> {
    inner: R,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).inspect_err(|error| {
            self.failed = Some(io::Error::new(error.kind(), error.to_string()));
        })
    }
}
