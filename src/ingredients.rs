//! From fetched parts to the trees of an image.

use std::path::Path;
use std::sync::Arc;

use crate::fetch::{Part, Parts};
use crate::image::extents::Extents;
use crate::kernel::{self, Kernel};
use crate::plan::{Build, Plan, part};
use crate::store::Store;
use crate::substrate::{self, initramfs, modules, settings::Settings};
use crate::track::Ingredients;
use crate::tree::FileTree;
