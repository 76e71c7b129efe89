//! What every cluster of a FAT belongs to.

use std::collections::BTreeSet;

use crate::volume::fat::{Fat, Node};

/// Most bytes of a directory (FAT specification 1.03, chapter 6: 65,536 entries).
const LARGEST_DIRECTORY: u64 = 65_536 * 32;
/// Most problems that are kept: a FAT full of noise has no end of them.
const MOST_PROBLEMS: usize = 20;

/// How the clusters of a FAT are used.
#[derive(Debug)]
pub(in crate::check) struct Usage {
    /// Files and directories whose chains are wrong, and how.
    pub(super) problems: Vec<(String, String)>,
    /// Files and directories that have the last cluster.
    pub(super) last: Vec<String>,
    /// Clusters that belong to nothing.
    pub(super) lost: u64,
    /// Clusters that are not free.
    pub(super) taken: u64,
    /// Files in more than one piece, by path without the slash in front.
    pub(super) pieces: BTreeSet<String>,
}

impl Usage {
    /// Follows every chain once. All chains together are no longer than there are clusters, since
    /// each ends where another has been.
    pub(in crate::check) fn new(fat: &Fat, nodes: Vec<Node>) -> Usage {
        let clusters = fat.clusters();
        let mut usage =
            Usage { problems: Vec::new(), last: Vec::new(), lost: 0, taken: 0, pieces: BTreeSet::new() };
        let mut owned = vec![false; clusters as usize + 2];
        for node in nodes {
            usage.follow(fat, &node, &mut owned);
        }
        for cluster in (2..clusters + 2).filter(|cluster| fat.is_taken(*cluster)) {
            usage.taken += 1;
            usage.lost += u64::from(!owned[cluster as usize]);
        }
        usage
    }

    fn follow(&mut self, fat: &Fat, node: &Node, owned: &mut [bool]) {
        let mut next = (node.first != 0).then_some(node.first);
        let mut count = 0;
        while let Some(cluster) = next {
            let problem = match owned.get(cluster as usize) {
                Some(_) if !fat.has_cluster(cluster) => Some("its chain leaves the file system"),
                None => Some("its chain leaves the file system"),
                Some(true) => Some("it shares clusters with another file"),
                Some(false) if !fat.is_taken(cluster) => Some("its chain leads to a free cluster"),
                Some(false) => None,
            };
            if let Some(problem) = problem {
                return self.add(node, problem.to_owned());
            }
            owned[cluster as usize] = true;
            count += 1;
            if cluster == fat.clusters() + 1 {
                self.last.push(node.path.clone());
            }
            next = fat.after(cluster);
            if next.is_some_and(|next| next != cluster + 1) {
                self.pieces.insert(node.path.trim_start_matches('/').to_ascii_lowercase());
            }
        }
        self.measure(node, count * fat.geometry().cluster_size, fat.geometry().cluster_size);
    }

    /// Compares a size with what the chain holds.
    fn measure(&mut self, node: &Node, holds: u64, cluster: u64) {
        let size = u64::from(node.size);
        if node.is_dir && holds > LARGEST_DIRECTORY {
            self.add(node, "it is a directory that is larger than any can be".to_owned());
        } else if node.is_dir && (holds == 0 || size != 0) {
            self.add(node, "it is a directory with a size, or without a cluster".to_owned());
        } else if !node.is_dir && holds != size.next_multiple_of(cluster) {
            self.add(node, format!("it has {size} bytes, and clusters for {holds}"));
        }
    }

    fn add(&mut self, node: &Node, problem: String) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push((node.path.clone(), problem));
        }
    }
}
