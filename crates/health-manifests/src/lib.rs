//! The YAML users write: CRD types, parsing, validation, conversion into the model
