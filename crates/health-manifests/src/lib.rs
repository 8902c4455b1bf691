//! The YAML users write: CRD types, parsing, validation, conversion into the model.
//!
//! [`parse_documents`] serves the folder and the command line, [`from_object`] the cluster; both go through the same
//! checks and the same conversion. A bad document costs only itself: it is reported as [`Problem`]s that name file,
//! line, field, value and remedy, and one that says its own name still becomes a definition that is shown as errored.
//! Nothing here opens files or connections; Secrets and ConfigMaps come through the [`Materials`] port. No error and no
//! `Debug` of this crate shows a secret.

mod convert;
mod crd;
mod dependency;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod manifest;
mod material;
mod metadata;
mod path;
mod problem;
pub mod resource;
mod schema;
pub mod status;
mod structure;
mod target;
mod tree;
mod yaml;

pub use crd::{crds, custom_resource_definitions};
pub use dependency::{dependency_cycles, refuse_cycles};
pub use manifest::{
    DEFAULT_NAMESPACE, GROUP, HealthCheckManifest, IgnoredObject, Manifest, NotificationRuleManifest, ParsedText,
    Place, VERSION, from_object, parse_documents,
};
pub use material::{FolderMaterials, KeyValues, MaterialError, MaterialKind, MaterialManifest, Materials, Reference};
pub use problem::Problem;
pub use target::check_from_target;
pub use yaml::{MAX_DOCUMENTS, MAX_TEXT_BYTES};
