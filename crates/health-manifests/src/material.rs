//! Secrets and ConfigMaps: the manifests that hold them, and the port through which a reference is resolved.
//!
//! Values are never shown: neither type has a `Debug` that prints them.

use std::{collections::BTreeMap, fmt};

use health_model::ObjectId;

use crate::manifest::Place;

/// The keys and values of a Secret or ConfigMap.
pub type KeyValues = BTreeMap<String, Vec<u8>>;

/// Why a Secret or ConfigMap could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaterialError {
    /// There is no such object.
    #[error("does not exist")]
    NotFound,
    /// It may not be read.
    #[error("may not be read: {0}")]
    Forbidden(String),
    /// It could not be read this time.
    #[error("could not be read: {0}")]
    Unavailable(String),
}

/// Where Secrets and ConfigMaps are had, always from the namespace of the object that refers to them.
pub trait Materials {
    /// The contents of a Secret, decoded.
    ///
    /// # Errors
    /// When it is absent or cannot be read.
    fn secret(&self, namespace: &str, name: &str) -> Result<KeyValues, MaterialError>;

    /// The contents of a ConfigMap.
    ///
    /// # Errors
    /// When it is absent or cannot be read.
    fn config_map(&self, namespace: &str, name: &str) -> Result<KeyValues, MaterialError>;
}

/// What a reference refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MaterialKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

impl MaterialKind {
    /// The kind as manifests write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }
}

/// A Secret or ConfigMap that an object needs, in that object's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Secret or ConfigMap.
    pub kind: MaterialKind,
    /// Its namespace and name.
    pub id: ObjectId,
}

/// A Secret or ConfigMap as a folder holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct MaterialManifest {
    /// Secret or ConfigMap.
    pub kind: MaterialKind,
    /// Namespace and name.
    pub id: ObjectId,
    /// Where it stands.
    pub place: Place,
    /// Its contents, decoded.
    pub contents: KeyValues,
}

impl fmt::Debug for MaterialManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} keys)", self.kind.as_str(), self.id, self.contents.len())
    }
}

/// The Secrets and ConfigMaps of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderMaterials(BTreeMap<Reference, KeyValuesHidden>);

#[derive(Clone, Default, PartialEq, Eq)]
struct KeyValuesHidden(KeyValues);

impl fmt::Debug for KeyValuesHidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

impl FolderMaterials {
    /// Adds one; the first of a name holds. Says whether it was the first.
    pub fn add(&mut self, manifest: &MaterialManifest) -> bool {
        let reference = Reference { kind: manifest.kind, id: manifest.id.clone() };
        let is_new = !self.0.contains_key(&reference);
        if is_new {
            self.0.insert(reference, KeyValuesHidden(manifest.contents.clone()));
        }
        is_new
    }

    fn read(&self, kind: MaterialKind, namespace: &str, name: &str) -> Result<KeyValues, MaterialError> {
        let reference = Reference { kind, id: ObjectId::new(namespace, name) };
        self.0.get(&reference).map(|hidden| hidden.0.clone()).ok_or(MaterialError::NotFound)
    }
}

impl FromIterator<MaterialManifest> for FolderMaterials {
    fn from_iter<T: IntoIterator<Item = MaterialManifest>>(manifests: T) -> Self {
        let mut materials = Self::default();
        for manifest in manifests {
            materials.add(&manifest);
        }
        materials
    }
}

impl Materials for FolderMaterials {
    fn secret(&self, namespace: &str, name: &str) -> Result<KeyValues, MaterialError> {
        self.read(MaterialKind::Secret, namespace, name)
    }

    fn config_map(&self, namespace: &str, name: &str) -> Result<KeyValues, MaterialError> {
        self.read(MaterialKind::ConfigMap, namespace, name)
    }
}
